"""Branin on a grid of 100 x 100 points: a valley with three minima, known exactly.

    f(x, m) = (x2 - (b - 0.1 (1 - m)) x1² + c x1 - 6)² + 10 (1 - 1/(8π)) cos(x1) + 10

with b = 5.1/(4π²) and c = 5/π, for x1 in [-5, 10] and x2 in [0, 15] (Branin's function with the
fidelity m of Wu et al., UAI 2019, arXiv 1903.04703). Ladder and costs are those of MF-GFN
(arXiv 2306.11715): m = 0.5, 0.75 and 1 for 0.01, 0.1 and 1.
"""

import math
from collections.abc import Sequence

from mfal.features.points import parse_point
from mfal.types import Fidelity, Objective, Problem
from oracles.grid_drawing import draw_map
from oracles.grids import GridOracle, grid_problem

SIDE = 100
LADDER = (
    Fidelity("low", cost=0.01, level=0.5),
    Fidelity("mid", cost=0.1, level=0.75),
    Fidelity("branin", cost=1.0, level=1.0),
)
VALUE = Objective("Branin", "1", "min")

OPTIMUM = "95,16", 0.40307127299759316
"""The best point of the grid and its value; Branin's own minimum is 0.397887."""

MINIMA = ("12,82", "54,15", "95,16")
"""The best grid point of each of the three basins."""


def problem() -> Problem:
    """The search for the lowest point of the grid."""
    oracle = GridOracle(branin, LADDER, VALUE, dimensions=2, side=SIDE)
    return grid_problem("Branin, 100 x 100", oracle, describe=describe, draw=draw)


def branin(point: Sequence[int], level: float) -> float:
    """The value at a grid point, at fidelity `level`."""
    x1, x2 = position(point)
    b = 5.1 / (4 * math.pi**2) - 0.1 * (1 - level)
    valley = x2 - b * x1**2 + 5 / math.pi * x1 - 6
    return valley**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x1) + 10


def position(point: Sequence[int]) -> tuple[float, float]:
    """Where a grid point lies in [-5, 10] x [0, 15]."""
    return -5 + 15 * point[0] / (SIDE - 1), 15 * point[1] / (SIDE - 1)


def describe(key: str) -> str:
    """The position of a grid point."""
    x1, x2 = position(parse_point(key, 2, SIDE))
    return f"x = ({x1:.2f}, {x2:.2f})"


def draw(key: str) -> str:
    """A map of the target with the three basins and the point, as SVG."""
    point = parse_point(key, 2, SIDE)
    marks = [parse_point(minimum, 2, SIDE) for minimum in MINIMA]
    return draw_map(
        lambda p: math.log(branin(p, 1.0)), SIDE, point, marks, f"Branin at {describe(key)}"
    )
