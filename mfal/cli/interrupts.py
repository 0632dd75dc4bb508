"""Ctrl-C while modules are loaded."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupt_waits() -> Iterator[None]:
    """An interrupt counts when the block has ended, for torch's loading takes some seconds.

    Halfway, torch takes it for a broken NumPy and goes on: the round would begin all the same.
    Where interrupts are ignored (a script's background jobs) or handled otherwise, that stays.

    Raises:
        KeyboardInterrupt: after the block, if there was an interrupt in it.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        yield
        return
    interrupted = False

    def note(*_: object) -> None:
        nonlocal interrupted
        interrupted = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupted:
        raise KeyboardInterrupt
