"""The inside of a worker process: builds a problem, then answers calls until nobody is there.

Started by `mfal.scoring.processes`. It is the leader of a process group, so that what an oracle
starts ends with it.
"""

import os
import socket
from typing import cast

from mfal.process import end_with
from mfal.reasons import said
from mfal.registry import build
from mfal.scoring.calls import Asked, Call, evaluate
from mfal.scoring.channel import Channel
from mfal.types import Oracle


def main(descriptor: int) -> None:
    """Answer what comes through the socket `descriptor`; returns when it is closed.

    It returns, too, in a child that a user's code has forked and not ended: whatever that did,
    the answer is its parent's to give.
    """
    _end_with_parent()
    here = os.getpid()
    os.set_inheritable(descriptor, False)
    channel = Channel(socket.socket(fileno=descriptor))
    asked = cast(Asked, channel.receive())
    built = _built(asked)
    if os.getpid() != here:
        return
    channel.send(built if isinstance(built, str) else None)
    if isinstance(built, str):
        return
    while True:
        try:
            number, call = cast(tuple[int, Call], channel.receive())
        except EOFError:
            return
        reply = evaluate(built, asked, call)
        if os.getpid() != here:
            return
        channel.send((number, reply))


def _built(asked: Asked) -> Oracle | str:
    """The oracle, or why there is none."""
    try:
        oracle: Oracle = build("problem", asked.problem).oracle
    except Exception as error:
        return said(error)
    return oracle


def _end_with_parent() -> None:
    """Have the system end this process and its children when the parent's is gone.

    Standard input is a pipe that the parent holds open and never writes to.
    """
    end_with(os.dup(0), os.getpgrp())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
