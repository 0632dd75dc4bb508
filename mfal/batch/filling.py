"""How much of an amount a set of prices can spend, so that a batch leaves as little as it must."""

from collections.abc import Collection, Iterable
from fractions import Fraction
from math import gcd, lcm

from mfal.budget import exact

MOST_UNITS = 10_000_000


class Filling:
    """What is left over of an amount at best, where each price may be paid any number of times.

    Amounts are counted in the largest unit that divides every price. Sums that can be spent
    are the bits of one integer (subset sums by shifting), so a table of a million units takes
    a few milliseconds. Where the prices have no common unit that is large enough (a third and
    a seventh, as decimals), every leftover is taken for 0 and `is_exact` is False.

    Args:
        prices: All prices there are.
        limit: Largest amount that will be asked about.
    """

    def __init__(self, prices: Iterable[float], limit: float) -> None:
        self._unit = _common_unit({_fraction(price) for price in prices})
        self._limit = _fraction(limit) // self._unit
        self.is_exact = self._limit <= MOST_UNITS
        self._sums: dict[frozenset[int], int] = {}

    def leftover(self, amount: float, prices: Collection[float]) -> float:
        """The least that is left of `amount` after any number of payments of these prices."""
        if not self.is_exact:
            return 0.0
        units = min(_fraction(amount) // self._unit, self._limit)
        below = self._reachable(prices) & ((1 << (units + 1)) - 1)
        return float(_fraction(amount) - (below.bit_length() - 1) * self._unit)

    def _reachable(self, prices: Collection[float]) -> int:
        """Bit n is set where n units can be spent exactly."""
        steps = frozenset(int(_fraction(price) / self._unit) for price in prices)
        if steps not in self._sums:
            sums, mask = 1, (1 << (self._limit + 1)) - 1
            for step in steps:
                while step <= self._limit:  # once, twice, four times: any number of times
                    sums |= (sums << step) & mask
                    step *= 2
            self._sums[steps] = sums
        return self._sums[steps]


def _fraction(amount: float) -> Fraction:
    return Fraction(exact(amount))


def _common_unit(prices: Collection[Fraction]) -> Fraction:
    whole = lcm(*(price.denominator for price in prices))
    return Fraction(gcd(*(int(price * whole) for price in prices)), whole)
