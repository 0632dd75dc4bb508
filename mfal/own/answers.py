"""What a user's oracles have in common: their declarations, and numbers made into outcomes."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from mfal.errors import TransientError
from mfal.reasons import kept
from mfal.types import (
    LARGEST,
    Fidelity,
    Objective,
    Outcome,
    as_number,
    check_ladder,
    check_objectives,
)


class UnavailableError(TransientError):
    """Trouble of the machine and of no candidate: whatever would answer cannot be asked at all.

    The queries are asked again as after any TransientError. Where that does not help, they have
    not failed: the campaign ends with this error, and they have no outcome.
    """


def check_declaration(
    what: str, fidelities: Sequence[Fidelity], objectives: Sequence[Objective]
) -> None:
    """Raise ConfigError unless there is a proper ladder and objectives with different names."""
    check_ladder(fidelities)
    check_objectives(what, objectives)


def engines(fidelities: Iterable[Fidelity], engine: str) -> Mapping[str, str]:
    """Name of each fidelity -> the engine that answers it."""
    return MappingProxyType({f.name: "by hand" if f.manual else engine for f in fidelities})


def outcome(value: object, n_objectives: int, seconds: float) -> Outcome:
    """The outcome that a returned value stands for.

    An `Outcome` is taken as it is; a number, or a tuple or list of them, is an answer to check.
    """
    if isinstance(value, Outcome):
        return value
    return answered(value if isinstance(value, tuple | list) else (value,), n_objectives, seconds)


def answered(values: Iterable[object], n_objectives: int, seconds: float) -> Outcome:
    """The values in plain numbers; a failure that says why where they are no answer.

    An answer is `n_objectives` finite numbers, none of them beyond `LARGEST`.
    """
    try:
        found = tuple(map(as_number, values))
    except (TypeError, ValueError, OverflowError):
        return failure(f"returned {_shown(values)}, which is no number", seconds)
    if len(found) != n_objectives:
        return failure(f"returned {len(found)} numbers for {n_objectives} objectives", seconds)
    if not all(map(math.isfinite, found)):
        return failure(f"returned {_shown(values)}, which is not finite", seconds)
    if any(abs(v) > LARGEST for v in found):
        return failure(f"returned {_shown(values)}, which is too large to be a value", seconds)
    return Outcome(found, None, seconds)


def _shown(values: object) -> str:
    """Values in words: a text as one, since it may look like a number.

    An array stands there by type and shape, since failures are counted by their reason.
    """
    if isinstance(values, tuple | list) and len(values) == 1:
        return _shown(values[0])
    if isinstance(values, str):
        return f"the text {values!r}"
    shape = getattr(values, "shape", ())
    return f"{type(values).__name__} of shape {tuple(shape)}" if shape else repr(values)


def failure(reason: str, seconds: float) -> Outcome:
    """A failed outcome, its reason as it is recorded."""
    return Outcome(None, kept(reason), seconds)


def one_by_one(
    answer: Callable[[Sequence[str]], list[Outcome]], keys: Sequence[str]
) -> list[Outcome]:
    """Ask again about each key alone, so that a bad candidate costs only itself."""
    return [answer([key])[0] for key in keys]
