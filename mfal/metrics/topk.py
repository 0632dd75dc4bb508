"""The best of what was measured at the target, and their mean against cost."""

import math
from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from operator import attrgetter

from mfal.budget import exact, rounded_up
from mfal.types import Fidelity, Objective, Observation


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
        o for o in observations if o.query.fidelity == target and o.outcome.value is not None
    ]
    return sorted(measured, key=lambda o: (-utility(o, objective), o.query.key))[:k]


def in_order(
    batch: Iterable[Observation], ladder: Sequence[Fidelity], objective: Objective
) -> list[Observation]:
    """The target fidelity first, then the best value first; failures last, ties by key."""
    rung = {f.name: i for i, f in enumerate(ladder)}

    def order(o: Observation) -> tuple[int, float, str]:
        value = -math.inf if o.outcome.value is None else utility(o, objective)
        return -rung[o.query.fidelity], -value, o.query.key

    return sorted(batch, key=order)


def curve(
    observations: Sequence[Observation], target: str, objective: Objective, k: int
) -> list[CurvePoint]:
    """The top-K mean against cost, a point per round; each is of all rounds until then."""
    points = []
    top: list[float] = []  # utilities of the k best so far, the best last
    cost, n_target = Decimal(0), 0
    by_round = attrgetter("round")
    for number, rows in groupby(sorted(observations, key=by_round), by_round):
        for o in rows:
            cost += exact(o.cost)
            if o.query.fidelity == target and o.outcome.value is not None:
                n_target += 1
                insort(top, utility(o, objective))
                del top[:-k]
        mean = _mean(top[::-1], objective)
        points.append(
            CurvePoint(round=number, cost=rounded_up(cost), top_k=mean, n_target=n_target)
        )
    return points


def _mean(utilities: Sequence[float], objective: Objective) -> float | None:
    """Their mean in the objective's unit, added up in their order; None of none."""
    values = [utility * objective.sign for utility in utilities]
    return sum(values) / len(values) if values else None


def utility(observation: Observation, objective: Objective) -> float:
    """Value of the first objective times its sign: higher is better."""
    value = observation.outcome.value
    if value is None:
        raise ValueError(f"{observation.query} failed and has no value")
    return value * objective.sign
