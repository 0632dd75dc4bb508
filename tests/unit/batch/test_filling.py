"""What must be left of an amount, against every combination."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfal.batch.filling import MOST_UNITS, Filling
from mfal.budget import exact


@settings(max_examples=200, deadline=None)
@given(
    hundredths=st.lists(st.integers(20, 300), min_size=1, max_size=3, unique=True),
    amount=st.integers(0, 600),
)
def test_nothing_more_could_be_spent_by_any_combination(hundredths: list[int], amount: int) -> None:
    prices = [n / 100 for n in hundredths]
    found = Filling(prices, 6.0).leftover(amount / 100, prices)
    times = [range(amount // n + 1) for n in hundredths]
    sums = (sum(k * n for k, n in zip(ks, hundredths, strict=True)) for ks in product(*times))
    least = amount - max(total for total in sums if total <= amount)
    assert exact(found) == exact(least / 100)


@pytest.mark.parametrize(
    ("prices", "amount", "left"),
    [
        ([3.0, 7.0], 11.0, 1.0),  # 3 + 7; 11 itself cannot be had
        ([3.0, 7.0], 12.0, 0.0),
        ([0.1, 0.3], 0.7, 0.0),
        ([0.2, 20.0], 40446.1, 0.1),
        ([5.0], 4.5, 4.5),
    ],
)
def test_leftovers_by_hand(prices: list[float], amount: float, left: float) -> None:
    assert Filling(prices, amount).leftover(amount, prices) == left


def test_only_the_prices_that_can_still_be_paid_count() -> None:
    filling = Filling([3.0, 7.0], 14.0)
    assert filling.leftover(14.0, [3.0]) == 2.0
    assert filling.leftover(14.0, [7.0]) == 0.0
    assert filling.leftover(14.0, []) == 14.0


def test_prices_without_a_common_unit_are_said_to_be_so() -> None:
    odd = Filling([1 / 3, 1 / 7], 100.0)
    assert not odd.is_exact and odd.leftover(0.2, [1 / 3, 1 / 7]) == 0
    assert Filling([0.2, 20.0], MOST_UNITS / 5).is_exact


def test_prices_of_many_digits_are_counted_exactly() -> None:
    filling = Filling([3.3333333333333334e-08, 1.0], 1e7)
    assert not filling.is_exact and filling.leftover(5.5, [1.0]) == 0
