"""A Python function as an oracle: the decorator `oracle`."""

import inspect
import time
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from typing import Any, get_origin

from mfal.errors import ConfigError, TransientError, UnknownNameError
from mfal.own.answers import check_declaration, engines, failure, one_by_one, outcome
from mfal.reasons import said
from mfal.types import Fidelity, Objective, Outcome

Function = Callable[..., Any]


def oracle(
    *,
    fidelities: Sequence[Fidelity],
    objectives: Sequence[Objective],
    batch: bool | None = None,
    version: str = "1",
    deterministic: bool = True,
) -> Callable[[Function], "FunctionOracle"]:
    """Make an oracle of the function below.

    The function takes a candidate, or several, and where it wants to know it the fidelity::

        @oracle(fidelities=[...], objectives=[...])
        def energy(key: str, fidelity: Fidelity) -> float: ...

    It returns a number, a tuple of one number per objective, or an `Outcome`; for several
    candidates a list of those, in order. What it raises, and what is no finite number, is a
    failed outcome of that candidate; only a `TransientError` has it asked again a little later.
    Fidelities with ``manual=True`` are never asked of it.

    Args:
        fidelities: The ladder by rising level; the last, of level 1.0, is the target.
        objectives: What the function returns, in order.
        batch: Whether it takes a list of candidates. Read off the annotation of its first
            parameter where None: ``str`` is one, ``Sequence[str]`` or ``list[str]`` several.
        version: Of what it computes. Answers of two versions never mix in a ledger.
        deterministic: Whether it gives the same answer whenever it is asked the same.

    Raises:
        ConfigError: where the ladder is none, or it is unclear what the function takes.
    """

    def decorate(function: Function) -> FunctionOracle:
        many = _takes_many(function) if batch is None else batch
        return FunctionOracle(
            function, tuple(fidelities), tuple(objectives), many, version, deterministic
        )

    return decorate


class FunctionOracle:
    """A function of one candidate (or of several) that answers as an `Oracle`; see `oracle`."""

    def __init__(
        self,
        function: Function,
        fidelities: tuple[Fidelity, ...],
        objectives: tuple[Objective, ...],
        batch: bool,
        version: str,
        deterministic: bool,
    ) -> None:
        self._name = _named(function)
        check_declaration(self._name, fidelities, objectives)
        self._function = function
        self._with_fidelity = _takes_fidelity(function)
        self._batch = batch
        self.fidelities = fidelities
        self.objectives = objectives
        self.deterministic = deterministic
        self.backends: Mapping[str, str] = engines(fidelities, f"{self._name} {version}")
        self.__doc__ = function.__doc__

    def __call__(self, *arguments: Any) -> Any:  # noqa: ANN401
        """What the function itself returns."""
        return self._function(*arguments)

    def evaluate(self, keys: Sequence[str], fidelity: Fidelity) -> list[Outcome]:
        """One outcome per key, in order."""
        if fidelity.name not in self.backends:
            raise UnknownNameError(
                f"fidelity {fidelity.name!r} is not one of {self._name}'s",
                f"choose from {', '.join(self.backends)}",
            )
        more = (fidelity,) if self._with_fidelity else ()
        if self._batch:
            return self._answer_many(keys, more)
        return [self._answer(key, more) for key in keys]

    def _answer(self, key: str, more: tuple[Fidelity, ...]) -> Outcome:
        started = time.perf_counter()
        try:
            value = self._function(key, *more)
        except TransientError:
            raise  # for whoever asks, who asks again later
        except Exception as error:
            return failure(said(error), time.perf_counter() - started)
        return outcome(value, len(self.objectives), time.perf_counter() - started)

    def _answer_many(self, keys: Sequence[str], more: tuple[Fidelity, ...]) -> list[Outcome]:
        if not keys:
            return []
        started = time.perf_counter()
        try:
            values = _in_order(self._function(list(keys), *more))
            reason = f"returned {len(values)} answers for {len(keys)} candidates"
        except TransientError:
            raise
        except Exception as error:
            values, reason = [], said(error)
        seconds = (time.perf_counter() - started) / len(keys)
        if len(values) == len(keys):
            return [outcome(value, len(self.objectives), seconds) for value in values]
        if len(keys) == 1:
            return [failure(reason, seconds)]
        return one_by_one(lambda one: self._answer_many(one, more), keys)


def _in_order(answers: Any) -> list[Any]:  # noqa: ANN401
    """The answers as a list; TypeError where nobody can tell which is whose."""
    if isinstance(answers, Set | Mapping):
        raise TypeError(f"returned a {type(answers).__name__}, not a list in the candidates' order")
    return list(answers)


def _takes_many(function: Function) -> bool:
    first = next(iter(inspect.signature(function, eval_str=True).parameters.values()), None)
    hint = None if first is None else first.annotation
    if hint is str:
        return False
    kind = get_origin(hint) or hint
    if isinstance(kind, type) and issubclass(kind, Sequence):
        return True
    raise ConfigError(
        f"{_named(function)}: it is not said whether it takes one candidate or several",
        "annotate its first parameter, `key: str` or `keys: Sequence[str]`, or give `batch`",
    )


def _takes_fidelity(function: Function) -> bool:
    """Whether there is a second parameter."""
    name = _named(function)
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    places = [p for p in parameters if p.kind in kinds]
    needed = [p for p in parameters if p.default is p.empty and p not in places[:2]]
    if not places or any(p.kind in (*kinds, p.KEYWORD_ONLY) for p in needed):
        raise ConfigError(
            f"{name}{inspect.signature(function)}: an oracle's function is called with a "
            "candidate and, if it takes a second argument, the fidelity",
            f"write def {name}(key: str, fidelity: Fidelity) -> float",
        )
    return len(places) > 1


def _named(function: Function) -> str:
    """A name that is the same in every process: of what is a partial or an object, whose it is."""
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))
