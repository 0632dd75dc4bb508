"""A problem held to the laws of its environment and its oracle, outside of any campaign."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mfal.envs.base import Environment
from mfal.envs.keys import check_keys
from mfal.errors import MfalError
from mfal.gfn.pool import read_keys
from mfal.ladder import ask
from mfal.laws import Apart, broken, in_words, tests_of
from mfal.problem import build_environment, build_problem
from mfal.propose import random_candidates
from mfal.reasons import commonest
from mfal.scoring.calls import DIED, GARBLED, LATE
from mfal.scoring.scorer import scorer
from mfal.sections import Component, ScoringConfig
from mfal.testing import EnvironmentChecks, OracleChecks
from mfal.types import Fidelity, Objective, Outcome, Problem

FEW = 8
"""Random candidates that an oracle is asked about where nobody says how many."""

PATIENCE, AGAIN = 60.0, 10
"""A law of the oracle has so many seconds, and so many times those of asking about everything."""

Answers = tuple[list[Outcome], float] | str
"""Outcomes in the order of the candidates and seconds for each, or why there are none."""


@dataclass(frozen=True, slots=True)
class Law:
    """A law of a suite, and why it does not hold; None where it does."""

    suite: str
    name: str
    broken: str | None


@dataclass(frozen=True, slots=True)
class Rung:
    """A fidelity as it was found.

    Attributes:
        asked: Candidates that it was asked about; 0 where people measure it.
        failed: How many of them failed; None where none could be asked.
        reason: What most of these say, and how many do.
        seconds: Wall time per candidate, of one worker process; the first call of all left out.
    """

    fidelity: Fidelity
    backend: str
    asked: int
    failed: int | None
    reason: tuple[str, int] | None
    seconds: float | None


@dataclass(frozen=True)
class CheckReport:
    """What came of a check."""

    problem: str
    title: str
    objectives: tuple[Objective, ...]
    laws: tuple[Law, ...]
    rungs: tuple[Rung, ...]

    @property
    def passed(self) -> bool:
        """Whether every law holds."""
        return all(law.broken is None for law in self.laws)


def check_problem(
    component: Component,
    n: int | None = None,
    seed: int = 0,
    *,
    file: Path | None = None,
    timeout_seconds: float = 60.0,
    on_step: Callable[[str], None] = lambda _: None,
) -> CheckReport:
    """Hold the problem that `component` names to the laws of `mfal.testing`.

    Its oracle is first asked by a worker process, as in a round. Candidates that end that, or
    have no answer in time, break a law, and are asked nothing more. A script calls this under
    ``if __name__ == "__main__":``, for the laws of the oracle are held in a process of their own.

    Args:
        n: Candidates that the oracle is asked about, some ten times each; by default 8, or all
            of the file.
        seed: Of their drawing.
        file: Candidates to draw from, one a line; random ones where there is none.
        timeout_seconds: Longest that one candidate may take.
        on_step: Told what is done next.

    Raises:
        MfalError: where the problem or its environment cannot be built at all, or the file not
            be read.
    """
    built = build_problem(component)
    made = build_environment(built, component.name)  # or each law would say why it cannot be
    keys = _keys(made, built.oracle.fidelities, n, seed, file)
    on_step("laws of the environment")
    environment = _EnvironmentOf(built)
    environment.seed = seed
    laws = [_law("environment", name, broken(environment, name)) for name in tests_of(environment)]
    started = time.perf_counter()
    answers = _asked(built, component, keys or [], timeout_seconds, on_step)
    limit = PATIENCE + AGAIN * (time.perf_counter() - started)
    harm = _harm(keys or [], answers)
    laws.append(Law("oracle", "asking does no harm", _why(answers, harm)))
    oracle = _OracleOf()
    oracle.problem, oracle.options = component.name, component.options
    oracle.n, oracle.seed, oracle.timeout_seconds = n or FEW, seed, timeout_seconds
    oracle.given = None if keys is None else [key for key in keys if key not in harm]
    with closing(Apart(oracle, limit)) as apart:
        for name in tests_of(oracle):
            on_step(f"oracle: {in_words(name)}")
            laws.append(_law("oracle", name, apart.broken(name)))
    rungs = tuple(_rung(built, f, answers.get(f.name)) for f in built.oracle.fidelities)
    objectives = tuple(built.oracle.objectives)
    return CheckReport(component.name, built.name, objectives, tuple(laws), rungs)


class _EnvironmentOf(EnvironmentChecks):
    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def environment(self) -> Environment:
        return self._problem.environment()


class _OracleOf(OracleChecks):
    given: Sequence[str] | None = None  # candidates to ask about, instead of random ones

    @cached_property
    def keys(self) -> list[str]:
        return super().keys if self.given is None else list(self.given)


def _keys(
    environment: Environment,
    ladder: Sequence[Fidelity],
    n: int | None,
    seed: int,
    file: Path | None,
) -> list[str] | None:
    """The candidates to ask about; None where none can be drawn, which the laws name."""
    if file is not None:
        listed = read_keys(file, environment)
        check_keys(environment, listed, str(file))
        return random.Random(seed).sample(listed, min(n or len(listed), len(listed)))
    try:
        return random_candidates(environment, ladder, n or FEW, seed)
    except (Exception, SystemExit):
        return None


def _asked(
    problem: Problem,
    component: Component,
    keys: Sequence[str],
    timeout: float,
    on_step: Callable[[str], None],
) -> dict[str, Answers]:
    """Name of a fidelity -> what a worker process says of the candidates there."""
    oracle, found = problem.oracle, dict[str, Answers]()
    config = ScoringConfig(workers=1, timeout_seconds=timeout)
    with scorer(component, oracle.fidelities, len(oracle.objectives), config) as asker:
        for f in oracle.fidelities:
            if f.manual or not keys:
                continue
            on_step(f"{f.name}: asking about {len(keys)} candidates")
            try:
                found[f.name] = ask(asker, keys, f)
            except MfalError as error:
                found[f.name] = error.message
                asker.close()  # it would go on with what is left
    return found


def _harm(keys: Sequence[str], answers: Mapping[str, Answers]) -> dict[str, str]:
    """Candidates that ended the worker process, or were not answered in time, and what was said."""
    said: dict[str, str] = {}
    for name, found in answers.items():
        outcomes = [] if isinstance(found, str) else found[0]
        for key, outcome in zip(keys, outcomes, strict=False):
            if (outcome.error or "").startswith((DIED, LATE, GARBLED)):
                said.setdefault(key, f"{name}: {key[:40]!r}: {outcome.error}")
    return said


def _why(answers: Mapping[str, Answers], harm: Mapping[str, str]) -> str | None:
    """Why asking did harm; None where it did not."""
    for name, found in answers.items():
        if isinstance(found, str):
            return f"{name}: {found}"
    if not harm:
        return None
    first, *others = harm.values()
    more = f", like {len(others)} more," if others else ""
    return f"{first}; the candidate{more} is asked nothing else"


def _rung(problem: Problem, fidelity: Fidelity, answers: Answers | None) -> Rung:
    backend = problem.oracle.backends.get(fidelity.name, "")
    if answers is None or isinstance(answers, str):
        return Rung(fidelity, backend, 0, None, None, None)
    outcomes, seconds = answers
    failed = sum(o.values is None for o in outcomes)
    return Rung(fidelity, backend, len(outcomes), failed, commonest(outcomes), seconds)


def _law(suite: str, test: str, broken: str | None) -> Law:
    return Law(suite, in_words(test), broken)
