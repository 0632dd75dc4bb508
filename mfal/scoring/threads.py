"""Threads of this process: for oracles that wait for something rather than compute."""

import queue
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from mfal.registry import build
from mfal.scoring.calls import LATE, Asked, Call, Reply, Trouble, evaluate
from mfal.types import Oracle


class Threads:
    """Runs calls in threads, at most `slots` at a time, on one oracle that they share.

    A crash takes the campaign's process, and a call that hangs goes on unseen: it is given up
    after its time limit, and its thread left behind.
    """

    def __init__(self, asked: Asked, slots: int) -> None:
        self.slots = slots
        self._asked = asked
        self._oracle: Oracle = build("problem", asked.problem).oracle
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="mfal-thread")

    def submit(self, call: Call) -> "Future[Reply]":
        """Begin a call."""
        return self._threads.submit(self._call, call)

    def close(self) -> None:
        """Begin no more calls."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _call(self, call: Call) -> Reply:
        replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        started = time.perf_counter()
        # A daemon: the interpreter does not wait for it at its end.
        threading.Thread(
            target=lambda: replies.put(evaluate(self._oracle, self._asked, call)), daemon=True
        ).start()
        try:
            return replies.get(timeout=call.timeout)
        except queue.Empty:
            seconds = time.perf_counter() - started
            return Trouble("late", f"{LATE} {call.timeout:g} s", seconds)
