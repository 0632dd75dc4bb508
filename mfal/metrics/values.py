"""Candidates with their values at the target, best first: what all figures are read off."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mfal.types import Objective, Observation


@dataclass(frozen=True, slots=True)
class Scored:
    """Candidates and their values at the target in the objective's unit, the best first."""

    keys: tuple[str, ...]
    values: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def by_key(self) -> dict[str, float]:
        """Key -> value, the best first."""
        return dict(zip(self.keys, self.values, strict=True))

    def top(self, k: int) -> "Scored":
        """The k best."""
        return Scored(self.keys[:k], self.values[:k])

    def mean(self) -> float | None:
        """Mean value; None of none."""
        return sum(self.values) / len(self.values) if self.values else None


def measured(observations: Iterable[Observation], target: str, objective: Objective) -> Scored:
    """Strict reading: what was measured at the target; ties by key."""
    found = {
        o.query.key: o.outcome.value
        for o in observations
        if o.query.fidelity == target and o.outcome.value is not None
    }
    return _sorted(found, objective)


def true_values(
    observations: Iterable[Observation],
    target: str,
    objective: Objective,
    outside: Mapping[str, float],
) -> Scored:
    """Published reading: the true target value of everything that was queried, at any fidelity.

    Args:
        outside: Key -> value at the target, scored outside the budget, of what was not measured
            there; a candidate that failed there has none and is left out.
    """
    rows = list(observations)
    found = {o.query.key: outside[o.query.key] for o in rows if o.query.key in outside}
    return _sorted(found | measured(rows, target, objective).by_key, objective)


def of_keys(keys: Sequence[str], known: Scored, objective: Objective) -> Scored:
    """Those of `keys` whose value is known."""
    values = known.by_key
    return _sorted({key: values[key] for key in keys if key in values}, objective)


def _sorted(found: Mapping[str, float], objective: Objective) -> Scored:
    rows = sorted(found.items(), key=lambda item: (-item[1] * objective.sign, item[0]))
    return Scored(tuple(key for key, _ in rows), tuple(value for _, value in rows))
