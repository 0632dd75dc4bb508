from hypothesis import given
from hypothesis import strategies as st

from mfal.budget import fits, minus, total_cost


def test_tenths_add_up() -> None:
    assert total_cost([0.1] * 10) == 1.0
    assert total_cost([0.2] * 3) == 0.6
    assert minus(0.3, 0.1) == 0.2
    assert fits(0.3, total_cost([0.1, 0.2]))


@given(st.lists(st.integers(1, 10**6), max_size=50))
def test_sums_agree_with_whole_hundredths(hundredths: list[int]) -> None:
    assert total_cost(h / 100 for h in hundredths) == sum(hundredths) / 100
