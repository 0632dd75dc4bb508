"""A Prefect server that a run has started for itself ends with that run, even a killed one.

Prefect stops such a server when the run's process exits, which ``kill -9`` does not let it do;
the server would stay for good. ``python -m flows.tie PID STARTED`` waits until the process that
holds its standard input open is gone, and then ends that server.
"""

import os
import signal
import subprocess
import sys

from mfal import process


def tie() -> None:
    """Have the server of this process's own, if it has one, end with it."""
    from prefect.server.api.server import SubprocessASGIServer

    server = SubprocessASGIServer().server_process
    if server is None:
        return
    known = [str(server.pid), process.started(server.pid) or ""]
    # Its own session: what ends the run in a terminal must not end this first. The pipe stays
    # open as long as this process runs; nobody ever writes to it.
    subprocess.Popen(
        [sys.executable, "-m", "flows.tie", *known],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def main(pid: int, since: str) -> None:
    """Wait for the end of standard input, and end the process that began at `since`."""
    sys.stdin.read()
    if process.runs(pid, since or None):
        os.kill(pid, signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
