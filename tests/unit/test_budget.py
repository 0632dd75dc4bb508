from hypothesis import given
from hypothesis import strategies as st

from mfal.budget import fits, minus, total_cost, total_of_counted


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
