"""A Dask cluster: the worker processes of `mfal.scoring.processes`, on other machines as well.

A Dask worker does not call the oracle itself. It keeps a worker process as the campaign does on
one machine, so that time limits, crashes and single threads are the same everywhere.
"""

import importlib
import logging
import threading
import time
import uuid
from concurrent.futures import Future
from contextlib import suppress
from types import ModuleType
from typing import Any

from mfal.errors import MfalError, MissingDependencyError
from mfal.scoring.calls import Asked, Call, Reply, Trouble
from mfal.scoring.processes import WorkerProcesses, usable_cores

NOBODY = 60.0
"""Seconds for which a cluster may be without workers before a campaign gives up."""

CONNECT = 10.0
"""Seconds within which a scheduler must answer."""

IDLE = 60.0
"""Seconds after which a Dask worker ends the idle processes of other campaigns."""

_lock = threading.Lock()
_workers: dict[str, tuple[WorkerProcesses, float]] = {}
"""In a Dask worker: campaign -> its processes, and when they were last called."""


class DaskRunner:
    """Runs calls on a Dask cluster.

    Args:
        address: Of a running scheduler; None for a cluster of `workers` processes on this
            machine that listens on loopback only and ends with this runner.
        workers: Most calls at the same time; None for as many as the cluster has threads.

    Raises:
        MissingDependencyError: without Dask.
        MfalError: if no scheduler answers at the address.
    """

    def __init__(self, asked: Asked, address: str | None, workers: int | None) -> None:
        self._asked = asked
        self._campaign = uuid.uuid4().hex
        self._most = workers
        self._someone = time.monotonic()
        self._cluster = None if address else _local_cluster(workers or usable_cores())
        self._client: Any = _client(address or self._cluster)  # Dask's methods have no types
        self._executor = self._client.get_executor(pure=False)

    @property
    def slots(self) -> int:
        """Threads of the cluster, or `workers` if that is less."""
        try:
            threads = int(sum(self._client.nthreads().values()))
        except OSError as error:
            raise _gone() from error
        if threads:
            self._someone = time.monotonic()
        elif time.monotonic() - self._someone > NOBODY:
            raise MfalError(
                f"the Dask cluster has had no worker for {NOBODY:g} s",
                "start workers: dask worker ADDRESS --nthreads 1; what was recorded is safe, "
                "and the same command goes on",
            )
        return max(1, min(threads, self._most or threads))

    def submit(self, call: Call) -> "Future[Reply]":
        """Begin a call on any worker."""
        reply: Future[Reply] = Future()
        there = self._executor.submit(call_in_worker, self._campaign, self._asked, call)
        there.add_done_callback(lambda done: _hand_over(done, reply))
        return reply

    def close(self) -> None:
        """End what this campaign started on the cluster, and leave it."""
        with suppress(OSError, TimeoutError):  # a scheduler that is gone
            self._client.run(forget, self._campaign, on_error="ignore")
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def call_in_worker(campaign: str, asked: Asked, call: Call) -> Reply:
    """In a Dask worker: the reply of a process of its own."""
    now = time.monotonic()
    with _lock:
        for other, (processes, used) in list(_workers.items()):
            # Such as those of a campaign that was killed.
            if other != campaign and not processes.busy and now - used > IDLE:
                del _workers[other]
                processes.end()
        processes, _ = _workers.get(campaign) or (WorkerProcesses(asked), now)
        _workers[campaign] = processes, now
    return processes.call(call)


def forget(campaign: str) -> None:
    """In a Dask worker: end the processes of a campaign."""
    with _lock:
        found = _workers.pop(campaign, None)
    if found is not None:
        found[0].end()


def _hand_over(done: "Future[Reply]", reply: "Future[Reply]") -> None:
    """Set `reply` to what a call on the cluster came to."""
    from distributed import KilledWorker

    if done.cancelled():
        reply.set_exception(_gone())
        return
    error = done.exception()
    if isinstance(error, KilledWorker):
        died = f"{error.allowed_failures + 1} Dask workers died while they asked"
        reply.set_result(Trouble("killed", died, 0.0))
    elif isinstance(error, MfalError):
        reply.set_exception(error)
    elif error is not None:
        reply.set_exception(
            MfalError(
                f"the Dask cluster cannot make the call: {type(error).__name__}: {error}",
                "every machine needs the same mfal and Python, and the problem's own packages",
            )
        )
    else:
        reply.set_result(done.result())


def _gone() -> MfalError:
    return MfalError(
        "the Dask scheduler is gone",
        "start it again; what was recorded is safe, and the same command goes on",
    )


def _local_cluster(workers: int) -> Any:  # noqa: ANN401
    return _distributed().LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        silence_logs=logging.ERROR,
    )


def _client(where: Any) -> Any:  # noqa: ANN401
    try:
        return _distributed().Client(where, set_as_default=False, timeout=CONNECT)
    except (OSError, ValueError) as error:
        raise MfalError(
            f"scoring.address: no Dask scheduler answers at {where}: {error}",
            "start one: dask scheduler; an address looks like tcp://192.168.1.10:8786",
        ) from error


def _distributed() -> ModuleType:
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise MissingDependencyError(
            "scoring.runner: dask needs the package distributed, which is not installed",
            "in the checkout of mfal: make setup, or pip install -e '.[dask]'",
        ) from error
