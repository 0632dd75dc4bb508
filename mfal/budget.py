"""Sums of money that are exact: five times 0.2 is 1, and a budget is never overspent by a digit.

A sum that no float is written like is rounded against the spender: what is paid up, what is left
down. Such a sum fits an amount just if the exact one does.
"""

import math
from collections.abc import Iterable
from decimal import Context, Decimal, localcontext

_EXACT = Context(prec=1000)  # more places than lie between the largest float and the smallest


def exact(cost: float) -> Decimal:
    """The decimal number that was written in the configuration."""
    return Decimal(repr(float(cost)))


def total_cost(costs: Iterable[float]) -> float:
    """The sum of `costs`, exact in decimals."""
    return total_of_counted((cost, 1) for cost in costs)


def total_of_counted(costs: Iterable[tuple[float, int]]) -> float:
    """The sum of costs that are each there so many times, exact in decimals."""
    with localcontext(_EXACT):
        return rounded_up(sum((exact(c) * n for c, n in costs), Decimal(0)))


def rounded_up(total: Decimal) -> float:
    """An exact sum of what is paid as a float that is not below it."""
    found = float(total)
    return found if exact(found) >= total else math.nextafter(found, math.inf)


def fits(cost: float, left: float) -> bool:
    """Whether `cost` can be paid out of `left`."""
    return exact(cost) <= exact(left)


def times(cost: float, amount: float) -> int:
    """How many times `cost` can be paid out of `amount`."""
    return int(_EXACT.divide_int(exact(amount), exact(cost)))


def minus(total: float, cost: float) -> float:
    """What is left of `total` after `cost`, exact in decimals."""
    left = _EXACT.subtract(exact(total), exact(cost))
    found = float(left)
    return found if exact(found) <= left else math.nextafter(found, -math.inf)


def in_full(cost: float) -> str:
    """A cost as it would be written in a configuration, for errors: no digit is left out."""
    return repr(float(cost)).removesuffix(".0")
