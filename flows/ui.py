"""Prefect's server and page on this machine: ``python -m flows.ui``."""

import contextlib
import os
import socket
import sys

import typer

from flows.settings import HOST, ORIGINS, api_url, origins, ui_port
from mfal.errors import MfalError


def main() -> None:
    """Be the server until stopped, on loopback only.

    Raises:
        MfalError: if its port cannot be had.
    """
    port = ui_port()
    os.environ |= {
        # The page calls the address it is told, which is not the one it was served from.
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_UI_API_URL": api_url(port),
        "PREFECT_API_URL": api_url(port),
    }
    os.environ.setdefault(ORIGINS, origins())
    with _listener(port) as listener, contextlib.suppress(KeyboardInterrupt):
        # Imported here: settings must stand before Prefect is first imported.
        from flows.server import serve

        typer.echo(f"Prefect's page is at http://{HOST}:{port} until this is stopped")
        serve(listener)


def _listener(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise MfalError(
            f"port {port} of {HOST} cannot be had: {os.strerror(error.errno or 0)}",
            "a server may run there already; for another port: MFAL_UI_PORT=4300 make ui",
        ) from error


if __name__ == "__main__":
    try:
        main()
    except MfalError as error:
        sys.exit(f"error: {error}")
