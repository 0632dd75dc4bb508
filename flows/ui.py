"""Prefect's server and page on this machine: ``python -m flows.ui``."""

import os
import sys

from flows.settings import HOST, ORIGINS, api_url, origins, ui_port
from mfal.errors import MfalError


def main() -> None:
    """Become the server, on loopback only."""
    port = ui_port()
    os.environ |= {
        # The page calls the address it is told, which is not the one it was served from.
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_UI_API_URL": api_url(port),
        "PREFECT_API_URL": api_url(port),
    }
    os.environ.setdefault(ORIGINS, origins())
    command = ["-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    os.execv(sys.executable, [sys.executable, *command])


if __name__ == "__main__":
    try:
        main()
    except MfalError as error:
        sys.exit(f"error: {error}")
