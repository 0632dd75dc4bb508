"""The problem of a campaign: built, its engines named, its environment made."""

from collections.abc import Mapping, Sequence
from typing import cast

from mfal.envs.base import Buildable, Environment
from mfal.errors import ConfigError
from mfal.reasons import plain
from mfal.registry import build, resolve
from mfal.sections import Component
from mfal.types import Fidelity, Oracle, Problem
from mfal.user_code import user_code


def build_problem(component: Component) -> Problem:
    """The problem that `component` names; raises as `build` does, and where it gives none."""
    if isinstance(resolve("problem", component.name), Oracle):
        raise ConfigError(
            f"problem {component.name!r} is an oracle, which is a part of a problem",
            "name the function that returns a mfal.Problem with it",
        )
    built = build("problem", component)
    if not isinstance(built, Problem):
        raise ConfigError(
            f"problem {component.name!r} gives a {type(built).__name__}",
            "its function returns a mfal.Problem",
        )
    return built


def check_engines(problem: Problem, ladder: Sequence[Fidelity], source: str) -> None:
    """Raise ConfigError unless the oracle names the engine behind each of these fidelities.

    An answer is recorded together with its engine: without one it would be asked for in vain.
    """
    where = f"{source}: problem {problem.name!r}: backends"
    hint = f"give the engine of each fidelity, as in {{{ladder[-1].name!r}: 'my-program 1.0'}}"
    found: object = problem.oracle.backends
    if not isinstance(found, Mapping):
        raise ConfigError(f"{where} is {found!r}, which is no mapping", hint)
    for f in ladder:
        engine = found.get(f.name)
        if not isinstance(engine, str) or not engine or plain(engine) != engine:
            said = repr(engine) if f.name in found else "missing"
            raise ConfigError(f"{where}: the engine of {f.name!r} is {said}", hint)


def build_environment(problem: Problem, source: str) -> Environment:
    """The environment of the problem; raises ConfigError for whatever its function raises."""
    where = f"{source}: problem {problem.name!r}: environment"
    with user_code(where, "mend the function that builds it"):
        found: object = problem.environment()
    if not isinstance(found, Buildable):
        raise ConfigError(
            f"{where}: its function gives a {type(found).__name__}",
            "it returns an environment, such as one of mfal.envs",
        )
    return cast(Environment, found)
