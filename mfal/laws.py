"""Laws of `mfal.testing` held one by one, here or in a process of their own."""

import multiprocessing
import os
import signal
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.process import BaseProcess
from typing import cast

import torch

from mfal.errors import MfalError
from mfal.process import end_with
from mfal.scoring.calls import DIED, LATE
from mfal.testing import OracleChecks

LAST_SECONDS = 60.0  # for a process to be gone that has closed its line


def tests_of(checks: object) -> list[str]:
    """Names of the tests of a suite."""
    return [name for name in dir(checks) if name.startswith("test_")]


def in_words(name: str) -> str:
    """The law that a test is named after."""
    return name.removeprefix("test_").replace("_", " ")


def broken(checks: object, name: str) -> str | None:
    """Why a law does not hold; None where it does."""
    try:
        getattr(checks, name)()
    except AssertionError as error:
        return str(error)
    except MfalError as error:
        return error.message
    except (Exception, SystemExit) as error:  # of a user's code: it is what is wrong
        return f"{type(error).__name__}: {error}"
    return None


class Apart:
    """Holds an oracle to its laws in a process of its own: what ends or blocks that breaks a law.

    Args:
        limit: Seconds that a law has.
    """

    def __init__(self, checks: OracleChecks, limit: float) -> None:
        self._checks, self._limit = checks, limit
        self._running: tuple[SpawnProcess, Connection] | None = None

    def broken(self, name: str) -> str | None:
        """Why a law does not hold; None where it does."""
        process, line = self._running = self._running or self._start()
        with suppress(EOFError, OSError):
            line.send(name)
            ended = wait([line, process.sentinel], self._limit)
            if line in ended:
                found: str | None = line.recv()
                return found
            if not ended:
                self.close()
                return f"{LATE} {self._limit:.0f} s"
        process.join(LAST_SECONDS)
        self.close()
        return f"{DIED} (exit code {process.exitcode})"

    def close(self) -> None:
        """End the process, and what the oracle has started there."""
        if self._running is not None:
            (process, line), self._running = self._running, None
            with suppress(ProcessLookupError):
                os.killpg(cast(int, process.pid), signal.SIGKILL)
            process.kill()  # which may have had no time to lead a group
            process.join()
            line.close()

    def _start(self) -> "tuple[SpawnProcess, Connection]":
        here, there = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_hold, args=(there, self._checks)
        )
        process.start()
        there.close()
        return process, here


def _hold(line: Connection, checks: OracleChecks) -> None:
    """The inside of that process: say of each law that is named why it does not hold."""
    os.setpgrp()
    os.dup2(2, 1)  # what is printed goes to stderr, that of native code, too
    end_with(cast(BaseProcess, multiprocessing.parent_process()).sentinel, os.getpgrp())
    torch.set_num_threads(1)  # as in a worker: numbers depend on it
    with suppress(EOFError):
        while True:
            line.send(broken(checks, line.recv()))
