"""Running what is left of a comparison: a process per run, a ledger each, nothing ever lost."""

import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mfal.budget import total_cost
from mfal.campaign import Campaign, open_campaign
from mfal.compare.config import Comparison
from mfal.config import CampaignConfig
from mfal.errors import ConfigError, MfalError, NoLedgerError
from mfal.ledger.reading import read_ledger
from mfal.round import run_rounds
from mfal.stopping import stop_reason

DONE = "done"  # a file in the folder of a run that came to its end: what its end depends on
Ended = tuple[float, str]  # seconds that it took, and why it ended
LOOK_EVERY = 3.0  # seconds between looks at the ledgers


@dataclass(frozen=True)
class Run:
    """A method with a seed."""

    method: str
    seed: int
    config: CampaignConfig

    @property
    def name(self) -> str:
        """Of its folder, too."""
        return self.config.name

    @property
    def spent(self) -> float:
        """Campaign units in its ledger so far."""
        try:
            with read_ledger(self.config.ledger_url, self.name, self.config.identity()) as ledger:
                return ledger.spent()
        except NoLedgerError:
            return 0.0

    @property
    def has_begun(self) -> bool:
        """Whether there is anything in its ledger."""
        try:
            with read_ledger(self.config.ledger_url, self.name, self.config.identity()) as ledger:
                return bool(ledger.rounds())
        except NoLedgerError:
            return False

    @property
    def is_done(self) -> bool:
        """Whether it came to its end, with the budget and the limits that it has now."""
        path = self.config.folder / DONE
        return path.is_file() and path.read_text() == _limits(self.config)


class RunProgress(Protocol):
    """Is told how a comparison goes on."""

    def state(self, spent: dict[str, float], running: Sequence[str], seconds_left: float) -> None:
        """What each run has spent, which are running, and an estimate of the time left."""
        ...

    def ended(self, run: Run, seconds: float, why: str) -> None:
        """A run came to its end, after so many seconds of this time."""
        ...


class Silent:
    """Progress that nobody watches."""

    def state(self, spent: dict[str, float], running: Sequence[str], seconds_left: float) -> None:
        """Say nothing."""

    def ended(self, run: Run, seconds: float, why: str) -> None:
        """Say nothing."""


def runs_of(comparison: Comparison) -> list[Run]:
    """All runs, seed by seed, so that every method has its first seed early."""
    return [
        Run(method, seed, comparison.config(method, seed))
        for seed in comparison.seeds
        for method in comparison.methods
    ]


def run_comparison(comparison: Comparison, progress: RunProgress | None = None) -> list[Run]:
    """Run to their ends all runs that have not come there yet; returns all runs.

    A run that was killed goes on where its ledger ends, as any campaign does.

    Raises:
        MfalError: naming the runs that failed, after the others have ended.
    """
    watch = progress or Silent()
    runs = runs_of(comparison)
    check_designs(comparison, runs)
    left = [run for run in runs if not run.is_done]
    failed: dict[str, str] = {}
    with _workers(comparison.processes) as pool:
        clock = _Clock(runs)
        futures: dict[Future[Ended], Run] = {pool.submit(_work, run.config): run for run in left}
        while futures:
            done, _ = wait(futures, timeout=LOOK_EVERY, return_when=FIRST_COMPLETED)
            for future in done:
                run = futures.pop(future)
                if isinstance(error := future.exception(), MfalError):
                    failed[run.name] = error.message
                else:
                    watch.ended(run, *future.result())
            spent = {run.name: run.spent for run in runs}
            running = [run.name for future, run in futures.items() if future.running()]
            finished = [run.name for run in runs if run.is_done]
            watch.state(spent, running, clock.seconds_left(spent, finished))
    if failed:
        raise MfalError(
            "\n".join(f"{name}: {message}" for name, message in failed.items()),
            "the other runs have ended; mend this and run the same command again",
        )
    return runs


def check_designs(comparison: Comparison, runs: Sequence[Run]) -> None:
    """Raise ConfigError unless all methods begin from designs of one cost.

    As near as may be: to less than what a query at the target costs.
    """
    costs: dict[str, float] = {}
    dearest = 0.0
    for run in runs:
        if run.method in costs:
            continue
        with open_campaign(run.config, f"{comparison.name}: methods.{run.method}") as campaign:
            costs[run.method] = design_cost(campaign)
            dearest = max(dearest, campaign.target.cost)
    if max(costs.values()) - min(costs.values()) >= dearest:
        raise ConfigError(
            f"{comparison.name}: the initial designs do not cost the same: "
            + ", ".join(f"{method} {cost:g}" for method, cost in costs.items()),
            "set initial.queries of each method that uses other fidelities",
        )


def design_cost(campaign: Campaign) -> float:
    """What the initial design costs."""
    return total_cost(
        campaign.cost(name) for name, n in campaign.initial_counts.items() for _ in range(n)
    )


class _Clock:
    """Estimates the time left from how long it took to spend what was spent here."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._budgets = {run.name: run.config.budget.total for run in runs}
        self._before = {run.name: run.spent for run in runs}
        self._started = time.monotonic()

    def seconds_left(self, spent: dict[str, float], done: Sequence[str]) -> float:
        """Infinite until something was spent."""
        here = sum(spent[name] - self._before[name] for name in spent)
        rest = sum(total - spent[name] for name, total in self._budgets.items() if name not in done)
        if rest <= 0:
            return 0.0
        return (time.monotonic() - self._started) * rest / here if here > 0 else float("inf")


@contextmanager
def _workers(n: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end when this one does, however that comes about."""
    pool = ProcessPoolExecutor(
        n, mp_context=multiprocessing.get_context("spawn"), initializer=_begin
    )
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    pool.shutdown()


def _begin() -> None:
    logging.getLogger("mfal").addHandler(logging.NullHandler())
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the comparison's is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(config: CampaignConfig) -> Ended:
    """Seconds that a run took to its end, and why it ended."""
    started = time.perf_counter()
    with open_campaign(config, config.name) as campaign:
        run_rounds(campaign, None)
        why = stop_reason(campaign) or f"nothing is left to ask, with {campaign.left:g} unspent"
    _mark(config.folder / DONE, _limits(config))
    return time.perf_counter() - started, why


def _limits(config: CampaignConfig) -> str:
    """What decides when a campaign ends, as text."""
    return config.model_dump_json(include={"budget", "stop"})


def _mark(path: Path, text: str) -> None:
    """Write a small file in one step."""
    whole = path.with_suffix(f".{os.getpid()}")
    whole.write_text(text)
    whole.replace(path)
