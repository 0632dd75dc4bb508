"""Ctrl-C while modules are loaded counts, and counts afterwards."""

import signal
from collections.abc import Iterator

import pytest

from mfal.cli.interrupts import interrupt_waits


@pytest.fixture(autouse=True)
def interrupts_count() -> Iterator[None]:
    """Python's own handler, also where a script runs the tests in the background, which ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_counts_when_the_block_has_ended() -> None:
    loaded = []
    with pytest.raises(KeyboardInterrupt), interrupt_waits():
        signal.raise_signal(signal.SIGINT)
        loaded.append("torch")
    assert loaded == ["torch"]
    with pytest.raises(KeyboardInterrupt):  # as before
        signal.raise_signal(signal.SIGINT)


def test_without_an_interrupt_nothing_is_raised() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupt_waits():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_of_the_block_is_not_replaced() -> None:
    with pytest.raises(ImportError), interrupt_waits():
        signal.raise_signal(signal.SIGINT)
        raise ImportError("torch is missing")
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_where_interrupts_are_ignored_they_stay_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupt_waits():
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
