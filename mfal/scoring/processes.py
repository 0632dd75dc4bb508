"""Worker processes: an oracle that crashes or hangs takes one of them, and nothing else."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import cast

from mfal.errors import MfalError
from mfal.scoring.calls import DIED, GARBLED, LATE, Asked, Call, Reply, Trouble, TroubleKind
from mfal.scoring.channel import Channel, GarbledError

ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    ),
    "1",
)
"""Environment of a worker; torch, too, goes by it."""

FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM)
"""How a process ends that somebody else ended: a person, a scheduler, a system out of memory."""

LOOK = 0.5
"""Seconds after which whoever waits for a process looks whether it still runs."""

BUILDING = 600.0
"""Seconds that the problem may take to be built, or the time limit of a call if that is more."""


@dataclass(frozen=True)
class _Running:
    """A process, the line to it, and the folder of its temporary files."""

    process: "subprocess.Popen[bytes]"
    channel: Channel
    folder: "TemporaryDirectory[str]"


class WorkerProcess:
    """A process with an oracle of its own; started by the first call, replaced when it is gone."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._running: _Running | None = None
        self._number = 0
        self._ended = False

    def call(self, call: Call) -> Reply:
        """The reply to a call.

        Raises:
            MfalError: if no process can be started, or the problem cannot be built in one.
        """
        running = self._process(max(BUILDING, call.timeout))
        started = time.perf_counter()
        self._number += 1
        kind: TroubleKind
        try:
            running.channel.send((self._number, call), call.timeout)
            return self._reply(running, call.timeout)
        except TimeoutError:
            self.stop()
            kind, error = "late", f"{LATE} {call.timeout:g} s"
        except GarbledError as garbled:
            self.stop()
            kind, error = "garbled", f"{GARBLED}: {garbled.message}"
        except (EOFError, OSError):
            code = self.stop(patience=5.0)
            kind = "killed" if code in FROM_OUTSIDE else "died"
            error = f"{DIED} (exit code {code})"
        return Trouble(kind, error, time.perf_counter() - started)

    def end(self) -> None:
        """Have a call that goes on in another thread come to its end, and the process too."""
        self._ended = True
        if self._running is not None:
            _kill(self._running.process)

    def stop(self, patience: float = 0.0) -> int | None:
        """Wait so many seconds, then end the process and all that it started.

        What they left in their folder for temporary files, which an ended program does not tidy
        up, is removed.

        Returns:
            Its exit code; None if there was no process.
        """
        if self._running is None:
            return None
        running, self._running = self._running, None
        process = running.process
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
        _kill(process)
        running.channel.close()
        if process.stdin is not None:
            process.stdin.close()
        code = process.wait()
        running.folder.cleanup()
        return code

    def _reply(self, running: _Running, limit: float) -> Reply:
        """The reply to the call that was sent last; raises as `_received` does."""
        number, reply = cast(tuple[int, Reply], _received(running, limit))
        if number != self._number:
            raise GarbledError(f"a reply to call {number} instead of {self._number}")
        return reply

    def _process(self, limit: float) -> _Running:
        """The process, which is started if need be and has so many seconds for that."""
        if self._running is not None:
            if self._running.process.poll() is None:
                return self._running
            self.stop()
        return self._start(limit)

    def _start(self, limit: float) -> _Running:
        running = self._running = _started()
        if self._ended:
            _kill(running.process)
        try:
            running.channel.send(self._asked, limit)
            error = _received(running, limit)
        except TimeoutError:
            error = f"that takes longer than {limit:g} s"
        except GarbledError as garbled:
            error = f"{GARBLED}: {garbled.message}"
        except (EOFError, OSError):
            error = f"it died (exit code {self.stop(patience=5.0)})"
        if error is not None:
            self.stop()
            raise MfalError(
                f"the problem cannot be built in a worker process: {error}",
                "it was built in the campaign's own; nothing was charged",
            )
        return running


def _started() -> _Running:
    """A new process."""
    try:
        folder = TemporaryDirectory(prefix="mfal-worker-", ignore_cleanup_errors=True)
        here, there = socket.socketpair()
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from mfal.scoring.worker import main; main({there.fileno()})"
        )
        with there:
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.PIPE,  # the worker ends when this is closed
                stdout=2,  # stderr: what an oracle prints is no part of a command's JSON
                pass_fds=[there.fileno()],
                env=os.environ | ONE_THREAD | {"TMPDIR": folder.name},
                process_group=0,
            )
    except OSError as error:
        raise MfalError(
            f"no worker process can be started: {error}",
            "see that this Python has not been moved or removed and that the system takes another "
            "process; what was recorded is safe, and the same command goes on",
        ) from error
    return _Running(process, Channel(here), folder)


def _received(running: _Running, limit: float) -> object:
    """What a process sends within so many seconds; raises as `Channel.receive` does.

    As soon as it is dead there is nothing to wait for, though something that it forked may hold
    its end of the line open.
    """
    until = time.monotonic() + limit
    while True:
        dead = running.process.poll() is not None  # what it had sent before is there to be read
        left = until - time.monotonic()
        try:
            return running.channel.receive(0.0 if dead else min(left, LOOK))
        except TimeoutError:
            if dead:
                raise EOFError from None
            if left <= LOOK:
                raise


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End a process and its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class WorkerProcesses:
    """As many worker processes as there are calls at the same time. Any thread may call."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._lock = threading.Lock()
        self._idle: list[WorkerProcess] = []
        self._busy: list[WorkerProcess] = []
        self._ended = False

    def call(self, call: Call) -> Reply:
        """The reply of whichever worker is idle, or of a new one."""
        with self._lock:
            if self._ended:
                raise MfalError("the workers have been ended", "this is a defect of mfal")
            worker = self._idle.pop() if self._idle else WorkerProcess(self._asked)
            self._busy.append(worker)
        try:
            return worker.call(call)
        finally:
            with self._lock:
                self._busy.remove(worker)
                if self._ended:
                    worker.stop()
                else:
                    self._idle.append(worker)

    @property
    def busy(self) -> bool:
        """Whether a call goes on."""
        return bool(self._busy)

    def end(self) -> None:
        """End all processes, also those in the middle of a call; no call may follow."""
        with self._lock:
            self._ended = True
            for worker in self._busy:
                worker.end()
            for worker in self._idle:
                worker.stop()


class Processes:
    """Runs calls in worker processes of this machine, at most `slots` at a time."""

    def __init__(self, asked: Asked, slots: int) -> None:
        self.slots = slots
        self._workers = WorkerProcesses(asked)
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="mfal-worker")

    def submit(self, call: Call) -> "Future[Reply]":
        """Begin a call."""
        return self._threads.submit(self._workers.call, call)

    def close(self) -> None:
        """End all processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._workers.end()
        self._threads.shutdown()


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
