"""Functions on a grid as oracles: what the synthetic problems have in common."""

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from mfal.errors import UnknownNameError
from mfal.features.points import parse_point
from mfal.types import Fidelity, Objective, Outcome, Problem

if TYPE_CHECKING:
    from mfal.envs.base import Environment

GridFunction = Callable[[Sequence[int], float], float]
"""Grid coordinates and a level in (0, 1] -> the value at that fidelity."""


class GridOracle:
    """A function of the points of a grid, which knows its own cheap approximations.

    Args:
        function: What it computes.
        fidelities: By rising level, which is what `function` is given.
        objective: What its value is.
        dimensions: Coordinates of a point.
        side: Points along each.
    """

    def __init__(
        self,
        function: GridFunction,
        fidelities: tuple[Fidelity, ...],
        objective: Objective,
        dimensions: int,
        side: int,
    ) -> None:
        self.function = function
        self.fidelities = fidelities
        self.objectives = (objective,)
        self.dimensions = dimensions
        self.side = side
        self._levels = {f.name: f.level for f in fidelities}

    @property
    def backends(self) -> Mapping[str, str]:
        """Name of a fidelity -> the function and its level."""
        name = self.objectives[0].name
        return MappingProxyType(
            {f.name: f"{name} at fidelity {f.level:g}" for f in self.fidelities}
        )

    def evaluate(self, keys: Sequence[str], fidelity: Fidelity) -> list[Outcome]:
        """One outcome per key, in order; InvalidKeyError if one is no point of the grid."""
        if fidelity.name not in self._levels:
            raise UnknownNameError(
                f"fidelity {fidelity.name!r} is not one of the ladder",
                f"choose from {', '.join(self._levels)}",
            )
        points = [parse_point(key, self.dimensions, self.side) for key in keys]
        return [self._answer(point, self._levels[fidelity.name]) for point in points]

    def _answer(self, point: Sequence[int], level: float) -> Outcome:
        start = time.perf_counter()
        value = self.function(point, level)
        return Outcome((value,), None, time.perf_counter() - start)


def grid_problem(
    name: str,
    oracle: GridOracle,
    *,
    describe: Callable[[str], str],
    draw: Callable[[str], str] | None = None,
) -> Problem:
    """The search of an oracle's grid, step by step from one corner."""

    def environment() -> "Environment":
        from mfal.envs.hypergrid import HypergridEnvironment

        return HypergridEnvironment(dimensions=oracle.dimensions, side=oracle.side)

    return Problem(
        name=name,
        oracle=oracle,
        environment=environment,
        describe=describe,
        draw=draw,
        similarity="grid",
    )
