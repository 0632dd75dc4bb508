"""The best of what was measured at the target, and their mean against cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from mfal.budget import total_cost
from mfal.types import Objective, Observation


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """State of a campaign after a round.

    Attributes:
        cost: Campaign units spent until then.
        top_k: Mean of the K best values measured at the target (of all there are, while
            there are fewer than K), in the objective's unit; None before the first.
        n_target: Successful queries at the target until then.
    """

    round: int
    cost: float
    top_k: float | None
    n_target: int


def best(
    observations: Sequence[Observation], target: str, objective: Objective, k: int
) -> list[Observation]:
    """The k best answers at the target fidelity, best first; ties by key."""
    measured = [
        o for o in observations if o.query.fidelity == target and o.outcome.values is not None
    ]
    return sorted(measured, key=lambda o: (-utility(o, objective), o.query.key))[:k]


def top_k_mean(
    observations: Sequence[Observation], target: str, objective: Objective, k: int
) -> float | None:
    """Mean of the k best values measured at the target, in the objective's unit."""
    values = [
        utility(o, objective) * objective.sign for o in best(observations, target, objective, k)
    ]
    return sum(values) / len(values) if values else None


def curve(
    observations: Sequence[Observation], target: str, objective: Objective, k: int
) -> list[CurvePoint]:
    """The top-K mean against cost, a point per round."""
    points = []
    for number in sorted({o.round for o in observations}):
        until = [o for o in observations if o.round <= number]
        points.append(
            CurvePoint(
                round=number,
                cost=total_cost(o.cost for o in until),
                top_k=top_k_mean(until, target, objective, k),
                n_target=len(best(until, target, objective, len(until))),
            )
        )
    return points


def utility(observation: Observation, objective: Objective) -> float:
    """Value of the first objective times its sign: higher is better."""
    if observation.outcome.values is None:
        raise ValueError(f"{observation.query} failed and has no value")
    return observation.outcome.values[0] * objective.sign
