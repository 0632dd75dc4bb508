"""The inside of a worker process: builds a problem, then answers calls until nobody is there.

Started by `mfal.scoring.processes`. It is the leader of a process group, so that what an oracle
starts ends with it.
"""

import os
from multiprocessing.connection import Connection

from mfal.process import end_with
from mfal.registry import build
from mfal.scoring.calls import Asked, Call, evaluate
from mfal.types import Oracle


def main(channel: int) -> None:
    """Answer what comes through the file descriptor `channel`; returns when it is closed."""
    _end_with_parent()
    with Connection(channel) as connection:
        asked: Asked = connection.recv()
        built = _built(asked)
        connection.send(built if isinstance(built, str) else None)
        if isinstance(built, str):
            return
        while True:
            try:
                call: Call = connection.recv()
            except EOFError:
                return
            connection.send(evaluate(built, asked, call))


def _built(asked: Asked) -> Oracle | str:
    """The oracle, or why there is none."""
    try:
        oracle: Oracle = build("problem", asked.problem).oracle
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return oracle


def _end_with_parent() -> None:
    """Have the system end this process and its children when the parent's is gone.

    Standard input is a pipe that the parent holds open and never writes to.
    """
    end_with(os.dup(0), os.getpgrp())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
