"""Sums of money that are exact: five times 0.2 is 1, and a budget is never overspent by a digit."""

from collections.abc import Iterable
from decimal import Decimal


def exact(cost: float) -> Decimal:
    """The decimal number that was written in the configuration."""
    return Decimal(repr(float(cost)))


def total_cost(costs: Iterable[float]) -> float:
    """The sum of `costs`, exact in decimals."""
    return float(sum((exact(c) for c in costs), Decimal(0)))


def total_of_counted(costs: Iterable[tuple[float, int]]) -> float:
    """The sum of costs that are each there so many times, exact in decimals."""
    return float(sum((exact(c) * n for c, n in costs), Decimal(0)))


def fits(cost: float, left: float) -> bool:
    """Whether `cost` can be paid out of `left`."""
    return exact(cost) <= exact(left)


def minus(total: float, cost: float) -> float:
    """What is left of `total` after `cost`, exact in decimals."""
    return float(exact(total) - exact(cost))
