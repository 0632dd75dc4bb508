"""Threads of this process: for oracles that wait for something rather than compute."""

import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from mfal.registry import build
from mfal.scoring.calls import LATE, Asked, Call, Reply, Trouble, evaluate
from mfal.types import Oracle


class Threads:
    """Runs each call in a thread of its own, on one oracle that they share.

    Whoever submits keeps to `slots` calls at a time. A crash takes the campaign's process, and a
    call that hangs goes on unseen: it is given up after its time limit, and its thread left behind.
    """

    def __init__(self, asked: Asked, slots: int) -> None:
        self.slots = slots
        self._asked = asked
        self._oracle: Oracle = build("problem", asked.problem).oracle

    def submit(self, call: Call) -> "Future[Reply]":
        """Begin a call."""
        reply: Future[Reply] = Future()
        late = Trouble("late", f"{LATE} {call.timeout:g} s", call.timeout)
        limit = threading.Timer(call.timeout, _settle, (reply, late))
        # Daemons: the interpreter waits for neither at its end.
        limit.daemon = True
        limit.start()
        threading.Thread(target=self._call, args=(call, reply, limit), daemon=True).start()
        return reply

    def close(self) -> None:
        """Nothing to end: calls that go on are given up."""

    def _call(self, call: Call, reply: "Future[Reply]", limit: threading.Timer) -> None:
        _settle(reply, evaluate(self._oracle, self._asked, call))
        limit.cancel()


def _settle(reply: "Future[Reply]", found: Reply) -> None:
    """Give a call its reply, unless it has one."""
    with suppress(InvalidStateError):
        reply.set_result(found)
