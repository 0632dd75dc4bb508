"""A Prefect server of a run's own, where none is running: ``python -m flows.own FD``.

Prefect starts one by itself, too, but only once it is first asked, which then waits for it, and
``kill -9`` of the run leaves it behind. This one comes up while the run loads what it needs, and
ends when its standard input does: the run holds the other end of that pipe, and nothing that
ends the run leaves it open.
"""

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading

from flows.settings import HOST, ORIGINS, api_url, is_healthy, origins
from mfal.errors import MfalError

START, STOP = 120.0, 30.0  # seconds; the first start makes a database


class OwnServer:
    """A server that runs as long as this process, on a free port of loopback."""

    def __init__(self) -> None:
        # Bound here and handed over: no other program can take the port in between, and whoever
        # connects is answered as soon as there is somebody.
        with socket.create_server((HOST, 0)) as listener:
            self.url = api_url(listener.getsockname()[1])
            self._process = subprocess.Popen(
                [sys.executable, "-m", "flows.own", str(listener.fileno())],
                env={ORIGINS: origins()} | os.environ,
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                start_new_session=True,  # what ends the run in a terminal must not end this first
            )
        atexit.register(self._stop)  # before Prefect's own, which still send what it has to hear

    def wait(self) -> None:
        """Return when it answers.

        Raises:
            MfalError: if it does not.
        """
        if not is_healthy(self.url, START):
            raise MfalError(
                "the Prefect server of this run does not answer",
                "see its messages above, or run without Prefect: --no-prefect",
            )

    def _stop(self) -> None:
        self._process.terminate()  # at once where it is not up yet, as after an early error
        try:
            self._process.wait(STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()


def main() -> None:
    """Be the server on the socket that is named until standard input ends."""
    # Imported here: a run needs no server in its own process.
    from flows.server import serve

    threading.Thread(target=_end_with_input, daemon=True).start()
    serve(socket.socket(fileno=int(sys.argv[1])), ephemeral=True)


def _end_with_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
