"""Expected improvement, upper bounds and Thompson's draw against their definitions."""

import math
from dataclasses import replace

import pytest
import torch
from botorch.acquisition.analytic import LogExpectedImprovement
from scipy.integrate import quad

from mfal.acquisition.base import squared_correlation
from mfal.acquisition.ei import ExpectedImprovement, log_improvement
from mfal.acquisition.gibbon import Gibbon
from mfal.acquisition.thompson import Thompson, _median_distance
from mfal.acquisition.ucb import UpperBound
from mfal.dataset import Dataset
from mfal.surrogate.gp import MultiFidelityGP
from tests.unit.acquisition.surrogates import Given, moments_of
from tests.unit.surrogate.data import synthetic

PLACES = torch.arange(48)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return synthetic(48, 2, seed=2)


@pytest.fixture(scope="module")
def surrogate(data: Dataset) -> MultiFidelityGP:
    return MultiFidelityGP(linear_columns=(6, 7, 8)).fit(data, seed=0)


@pytest.fixture(scope="module")
def new() -> torch.Tensor:
    return synthetic(200, 1, seed=5).features


def drawn(
    acquisition: Thompson, features: torch.Tensor, candidate: torch.Tensor | None = None
) -> torch.Tensor:
    """The random function that it follows, ``n``."""
    return acquisition._draw(features, acquisition.surrogate.joint(features, candidate))


def test_the_squared_correlation_counts_noise() -> None:
    moments = moments_of(0.0, 4.0, 9.0, 3.0, noise=1.0)
    assert squared_correlation(moments)[0].tolist() == pytest.approx([9 / 40, 16 / 20])


@pytest.mark.parametrize("z", [-8.0, -1.3, -1.0, -0.2, 0.0, 0.9, 4.0])
def test_improvement_is_the_integral(z: float) -> None:
    def integrand(x: float) -> float:
        return (x + z) * math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)

    expected = quad(integrand, -z, -z + 20, epsabs=0, epsrel=1e-11)[0]
    assert float(log_improvement(torch.tensor(z, dtype=torch.float64))) == pytest.approx(
        math.log(expected), abs=1e-8
    )


def test_improvement_goes_on_where_it_underflows() -> None:
    z = torch.tensor([-1e9, -1e5, -1001, -999, -50, -2, -1.0001, -0.9999, 5, 1e9]).double()
    value = log_improvement(z)
    assert value.isfinite().all()
    assert (value.diff() > 0).all()
    # Far out it is phi(z) / z^2, and the branches meet.
    at = value[2:4] + 0.5 * z[2:4].square() + 0.5 * math.log(2 * math.pi) + 2 * (-z[2:4]).log()
    assert at.tolist() == pytest.approx([-3 / 1001**2, -3 / 999**2], abs=1e-8)


def test_expected_improvement_is_botorchs_times_the_share(
    data: Dataset, surrogate: MultiFidelityGP, new: torch.Tensor
) -> None:
    acquisition = ExpectedImprovement(surrogate, data.features, PLACES)
    assert acquisition.best == float(surrogate.joint(data.features, PLACES).mean[:, -1].max())
    best = torch.tensor(acquisition.best, dtype=torch.float64)
    theirs = LogExpectedImprovement(surrogate.to_botorch(), best_f=best)
    tail = torch.stack([500 + torch.arange(200), torch.ones(200)], dim=1)
    with torch.no_grad():
        expected = theirs(torch.cat([new, tail], dim=1).double()[:, None, :])
    share = squared_correlation(surrogate.joint(new))
    ours = acquisition.log(new) - share.log()
    torch.testing.assert_close(ours, expected[:, None].expand(-1, 2), rtol=0, atol=1e-6)


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.5])
def test_the_upper_bound_is_mean_plus_beta_deviations(
    data: Dataset, surrogate: MultiFidelityGP, new: torch.Tensor, beta: float
) -> None:
    acquisition = UpperBound(surrogate, data.features, PLACES, beta=beta)
    known, moments = surrogate.joint(data.features, PLACES), surrogate.joint(new)
    reference = known.mean[:, -1] + beta * known.variance[:, -1].sqrt()
    bound = moments.mean[:, -1] + beta * moments.variance[:, -1].sqrt()
    expected = (bound - reference.max()) / reference.std(correction=0)
    ours = acquisition.log(new) - squared_correlation(moments).log()
    torch.testing.assert_close(ours, expected[:, None].expand(-1, 2))


