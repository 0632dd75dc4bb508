"""Who makes the calls, by configuration."""

from concurrent.futures import Future
from typing import Protocol

from mfal.scoring.calls import Asked, Call, Reply
from mfal.scoring.processes import Processes, usable_cores
from mfal.scoring.threads import Threads
from mfal.sections import ScoringConfig


class Runner(Protocol):
    """Makes calls side by side."""

    @property
    def slots(self) -> int:
        """How many calls it makes at the same time, at least one; may change as workers come."""
        ...

    def submit(self, call: Call) -> "Future[Reply]":
        """Begin a call. Its future raises MfalError where there is nobody to make it."""
        ...

    def close(self) -> None:
        """End whatever was started; calls that go on are given up."""
        ...


def start(asked: Asked, config: ScoringConfig) -> Runner:
    """The runner that the configuration names."""
    if config.runner == "dask":
        from mfal.scoring.dask import DaskRunner

        return DaskRunner(asked, config.address, config.workers)
    workers = config.workers or usable_cores()
    return Threads(asked, workers) if config.runner == "threads" else Processes(asked, workers)
