"""What was paid, for what, and what had been paid when something was reached."""

from collections.abc import Iterable, Sequence

from mfal.budget import total_cost
from mfal.types import Fidelity, Objective, Observation


def cost_shares(
    observations: Sequence[Observation], ladder: Sequence[Fidelity]
) -> dict[str, float]:
    """Fidelity -> its share of all that was spent; all 0 before anything was."""
    spent = {
        f.name: total_cost(o.cost for o in observations if o.query.fidelity == f.name)
        for f in ladder
    }
    total = total_cost(spent.values())
    return {name: cost / total if total else 0.0 for name, cost in spent.items()}


def cost_to_reach(
    points: Iterable[tuple[float, float | None]], value: float, objective: Objective
) -> float | None:
    """The lowest cost of a point at least as good as `value`; None where none is.

    Args:
        points: Cost and figure, the figure in the objective's unit or None.
    """
    sign = objective.sign
    return min(
        (cost for cost, figure in points if figure is not None and figure * sign >= value * sign),
        default=None,
    )


def failures(observations: Iterable[Observation]) -> int:
    """How many queries failed."""
    return sum(o.outcome.values is None for o in observations)
