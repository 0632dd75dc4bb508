"""Asking oracles, one chunk at a time, in a worker process that may crash or hang.

Whatever goes wrong is an outcome with an error. A chunk that fails as a whole is asked again
one candidate at a time, so that a bad candidate costs only itself.
"""

import logging
import math
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager

from pebble import ProcessExpired, ProcessPool

from mfal.config import Component, ScoringConfig
from mfal.errors import MfalError
from mfal.registry import build
from mfal.types import Fidelity, Oracle, Outcome, Query

DIED = "the oracle's process died"  # begins the reason of such a failure
LATE = "no answer within"  # the same

log = logging.getLogger(__name__)

_oracle: Oracle | str | None = None  # of a worker process, or why there is none


class Scorer:
    """Answers queries through one worker process, started at the first call.

    Args:
        problem: How a worker builds the problem for itself.
        ladder: The campaign's fidelities.
        n_objectives: How many numbers an answer has.
    """

    def __init__(
        self,
        problem: Component,
        ladder: Sequence[Fidelity],
        n_objectives: int,
        config: ScoringConfig,
    ) -> None:
        self._problem = problem
        self._ladder = {f.name: f for f in ladder}
        self._n_objectives = n_objectives
        self._config = config
        self._pool: ProcessPool | None = None

    def chunks(self, queries: Sequence[Query]) -> Iterator[list[Query]]:
        """`queries` in chunks of at most `chunk_size`, one fidelity after the other."""
        for fidelity in dict.fromkeys(q.fidelity for q in queries):
            same = [q for q in queries if q.fidelity == fidelity]
            for i in range(0, len(same), self._config.chunk_size):
                yield same[i : i + self._config.chunk_size]

    def score(self, chunk: Sequence[Query]) -> list[Outcome]:
        """One outcome per query of a chunk (all at one fidelity), in order."""
        fidelity = self._ladder[chunk[0].fidelity]
        keys = [q.key for q in chunk]
        answers, error, seconds = self._call(keys, fidelity)
        if answers is not None:
            return answers
        if len(keys) == 1:
            return [Outcome(values=None, error=error, seconds=seconds)]
        log.warning("a chunk of %d failed (%s): asking one by one", len(keys), error)
        return [self.score([query])[0] for query in chunk]

    def close(self) -> None:
        """End the worker process."""
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()
            self._pool = None

    def _call(self, keys: list[str], fidelity: Fidelity) -> tuple[list[Outcome] | None, str, float]:
        """Checked answers, or None with the reason and the seconds it took to fail."""
        timeout = self._config.timeout_seconds
        started = time.perf_counter()
        arguments = (keys, fidelity, self._n_objectives)
        future = self._started_pool().schedule(_evaluate, args=arguments, timeout=timeout)
        try:
            answers = future.result()
        except FutureTimeoutError:
            answers = f"{LATE} {timeout:g} s"
        except ProcessExpired as expired:
            answers = f"{DIED} (exit code {expired.exitcode})"
        if isinstance(answers, str):
            return None, answers, time.perf_counter() - started
        return answers, "", 0.0

    def _started_pool(self) -> ProcessPool:
        if self._pool is None:
            self._pool = ProcessPool(
                max_workers=1,
                context=multiprocessing.get_context("spawn"),
                initializer=_build_oracle,
                initargs=(self._problem,),
            )
        return self._pool


@contextmanager
def scorer(
    problem: Component, ladder: Sequence[Fidelity], n_objectives: int, config: ScoringConfig
) -> Iterator[Scorer]:
    """A `Scorer` whose worker ends with the block."""
    made = Scorer(problem, ladder, n_objectives, config)
    try:
        yield made
    finally:
        made.close()


def _build_oracle(problem: Component) -> None:
    global _oracle
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _oracle = build("problem", problem).oracle
    except Exception as error:
        _oracle = f"{type(error).__name__}: {error}"


def _end_with_parent() -> None:
    """End this process when the campaign's is gone, even in the middle of a call that hangs."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _evaluate(keys: list[str], fidelity: Fidelity, n_objectives: int) -> list[Outcome] | str:
    """Checked outcomes, or what went wrong as text: an oracle's exceptions may not pickle."""
    if _oracle is None or isinstance(_oracle, str):
        raise MfalError(
            f"the problem cannot be built in a worker process: {_oracle}",
            "it was built in this one; nothing was charged",
        )
    try:
        answers = _oracle.evaluate(keys, fidelity)
        return _checked(answers, len(keys), n_objectives)
    except BaseException as raised:  # even an oracle's sys.exit() is an outcome
        return f"{type(raised).__name__}: {raised}"


def _checked(answers: object, n: int, n_objectives: int) -> list[Outcome] | str:
    """The outcomes with every value finite, or what is wrong with the answer as a whole."""
    if not isinstance(answers, Sequence) or isinstance(answers, str):
        return f"the oracle returned a {type(answers).__name__}, not a list of outcomes"
    if len(answers) != n:
        return f"the oracle returned {len(answers)} outcomes for {n} candidates"
    return [_checked_outcome(a, n_objectives) for a in answers]


def _checked_outcome(answer: object, n_objectives: int) -> Outcome:
    """The answer in plain numbers and text, a failure where it cannot be."""
    if not isinstance(answer, Outcome):
        return _failure(f"the oracle returned a {type(answer).__name__}, not an Outcome")
    try:
        seconds = float(answer.seconds)
        values = None if answer.values is None else tuple(float(v) for v in answer.values)
    except (TypeError, ValueError, OverflowError):
        return _failure(f"not numbers: values {answer.values!r}, seconds {answer.seconds!r}")
    if not math.isfinite(seconds) or seconds < 0:
        return _failure(f"not a time: {answer.seconds!r} seconds")
    if values is None:
        return Outcome(values=None, error=str(answer.error), seconds=seconds)
    if len(values) != n_objectives:
        return _failure(f"{len(values)} values for {n_objectives} objectives", seconds)
    if not all(map(math.isfinite, values)):
        return _failure(f"not a finite number: {values}", seconds)
    return Outcome(values=values, error=None, seconds=seconds)


def _failure(error: str, seconds: float = 0.0) -> Outcome:
    return Outcome(values=None, error=error, seconds=seconds)
