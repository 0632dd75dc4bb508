"""What a user's oracles have in common: their declarations, and numbers made into outcomes."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from mfal.errors import TransientError
from mfal.types import Fidelity, Objective, Outcome, as_number, check_ladder, check_objectives


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

    An `Outcome` is taken as it is. A number, or a sequence of `n_objectives` numbers, is an
    answer; whatever else, and what is not finite, a failure that says so.
    """
    if isinstance(value, Outcome):
        return value
    parts = list(value) if isinstance(value, tuple | list) else [value]
    try:
        values = tuple(map(as_number, parts))
    except (TypeError, ValueError, OverflowError):
        return failure(f"returned {_shown(value)}, which is no number", seconds)
    if len(values) != n_objectives:
        return failure(f"returned {len(values)} numbers for {n_objectives} objectives", seconds)
    if not all(map(math.isfinite, values)):
        return failure(f"returned {_shown(value)}, which is not finite", seconds)
    return Outcome(values, None, seconds)


def _shown(value: object) -> str:
    """A value in words; an array by type and shape, since failures are counted by their reason."""
    shape = getattr(value, "shape", ())
    return f"{type(value).__name__} of shape {tuple(shape)}" if shape else repr(value)


def failure(reason: str, seconds: float) -> Outcome:
    """A failed outcome."""
    return Outcome(None, reason, seconds)


def one_by_one(
    answer: Callable[[Sequence[str]], list[Outcome]], keys: Sequence[str]
) -> list[Outcome]:
    """Ask again about each key alone, so that a bad candidate costs only itself."""
    return [answer([key])[0] for key in keys]
