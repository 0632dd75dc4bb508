"""What answers teach about the best, against direct calculation."""

import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from mfal.batch.conditioning import Conditioned
from mfal.batch.knowledge import BestLesson, Knowledge


def gaussian(n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Means, a covariance and noises of n values."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(n, n, generator=generator, dtype=torch.float64)
    mean = torch.randn(n, generator=generator, dtype=torch.float64)
    noise = 0.1 + torch.rand(n, generator=generator, dtype=torch.float64)
    return mean, root @ root.T / n, noise


def best_mean(values: Tensor, k: int) -> Tensor:
    return values.topk(k, dim=-1).values.mean(dim=-1)


def knowledge_gradient(mean: Tensor, shift: Tensor, k: int) -> float:
    """Expected gain of the mean of the k highest of mean + shift z, by integration over z."""
    z = torch.linspace(-9, 9, 20_001, dtype=torch.float64)
    weight = torch.exp(-0.5 * z.square())
    after = best_mean(mean + z[:, None] * shift, k) - best_mean(mean, k)
    return float(after @ weight / weight.sum())


def test_conditioning_is_that_of_a_gaussian() -> None:
    _, covariance, noise = gaussian(7, 0)
    conditioned = Conditioned(covariance, noise, 3)
    for row in (4, 1, 4):  # the same value may be observed again
        conditioned.observe(row)
    seen = torch.tensor([4, 1, 4])
    noisy = covariance[seen][:, seen] + torch.diag(noise[seen])
    left = covariance - covariance[:, seen] @ torch.linalg.solve(noisy, covariance[seen])
    everything = torch.arange(7)
    torch.testing.assert_close(conditioned.covariance(everything, everything), left)
    torch.testing.assert_close(conditioned.variance, left.diagonal() + noise)
    lost = 0.5 * (conditioned.variance / (covariance.diagonal() + noise)).log()
    torch.testing.assert_close(conditioned.loss(), lost)


@pytest.mark.parametrize("unit", [1e-14, 1e6])
def test_a_lesson_has_the_unit_of_the_utility(unit: float) -> None:
    mean, covariance, noise = gaussian(30, 4)
    plain = Conditioned(covariance, noise, 2)
    scaled = Conditioned(unit**2 * covariance, unit**2 * noise, 2)
    for row in (3, 3):
        plain.observe(row)
        scaled.observe(row)
    torch.testing.assert_close(scaled.loss(), plain.loss())
    gain = Knowledge(mean, 5, plain, torch.arange(30)).gain(torch.arange(30))
    found = Knowledge(unit * mean, 5, scaled, torch.arange(30)).gain(torch.arange(30))
    torch.testing.assert_close(found / unit, gain)


def test_one_candidate_against_a_known_one_is_exact() -> None:
    # Two candidates, of which one moves: the gain is that of an option on the difference.
    mean = torch.tensor([0.3, 0.0], dtype=torch.float64)
    covariance = torch.tensor([[0.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
    noise = torch.tensor([1.0, 0.5], dtype=torch.float64)
    knowledge = Knowledge(mean, 1, Conditioned(covariance, noise, 1), torch.arange(2))
    s = 4.0 / 4.5**0.5
    half = 0.15 / s  # the border lies midway, and only the second crosses it
    expected = s * (norm.pdf(half) - half * norm.cdf(-half))
    assert knowledge.gain(torch.tensor([0, 1])).tolist() == pytest.approx([0.0, expected])


@pytest.mark.parametrize("k", [5, 20])
@pytest.mark.parametrize("seed", range(3))
def test_it_bounds_the_knowledge_gradient_and_ranks_queries_alike(k: int, seed: int) -> None:
    mean, covariance, noise = gaussian(60, seed)
    knowledge = Knowledge(mean, k, Conditioned(covariance, noise, 1), torch.arange(60))
    bound = knowledge.gain(torch.arange(60))
    shift = covariance / (covariance.diagonal() + noise).sqrt()[:, None]
    exact = torch.tensor([knowledge_gradient(mean, row, k) for row in shift], dtype=torch.float64)
    assert bool((bound >= exact).all())
    assert torch.corrcoef(torch.stack([bound, exact]))[0, 1] > 0.9
    assert (bound / exact).median() < 1.5


def test_what_is_observed_teaches_less_when_asked_again() -> None:
    mean, covariance, noise = gaussian(30, 3)
    conditioned = Conditioned(covariance, noise, 1)
    knowledge = Knowledge(mean, 5, conditioned, torch.arange(30))
    before = knowledge.gain(torch.arange(30))
    conditioned.observe(7)
    assert knowledge.gain(torch.tensor([7])) < 0.8 * before[7]


def test_nothing_is_taught_by_what_says_nothing_of_the_target() -> None:
    covariance = torch.eye(3, dtype=torch.float64)
    mean = torch.tensor([0.0, 1.0], dtype=torch.float64)
    conditioned = Conditioned(covariance, torch.ones(3, dtype=torch.float64), 1)
    knowledge = Knowledge(mean, 1, conditioned, torch.tensor([1, 2]))
    assert knowledge.gain(torch.tensor([0])).tolist() == [0.0]
    assert knowledge.gain(torch.tensor([], dtype=torch.long)).tolist() == []


@pytest.mark.parametrize("seed", range(3))
def test_the_best_lesson_is_the_best_of_all(seed: int) -> None:
    n = 400
    mean, covariance, noise = gaussian(n, seed)
    price = 1 + torch.arange(n, dtype=torch.float64) % 3
    conditioned = Conditioned(covariance, noise, 25)
    knowledge = Knowledge(mean, 20, conditioned, torch.arange(n))
    lesson = BestLesson(knowledge, price, conditioned)
    open_rows = torch.ones(n, dtype=torch.bool)
    worst = 1.0
    for step in range(25):
        # Some rows can be afforded only from the middle on.
        rows = (open_rows & ((torch.arange(n) % 5 > 0) | (step > 12))).nonzero()[:, 0]
        pick = lesson.among(rows)
        rate = knowledge.gain(rows) / price[rows]
        worst = min(worst, float(rate[rows == pick] / rate.max()))
        open_rows[pick] = False
        conditioned.observe(pick)
    # What a query teaches may rise a little as others are answered, and go unnoticed.
    assert worst > 0.95
