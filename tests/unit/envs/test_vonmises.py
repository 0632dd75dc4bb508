import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Generator

from mfal.envs.vonmises import (
    VonMisesMixture,
    draw_von_mises,
    log_von_mises,
    target_mixture,
    wrap,
)
from mfal.errors import ConfigError

CONCENTRATIONS = [0.0, 1e-7, 1e-3, 0.3, 1.0, 5.0, 60.0, 500.0, 1e5]


def circle(n: int) -> torch.Tensor:
    return (torch.arange(n, dtype=torch.float64) + 0.5) * (2 * math.pi / n) - math.pi


@pytest.mark.parametrize("concentration", CONCENTRATIONS)
def test_density_integrates_to_one(concentration: float) -> None:
    angles = circle(20_000)
    k = torch.tensor(concentration, dtype=torch.float64)
    density = log_von_mises(angles, torch.tensor(0.7), k).exp()
    assert density.mean().item() * 2 * math.pi == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("concentration", CONCENTRATIONS[2:])
def test_density_agrees_with_scipy(concentration: float) -> None:
    angles = circle(500)
    k = torch.tensor(concentration, dtype=torch.float64)
    ours = log_von_mises(angles, torch.tensor(0.7, dtype=torch.float64), k)
    theirs = stats.vonmises(concentration, loc=0.7).logpdf(angles.numpy())
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("concentration", CONCENTRATIONS)
def test_draws_follow_the_density(concentration: float, seed: int) -> None:
    """Kolmogorov-Smirnov; 18 tests, so 0.05 / 18 would hold all of them at 5 %."""
    n, mean = 20_000, -2.5
    means, k = torch.full((n,), mean).double(), torch.full((n,), concentration).double()
    drawn = draw_von_mises(means, k, Generator().manual_seed(seed))
    centred = wrap(drawn - mean).numpy()
    law = stats.uniform(-math.pi, 2 * math.pi) if concentration < 1e-6 else None
    law = law or stats.vonmises(concentration)
    assert stats.kstest(centred, law.cdf).pvalue > 0.05 / 18


def test_each_entry_has_its_own_parameters() -> None:
    means = torch.tensor([[0.0, 2.0], [-2.0, 3.0]]).expand(5000, -1, -1)
    k = torch.tensor([[1.0, 300.0], [50.0, 8.0]]).expand(5000, -1, -1)
    drawn = draw_von_mises(means, k, Generator().manual_seed(3))
    direction = torch.polar(torch.ones_like(drawn), drawn).mean(dim=0)
    assert drawn.dtype == torch.float32
    assert torch.allclose(wrap(direction.angle() - means[0]), torch.zeros(2, 2), atol=0.05)
    length = torch.special.i1e(k[0]) / torch.special.i0e(k[0])
    assert torch.allclose(direction.abs(), length, atol=0.02)


def test_draws_depend_on_their_generator_alone() -> None:
    means, k = torch.zeros(100), torch.full((100,), 3.0)
    kept = torch.get_rng_state()
    first, again = (draw_von_mises(means, k, Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, draw_von_mises(means, k, Generator().manual_seed(5)))
    assert torch.equal(torch.get_rng_state(), kept)


def test_no_entries_give_no_draws() -> None:
    assert draw_von_mises(torch.zeros(0, 2), torch.zeros(0, 2), Generator()).shape == (0, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_wrapped_angles_are_inside_and_unchanged_up_to_turns(dtype: torch.dtype) -> None:
    exact = torch.linspace(-50, 50, 10_001, dtype=torch.float64)
    edges = torch.tensor([k * math.pi + d for k in range(-9, 10) for d in (-1e-7, 0, 1e-7)])
    angles = torch.cat([exact, edges.double()]).to(dtype)
    wrapped = wrap(angles)
    assert wrapped.dtype == dtype
    assert ((wrapped.double() >= -math.pi) & (wrapped.double() < math.pi)).all()
    for f in (torch.sin, torch.cos):
        assert torch.allclose(f(wrapped.double()), f(angles.double()), atol=5e-7)
    assert torch.equal(wrap(wrapped), wrapped)


def test_gradients_are_finite_at_any_concentration() -> None:
    k = torch.tensor([0.0, 1e-6, 1.0, 1e3, 1e5]).requires_grad_()
    means = torch.zeros(5).requires_grad_()
    for angle in (0.0, 1e-4, 1.0, math.pi):
        log_density = log_von_mises(torch.full((5,), angle), means, k)
        assert log_density.isfinite().all()
        for gradient in torch.autograd.grad(log_density.sum(), (means, k)):
            assert gradient.isfinite().all()


def test_gradients_agree_with_finite_differences() -> None:
    generator = Generator().manual_seed(6)
    weights, means, k = (
        torch.randn(2, 3, *more, generator=generator, dtype=torch.float64).requires_grad_()
        for more in ((), (2,), (2,))
    )
    angles = torch.randn(2, 2, generator=generator, dtype=torch.float64)

    def log_density(weights: torch.Tensor, means: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return VonMisesMixture(weights, means, k.exp()).log_density(angles)

    assert torch.autograd.gradcheck(log_density, (weights, means, k))


TARGET = target_mixture(
    [0.7, 1.5, 0.3],
    [[-3.0, 0.5], [1.0, 2.9], [0.0, 0.0]],
    [[3.0, 8.0], [1.0, 20.0], [0.0, 5.0]],
)


def test_a_mixture_integrates_to_the_sum_of_its_weights() -> None:
    grid = circle(128).float()
    density = TARGET.log_density(torch.cartesian_prod(grid, grid)).double().exp()
    assert density.mean().item() * (2 * math.pi) ** 2 == pytest.approx(2.5, rel=1e-5)
    assert TARGET.log_total().item() == pytest.approx(math.log(2.5))


def test_draws_of_a_mixture_follow_its_density() -> None:
    """Chi-square on 12 x 12 cells; those that expect less than five draws count as one."""
    n, cells, fine = 50_000, 12, 24
    grid = circle(cells * fine).float()
    density = TARGET.log_density(torch.cartesian_prod(grid, grid)).double().exp()
    share = density.view(cells, fine, cells, fine).sum(dim=(1, 3)).flatten()
    expected = (n * share / share.sum()).numpy()
    rows = VonMisesMixture(
        *(x.expand(n, *x.shape[1:]) for x in (TARGET.log_weights, TARGET.means)),
        TARGET.concentrations.expand(n, -1, -1),
    )
    drawn = rows.draw(Generator().manual_seed(7))
    place = ((drawn + math.pi) / (2 * math.pi) * cells).long()
    found = torch.bincount(place[:, 0] * cells + place[:, 1], minlength=cells**2).numpy()
    rare = expected < 5
    counts, means = (np.append(x[~rare], x[rare].sum()) for x in (found, expected))
    assert means.min() > 5
    assert stats.chisquare(counts, means).pvalue > 0.01


@pytest.mark.parametrize(
    ("weights", "means", "concentrations"),
    [
        ([], [], []),
        ([1.0], [[0.0], [1.0]], [[1.0]]),
        ([1.0], [[0.0, 1.0]], [[1.0]]),
        ([0.0], [[0.0]], [[1.0]]),
        ([1.0], [[0.0]], [[-1.0]]),
    ],
)
def test_peaks_that_do_not_fit_together_are_refused(
    weights: list[float], means: list[list[float]], concentrations: list[list[float]]
) -> None:
    with pytest.raises(ConfigError):
        target_mixture(weights, means, concentrations)
