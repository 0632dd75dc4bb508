"""Running what is left of a comparison: a process per run, a ledger each, nothing ever lost."""

import logging
import multiprocessing
import os
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass

from mfal.campaign import open_campaign
from mfal.compare.checks import check_runs
from mfal.compare.config import Comparison
from mfal.compare.outside import score_outside
from mfal.compare.runs import Look, Run, mark_done, runs_of
from mfal.config import CampaignConfig
from mfal.digits import amount
from mfal.errors import MfalError
from mfal.round import run_rounds
from mfal.stopping import stop_reason

Ended = tuple[float, str]  # seconds that it took, and why it ended
LOOK_EVERY = 3.0  # seconds between looks at the ledgers

GONE = (
    "a process ended without a word, killed or out of memory (then lower `processes`), and "
    "whatever ran beside it was ended, too"
)
"""Why runs have no end where the pool of processes is broken."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failed:
    """Why a run did not come to its end. In words: not every exception crosses processes.

    Attributes:
        traceback: Of what is no error that a user is meant to read.
    """

    why: str
    traceback: str = ""


class RunProgress:
    """Is told how a comparison goes on; this one says nothing to anybody."""

    def state(self, spent: dict[str, float], running: Sequence[str], seconds_left: float) -> None:
        """What each run has spent, which are running, and an estimate of the time left."""

    def ended(self, run: Run, seconds: float, why: str) -> None:
        """A run came to its end, after so many seconds of this time."""


def run_comparison(comparison: Comparison, progress: RunProgress | None = None) -> list[Run]:
    """Run to their ends all runs that have not come there yet; returns all runs.

    A run that was killed goes on where its ledger ends, as any campaign does. Where the measure
    wants it, everything that was queried is scored at the target outside the budget then.

    Raises:
        MfalError: naming the runs that failed, after the others have ended.
    """
    watch = progress or RunProgress()
    runs = runs_of(comparison)
    looks = [run.look() for run in runs]
    check_runs(comparison, looks)
    spent = {look.run.name: look.spent for look in looks}
    finished = {look.run.name for look in looks if look.is_done}
    left = [run for run in runs if run.name not in finished]
    failed: dict[str, Failed] = {}
    with _workers(comparison.processes) as pool:
        clock = _Clock(looks)
        futures = {pool.submit(_work, run.config): run for run in left}
        while futures:
            done, _ = wait(futures, timeout=LOOK_EVERY, return_when=FIRST_COMPLETED)
            for future in done:
                run, ended = futures.pop(future), _result(future)
                spent[run.name] = run.look().spent
                if isinstance(ended, Failed):
                    failed[run.name] = ended
                else:
                    finished.add(run.name)
                    watch.ended(run, *ended)
            running = [run for future, run in futures.items() if future.running()]
            spent |= {run.name: run.look().spent for run in running}
            seconds_left = clock.seconds_left(spent, finished | failed.keys())
            watch.state(spent, [run.name for run in running], seconds_left)
    if failed:
        raise _failure(failed)
    if comparison.measure.outside:
        score_outside(comparison)
    return runs


def _result(future: Future[Ended | Failed]) -> Ended | Failed:
    """What became of a run."""
    try:
        return future.result()
    except BrokenProcessPool:
        return Failed(GONE)


def _failure(failed: Mapping[str, Failed]) -> MfalError:
    """One error for all runs that failed; those that did for the same reason in one line."""
    names: dict[str, list[str]] = {}
    for name, one in failed.items():
        names.setdefault(one.why, []).append(name)
        if one.traceback:
            log.error("%s failed:\n%s", name, one.traceback)
    return MfalError(
        "\n".join(f"{', '.join(sorted(of_it))}: {why}" for why, of_it in names.items()),
        "the other runs have ended; mend this and run the same command again: it goes on where "
        "the ledgers end",
    )


class _Clock:
    """Estimates the time left from how long it took to spend what was spent here."""

    def __init__(self, looks: Sequence[Look]) -> None:
        self._budgets = {look.run.name: look.run.config.budget.total for look in looks}
        self._before = {look.run.name: look.spent for look in looks}
        self._started = time.monotonic()

    def seconds_left(self, spent: dict[str, float], done: AbstractSet[str]) -> float:
        """Infinite until something was spent; of those that have not ended, well or badly."""
        here = sum(spent[name] - self._before[name] for name in spent)
        rest = sum(total - spent[name] for name, total in self._budgets.items() if name not in done)
        if rest <= 0:
            return 0.0
        return (time.monotonic() - self._started) * rest / here if here > 0 else float("inf")


@contextmanager
def _workers(n: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end when this one does, however that comes about."""
    others = multiprocessing.active_children()  # of whoever calls this
    pool = ProcessPoolExecutor(
        n, mp_context=multiprocessing.get_context("spawn"), initializer=_begin
    )
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            if process not in others:
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


def _work(config: CampaignConfig) -> Ended | Failed:
    """Run a campaign to its end, whatever its parts do."""
    try:
        return _to_its_end(config)
    except MfalError as error:
        return Failed(error.message)
    except Exception as error:
        return Failed(f"{type(error).__name__}: {error}", traceback.format_exc())


def _to_its_end(config: CampaignConfig) -> Ended:
    """Seconds that a run took to its end, and why it ended."""
    started = time.perf_counter()
    with open_campaign(config, config.name) as campaign:
        run_rounds(campaign, None)
        why = (
            stop_reason(campaign) or f"nothing is left to ask, with {amount(campaign.left)} unspent"
        )
    mark_done(config)
    return time.perf_counter() - started, why
