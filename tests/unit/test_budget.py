"""Money, exact to the last digit that anybody writes."""

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from mfal.budget import fits, in_full, minus, times, total_cost, total_of_counted


def test_tenths_add_up() -> None:
    assert total_cost([0.1] * 10) == 1.0
    assert total_cost([0.2] * 3) == 0.6
    assert minus(0.3, 0.1) == 0.2
    assert fits(0.3, total_cost([0.1, 0.2]))


@given(st.lists(st.integers(1, 10**6), max_size=50))
def test_sums_agree_with_whole_hundredths(hundredths: list[int]) -> None:
    assert total_cost(h / 100 for h in hundredths) == sum(hundredths) / 100


@given(st.dictionaries(st.floats(0, 1e6), st.integers(0, 10**5), max_size=20))
def test_counted_costs_add_up_as_if_each_were_there(counts: dict[float, int]) -> None:
    in_all = total_of_counted((cost, n % 50) for cost, n in counts.items())
    assert in_all == total_cost(cost for cost, n in counts.items() for _ in range(n % 50))


def test_costs_of_seventeen_digits_are_not_rounded_into_a_budget() -> None:
    costs = [0.30000000000000004] * 3 + [0.0999999999999999]  # 1.00000000000000002
    assert not fits(total_cost(costs), 1.0)
    assert not fits(costs[-1], minus(1.0, total_cost(costs[:-1])))
    assert in_full(total_cost(costs)) == "1.0000000000000002"
    assert not fits(total_cost([1e22, 1e-22]), 1e22)  # digits that are far apart
    assert minus(1e22, 1e-22) < 1e22


@given(
    st.lists(st.tuples(st.floats(0, 1e290), st.integers(0, 10**9)), max_size=5),
    st.integers(-2, 2),
)
def test_a_sum_fits_just_if_it_does_without_any_rounding(
    costs: list[tuple[float, int]], steps: int
) -> None:
    total = total_of_counted(costs)
    limit = total  # and its neighbours, where rounding would show
    for _ in range(abs(steps)):
        limit = math.nextafter(limit, math.copysign(math.inf, steps))
    assert fits(total, limit) == (sum(as_written(c) * n for c, n in costs) <= as_written(limit))


@given(st.floats(0, 1e300), st.floats(0, 1e300), st.floats(0, 1e300))
def test_what_is_left_pays_for_nothing_that_it_does_not(a: float, b: float, cost: float) -> None:
    for left in (cost, float(as_written(a) - as_written(b))):
        assert fits(left, minus(a, b)) == (as_written(left) <= as_written(a) - as_written(b))


@given(st.floats(1e-300, 1e300), st.floats(0, 1e300))
def test_a_cost_is_paid_as_often_as_it_fits(cost: float, amount: float) -> None:
    assert times(cost, amount) == as_written(amount) // as_written(cost)


def as_written(cost: float) -> Fraction:
    return Fraction(repr(cost))
