import math
from itertools import combinations

import pytest
import torch

from mfal.ladder import agreement
from mfal.worth import best_rungs, variance_ratio


@pytest.mark.parametrize("correlation", [0.3, 0.6, 0.9, -0.9, 0.999])
@pytest.mark.parametrize("cost", [0.001, 0.1, 0.4])
def test_one_cheaper_fidelity_in_closed_form(correlation: float, cost: float) -> None:
    square = correlation**2
    found = variance_ratio([5.0, 5 * cost], [correlation])
    if cost * (1 - square) >= square:  # w_1 / w_2 has to be above (1 - r^2) / r^2
        assert found is None
    else:
        expected = (math.sqrt(1 - square) + math.sqrt(cost * square)) ** 2
        assert found == pytest.approx(expected, rel=1e-12)


def test_a_perfect_copy_is_worth_what_it_saves() -> None:
    assert variance_ratio([10.0, 1.0], [1.0]) == pytest.approx(0.1)
    assert best_rungs([10.0, 1.0], [1.0]) == ((0,), pytest.approx(0.1))


def test_the_ratio_is_the_minimum_over_all_splits_of_the_budget() -> None:
    # Variance of the estimator with m_i samples of each rung (equation for the optimal control
    # coefficients r_i sigma_1 / sigma_i): sum of (r_i^2 - r_{i+1}^2) / m_i, times the target's.
    cost, correlation = [8.0, 2.0, 0.1], [0.95, 0.8]
    squares = torch.tensor([1, 0.95**2, 0.8**2, 0], dtype=torch.float64)
    drops = squares[:-1] - squares[1:]
    price = torch.tensor(cost, dtype=torch.float64)
    shares = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    best = math.inf
    for first in shares:
        rest = (1 - first) * shares
        money = torch.stack([first.expand(999), rest, 1 - first - rest])
        samples = money / price[:, None]
        nested = (samples[1:] >= samples[:-1]).all(dim=0)
        variance = (drops[:, None] / samples).sum(dim=0)
        if nested.any():
            best = min(best, float(variance[nested].min()))
    alone = cost[0]  # one unit of budget buys 1 / 8 of a sample
    assert variance_ratio(cost, correlation) == pytest.approx(best / alone, rel=1e-4)


def test_useless_fidelities_are_left_out() -> None:
    assert variance_ratio([5, 1], [0.0]) is None
    assert best_rungs([5, 1], [0.0]) == ((), 1.0)
    assert best_rungs([5, 4.9], [0.6]) == ((), 1.0)
    assert best_rungs([5], []) == ((), 1.0)
    # The second costs as much as the first and says less; it stands in the first's way.
    chosen, ratio = best_rungs([10, 1, 1], [0.9, 0.5])
    assert chosen == (0,) and ratio == variance_ratio([10, 1], [0.9])


def test_the_order_in_which_fidelities_are_given_does_not_matter() -> None:
    one = variance_ratio([8.0, 2.0, 0.1], [0.95, 0.8])
    assert one is not None
    assert one == variance_ratio([8.0, 0.1, 2.0], [0.8, 0.95])
    pairs = [(2.0, 0.95), (0.1, 0.8), (7.9, 0.9)]
    tried = [
        variance_ratio([8.0, *(w for w, _ in some)], [r for _, r in some])
        for n in (1, 2, 3)
        for some in combinations(pairs, n)
    ]
    best = min(ratio for ratio in tried if ratio is not None)
    assert best_rungs([8.0, 2.0, 0.1, 7.9], [0.95, 0.8, 0.9]) == ((0, 1), best)


@pytest.mark.parametrize("k", range(1, 9))
def test_agreement_of_all_words_of_signs_is_known(k: int) -> None:
    # A word's value is the sum of its 8 signs, a cheap fidelity sees the first k: correlation
    # sqrt(k / 8), mean squared difference the variance of 8 - k signs.
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 8)
    found = agreement(signs[:, :k].sum(dim=1), signs.sum(dim=1))
    assert found.n == 256
    assert found.pearson == pytest.approx(math.sqrt(k / 8), rel=1e-12)
    assert found.rmse == pytest.approx(math.sqrt(8 - k), rel=1e-12)


def test_agreement_of_too_little() -> None:
    none = torch.zeros(0, dtype=torch.float64)
    assert agreement(none, none).rmse is None
    two = torch.tensor([1.0, 2.0], dtype=torch.float64)
    found = agreement(two, two + 1)
    assert (found.n, found.pearson, found.spearman, found.rmse) == (2, None, None, 1.0)
    flat = agreement(torch.ones(5, dtype=torch.float64), torch.arange(5.0, dtype=torch.float64))
    assert flat.pearson is None and flat.spearman is None and flat.rmse is not None


def test_a_rung_that_ranks_the_other_way_round_is_worth_as_much() -> None:
    cost = [8.0, 2.0, 0.1]
    found = variance_ratio(cost, [-0.95, 0.8])
    assert found is not None and found == variance_ratio(cost, [0.95, 0.8])
