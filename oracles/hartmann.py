"""Hartmann's function of six variables on a grid of 10 points along each: a million points.

    f(x, m) = (α1 - 0.1 (1 - m)) e1(x) + α2 e2(x) + α3 e3(x) + α4 e4(x)
    ei(x) = exp(-Σj Aij (xj - Pij)²)

for x in {0, 0.1, ..., 0.9}^6, maximised (Hartmann's function with the fidelity m of Wu et al.,
UAI 2019, arXiv 1903.04703). Grid, ladder and costs are those of MF-GFN (arXiv 2306.11715):
m = 0.5, 0.75 and 1 for 0.125, 0.25 and 1. Ranks at the cheap rungs are nearly those of the target.
"""

import math
from collections.abc import Sequence

from mfal.features.points import parse_point
from mfal.types import Fidelity, Objective, Problem
from oracles.grids import GridOracle, grid_problem

DIMENSIONS, SIDE = 6, 10
LADDER = (
    Fidelity("low", cost=0.125, level=0.5),
    Fidelity("mid", cost=0.25, level=0.75),
    Fidelity("hartmann", cost=1.0, level=1.0),
)
VALUE = Objective("Hartmann", "1", "max")

OPTIMUM = "2,2,5,3,3,7", 3.2215609001775696
"""The best point of the grid and its value; the function's own maximum is 3.32237."""

_ALPHA = (1.0, 1.2, 3.0, 3.2)
_A = (
    (10, 3, 17, 3.5, 1.7, 8),
    (0.05, 10, 17, 0.1, 8, 14),
    (3, 3.5, 1.7, 10, 17, 8),
    (17, 8, 0.05, 10, 0.1, 14),
)
_P = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)


def problem() -> Problem:
    """The search for the highest point of the grid."""
    oracle = GridOracle(hartmann, LADDER, VALUE, DIMENSIONS, SIDE)
    return grid_problem("Hartmann, 10^6 points", oracle, describe=describe)


def hartmann(point: Sequence[int], level: float) -> float:
    """The value at a grid point, at fidelity `level`."""
    x = [coordinate / SIDE for coordinate in point]
    alpha = (_ALPHA[0] - 0.1 * (1 - level), *_ALPHA[1:])
    return sum(
        weight * math.exp(-sum(a * (xj - p) ** 2 for a, xj, p in zip(row, x, centre, strict=True)))
        for weight, row, centre in zip(alpha, _A, _P, strict=True)
    )


def describe(key: str) -> str:
    """The position of a grid point."""
    point = parse_point(key, DIMENSIONS, SIDE)
    return f"x = ({', '.join(f'{coordinate / SIDE:g}' for coordinate in point)})"
