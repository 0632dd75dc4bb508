"""Which process this is, whether another one still runs, and what ends with what."""

import fcntl
import os
import socket
from pathlib import Path


def host() -> str:
    """Name of this machine, for people."""
    return socket.gethostname()


def system() -> str | None:
    """Whose process numbers are those seen here: this boot of the machine, and its namespace.

    None where the system does not say.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def started(pid: int) -> str | None:
    """When a running process began, in ticks since the boot; None if it does not run.

    Of two processes that had the same number one after the other, it tells which is meant.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The name, in brackets, may hold anything, and end in half a letter; what follows are the
    # fields from the third on.
    state, *fields = text.rpartition(")")[2].split()
    return None if state in ("Z", "X") else fields[18]


def runs(pid: int, since: str | None) -> bool:
    """Whether the process that began at `since`, as `started` says it, still runs here."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        if started(pid) is None:
            return True  # another user's, and hidden from us
    return started(pid) == since


def end_with(line: int, group: int) -> None:
    """Have the system end a process group when nobody holds the other end of a pipe any more.

    The signal that is raised then, SIGIO, ends a process even inside native code.

    Args:
        line: The pipe's end for reading, which has to stay open in one of the group. Nothing is
            ever written to the other.
        group: Its number.
    """
    fcntl.fcntl(line, fcntl.F_SETOWN, -group)
    fcntl.fcntl(line, fcntl.F_SETFL, fcntl.fcntl(line, fcntl.F_GETFL) | os.O_ASYNC)