@pytest.mark.parametrize("unit", [1e-13, 1e9])
def test_no_worth_depends_on_the_unit_of_the_utility(
    data: Dataset, surrogate: MultiFidelityGP, new: torch.Tensor, unit: float
) -> None:
    scaled = replace(data, utility=unit * data.utility)
    other = MultiFidelityGP(linear_columns=(6, 7, 8)).fit(scaled, seed=0)
    for kind, options in ((Gibbon, {"seed": 1}), (UpperBound, {}), (Thompson, {"seed": 1})):
        expected = kind(surrogate, data.features, PLACES, **options).log(new)
        found = kind(other, data.features, PLACES, **options).log(new)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    expected = ExpectedImprovement(surrogate, data.features, PLACES).log(new) + math.log(unit)
    found = ExpectedImprovement(other, data.features, PLACES).log(new)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_the_length_of_a_draw_is_that_of_all_the_reference() -> None:
    # The oldest five hundred candidates are one small family.
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2000, 3, generator=generator, dtype=torch.float64)
    features[:500] *= 0.01
    everything = float(torch.pdist(features).median())
    found = _median_distance(features, torch.Generator().manual_seed(1))
    assert found == pytest.approx(everything, rel=0.1)


def test_draws_have_the_mean_and_variance_of_the_posterior(
    data: Dataset, surrogate: MultiFidelityGP, new: torch.Tensor
) -> None:
    n, some = 500, new[:20]
    draws = torch.stack(
        [
            drawn(Thompson(surrogate, data.features[:8], PLACES[:8], n_frequencies=8, seed=s), some)
            for s in range(n)
        ]
    )
    moments = surrogate.joint(some)
    mean, variance = moments.mean[:, -1], moments.variance[:, -1]
    # Five standard errors of the mean and of the variance of n normal draws.
    assert ((draws.mean(dim=0) - mean).abs() < 5 * (variance / n).sqrt()).all()
    assert ((draws.var(dim=0) / variance - 1).abs() < 5 * (2 / n) ** 0.5).all()


def test_a_draw_is_one_function(
    data: Dataset, surrogate: MultiFidelityGP, new: torch.Tensor
) -> None:
    draw = Thompson(surrogate, data.features, PLACES, seed=3)
    again = Thompson(surrogate, data.features, PLACES, seed=3)
    other = Thompson(surrogate, data.features, PLACES, seed=4)
    assert torch.equal(draw.log(new), again.log(new))
    assert not torch.allclose(draw.log(new), other.log(new))
    # A value does not depend on what is asked beside it, nor on the order of asking.
    torch.testing.assert_close(draw.log(new[50:60]), draw.log(new)[50:60], rtol=1e-9, atol=1e-9)
    # Close candidates get close deviations, unlike ones do not.
    near = new + 1e-3
    moments = [surrogate.joint(x) for x in (new, near)]
    deviation = [
        (drawn(draw, x) - m.mean[:, -1]) / m.variance[:, -1].sqrt()
        for x, m in zip((new, near), moments, strict=True)
    ]
    assert (deviation[0] - deviation[1]).abs().max() < 0.02
    assert deviation[0].std() > 0.2


def test_a_draw_becomes_a_worth_as_a_bound_does(
    data: Dataset, surrogate: MultiFidelityGP, new: torch.Tensor
) -> None:
    acquisition = Thompson(surrogate, data.features, PLACES, seed=3)
    reference = drawn(acquisition, data.features, PLACES)
    expected = (drawn(acquisition, new) - reference.max()) / reference.std(correction=0)
    ours = acquisition.log(new) - squared_correlation(surrogate.joint(new)).log()
    torch.testing.assert_close(ours, expected[:, None].expand(-1, 2))


@pytest.mark.parametrize("kind", [ExpectedImprovement, UpperBound])
def test_a_noisier_rung_is_worth_less(kind: type[ExpectedImprovement] | type[UpperBound]) -> None:
    features = torch.zeros(3, 1).double()
    moments = moments_of(0.0, 1.0, 1.0, 0.8, noise=0.1)
    worth = kind(Given(moments), features, PLACES[:3]).log(features).exp()
    torch.testing.assert_close(worth[:, 0] / worth[:, 1], torch.full((3,), 0.64).double())


def test_a_draw_does_not_depend_on_the_units_of_features() -> None:
    surrogate = Given(moments_of(0.0, 1.0, 1.0, 1.0))  # its mean is the first feature
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    unit = torch.tensor([1.0, 1024.0, 1.0], dtype=torch.float64)
    places = torch.full((40,), -1)
    one, other = (
        drawn(Thompson(surrogate, x, places, seed=3), x) for x in (features, features * unit)
    )
    torch.testing.assert_close(one, other)
