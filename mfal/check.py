"""A problem held to the laws of its environment and its oracle, outside of any campaign."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from mfal.envs.base import Environment
from mfal.errors import MfalError
from mfal.problem import build_problem
from mfal.sections import Component
from mfal.testing import EnvironmentChecks, OracleChecks
from mfal.types import Fidelity, Problem


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
        failed: How many of them failed; None where none was asked or the oracle raised.
        seconds: Wall time per candidate, the first call of all left out.
    """

    fidelity: Fidelity
    backend: str
    asked: int
    failed: int | None
    seconds: float | None


@dataclass(frozen=True)
class CheckReport:
    """What came of a check."""

    problem: str
    title: str
    laws: tuple[Law, ...]
    rungs: tuple[Rung, ...]

    @property
    def passed(self) -> bool:
        """Whether every law holds."""
        return all(law.broken is None for law in self.laws)


def check_problem(component: Component, n: int = 8, seed: int = 0) -> CheckReport:
    """Hold the problem that `component` names to the laws of `mfal.testing`.

    Args:
        n: Random candidates that the oracle is asked about, some ten times each.
        seed: Of their drawing.

    Raises:
        MfalError: where the problem cannot be built at all.
    """
    built = build_problem(component)
    environment, oracle = _EnvironmentOf(built), OracleChecks()
    environment.seed = oracle.seed = seed
    oracle.problem, oracle.options, oracle.n = component.name, component.options, n
    return CheckReport(
        component.name,
        built.name,
        (*_laws("environment", environment), *_laws("oracle", oracle)),
        tuple(_rung(built, oracle, f) for f in built.oracle.fidelities),
    )


class _EnvironmentOf(EnvironmentChecks):
    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def environment(self) -> Environment:
        return self._problem.environment()


def _laws(suite: str, checks: object) -> Iterator[Law]:
    for name in dir(checks):
        if name.startswith("test_"):
            yield Law(suite, name.removeprefix("test_").replace("_", " "), _broken(checks, name))


def _broken(checks: object, name: str) -> str | None:
    try:
        getattr(checks, name)()
    except AssertionError as error:
        return str(error)
    except MfalError as error:
        return error.message
    except (Exception, SystemExit) as error:  # of a user's code: it is what is wrong
        return f"{type(error).__name__}: {error}"
    return None


def _rung(problem: Problem, checks: OracleChecks, fidelity: Fidelity) -> Rung:
    backend = problem.oracle.backends.get(fidelity.name, "")
    if fidelity.manual:
        return Rung(fidelity, backend, 0, None, None)
    try:
        keys = checks.keys
        problem.oracle.evaluate(keys[:1], fidelity)
        started = time.perf_counter()
        answers = problem.oracle.evaluate(keys, fidelity)
        seconds = (time.perf_counter() - started) / len(keys)
        failed = sum(a.values is None for a in answers)
    except Exception:  # which a law has named
        return Rung(fidelity, backend, 0, None, None)
    return Rung(fidelity, backend, len(keys), failed, seconds)
