"""Exact max-value entropy against integration, its limits and its bound."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import log_ndtr

from mfal.acquisition.gibbon import Gibbon, log_bound, log_weight
from mfal.acquisition.mes import MaxValueEntropy, log_entropy_lost, log_information
from mfal.acquisition.negentropy import log_negentropy
from mfal.surrogate.gp import MultiFidelityGP
from tests.unit.acquisition.surrogates import moments_of
from tests.unit.surrogate.data import synthetic

BOUNDS = [-200.0, -50.0, -20.0, -8.0, -3.3, -1.0, -0.2, 0.0, 0.3, 1.1, 2.7, 5.0, 5.97, 7.0, 9.0]
CORRELATIONS = [0.05, 0.3, 0.6, 0.8, 0.9, 0.97, 0.99, 0.999, 0.99999]


def column(values: object) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float64)[:, None]


def nats(g: object, rho: object) -> torch.Tensor:
    """I(g, rho) for every pair of `g` and `rho`."""
    squared = torch.as_tensor(rho, dtype=torch.float64).square()
    at = column(g)
    return log_information(at, squared.expand(len(at), -1)).exp()[:, :, 0]


def integral(g: float, rho: float) -> float:
    """H[N(0, 1)] - H[p] by adaptive quadrature of -p log p."""
    rest = math.sqrt((1 - rho) * (1 + rho))
    h = math.exp(-0.5 * g * g - 0.5 * math.log(2 * math.pi) - log_ndtr(g))
    mean, sd = -rho * h, math.sqrt(1 - rho**2 * h * (g + h))
    edge = rho * g

    def integrand(y: float) -> float:
        log_p = -0.5 * y * y - 0.5 * math.log(2 * math.pi) + log_ndtr((g - rho * y) / rest)
        log_p -= log_ndtr(g)
        return -math.exp(log_p) * float(log_p)

    low, high = mean - 40 * sd, max(mean + 10 * sd, edge + 10 * rest)
    marks = [mean + k * sd for k in (-10, -3, 0)] + [edge + k * rest for k in (-10, -3, 0, 3)]
    cuts = sorted({low, high, *(m for m in marks if low < m < high)})
    entropy = sum(
        quad(integrand, a, b, epsabs=1e-10, epsrel=1e-9, limit=200)[0] for a, b in pairwise(cuts)
    )
    return 0.5 * math.log(2 * math.pi * math.e) - float(entropy)


@pytest.mark.parametrize("g", BOUNDS)
def test_it_is_the_integral(g: float) -> None:
    expected = [integral(g, rho) for rho in CORRELATIONS]
    assert nats([g], CORRELATIONS)[0].tolist() == pytest.approx(expected, rel=0, abs=1e-4)


def test_it_is_the_integral_between_the_nodes_of_the_table() -> None:
    generator = np.random.default_rng(0)
    g = generator.uniform(-15, 7, 100).tolist()
    rho = (1 - 10 ** generator.uniform(-6, 0, 100)).tolist()
    ours = [float(nats([a], [b])) for a, b in zip(g, rho, strict=True)]
    theirs = [integral(a, b) for a, b in zip(g, rho, strict=True)]
    assert ours == pytest.approx(theirs, rel=0, abs=1e-4)


def test_at_correlation_1_it_is_single_fidelity_max_value_entropy() -> None:
    # Wang & Jegelka 2017, equation 6: g phi / (2 Phi) - log Phi.
    g = torch.cat([torch.linspace(-1000, -10, 500), torch.linspace(-10, 9, 2001)]).double()
    h = (-0.5 * g.square() - 0.5 * math.log(2 * math.pi) - torch.special.log_ndtr(g)).exp()
    expected = 0.5 * g * h - torch.special.log_ndtr(g)
    torch.testing.assert_close(nats(g, [1.0])[:, 0], expected, rtol=0, atol=1e-4)


def test_at_correlation_0_it_is_0() -> None:
    assert nats(BOUNDS, [0.0]).max() < 1e-299


def test_it_rises_with_correlation_and_falls_with_the_bound() -> None:
    rho = torch.cat(
        [torch.linspace(0, 0.999, 700), 1 - torch.logspace(-3.1, -9, 100), torch.ones(1)]
    )
    g = torch.cat([-torch.logspace(4, 1, 200), torch.linspace(-9.9, 12, 800)]).double()
    log = log_information(column(g), rho.double().square().expand(len(g), -1))[:, :, 0]
    assert log.isfinite().all()
    assert (log.diff(dim=1) >= 0).all()
    assert (log.exp() >= 0).all()
    assert (log[:, 1:].diff(dim=0) < 1e-6).all()


def test_gibbon_is_its_lower_bound_and_the_gap_is_bounded() -> None:
    g, squared = column(BOUNDS), torch.tensor(CORRELATIONS).double().square().expand(15, -1)
    bound = log_bound(squared, log_weight(g)).exp()
    exact = log_information(g, squared).exp()
    gap = log_negentropy(g, squared).exp()
    assert (gap >= 0).all()
    # The negentropy of an exponential variable.
    assert gap.max() <= 0.5 * math.log(2 * math.pi * math.e) - 1 + 1e-9
    torch.testing.assert_close(exact - bound, gap, rtol=1e-6, atol=1e-12)


def test_it_averages_over_max_values() -> None:
    moments = moments_of(0.3, 4.0, 1.0, 1.2, noise=0.5)
    values = torch.tensor([0.0, 2.0, 5.0], dtype=torch.float64)
    g = (values - 0.3) / 2
    rho = [1.2 / math.sqrt(4.0 * 1.5), math.sqrt(4.0 / 4.5)]
    expected = nats(g, rho).mean(dim=0)
    torch.testing.assert_close(log_entropy_lost(moments, values).exp()[0], expected)


def test_it_ranks_as_gibbon_does_on_a_fitted_surrogate() -> None:
    data = synthetic(48, 3, seed=2)
    surrogate = MultiFidelityGP(linear_columns=(6, 7, 8)).fit(data, seed=0)
    places = torch.arange(48)
    exact = MaxValueEntropy(surrogate, data.features, places, seed=0)
    bound = Gibbon(surrogate, data.features, places, seed=0)
    assert torch.equal(exact.max_values, bound.max_values)
    new = synthetic(300, 1, seed=5).features
    ours, theirs = exact.log(new).exp(), bound.log(new).exp()
    assert (ours >= theirs - 1e-9).all()
    ranks = torch.stack([x.flatten().argsort().argsort().double() for x in (ours, theirs)])
    assert torch.corrcoef(ranks)[0, 1] > 0.99
