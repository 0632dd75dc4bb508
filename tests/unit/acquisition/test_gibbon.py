"""GIBBON against BoTorch, against quadrature, and on inputs that break careless formulas."""

import math
from dataclasses import replace

import pytest
import torch
from botorch.acquisition.cost_aware import InverseCostWeightedUtility
from botorch.acquisition.max_value_entropy_search import qMultiFidelityLowerBoundMaxValueEntropy
from botorch.models.deterministic import GenericDeterministicModel
from torch import Tensor

from mfal.acquisition.gibbon import Gibbon, log_information, log_weight
from mfal.acquisition.maxvalues import sample_max_values
from mfal.dataset import Dataset
from mfal.errors import SurrogateError
from mfal.surrogate.base import JointMoments
from mfal.surrogate.gp import MultiFidelityGP
from tests.unit.acquisition.surrogates import ADVERSARIAL, Given, moments_of
from tests.unit.surrogate.data import synthetic


@pytest.fixture(scope="module")
def data() -> Dataset:
    return synthetic(48, 3, seed=2)


@pytest.fixture(scope="module")
def surrogate(data: Dataset) -> MultiFidelityGP:
    return MultiFidelityGP(linear_columns=(6, 7, 8)).fit(data, seed=0)


def test_agrees_with_botorch_on_600_candidates_at_every_fidelity(
    data: Dataset, surrogate: MultiFidelityGP
) -> None:
    features = torch.cat([synthetic(560, 1, seed=13).features, data.features[:40]])
    candidate = torch.cat([torch.full((560,), -1), torch.arange(40)])
    ids = torch.where(candidate < 0, 1000 + torch.arange(600), candidate).double()[:, None]

    def at(rung: int) -> torch.Tensor:
        return torch.cat([features, ids, torch.full((600, 1), float(rung)).double()], dim=1)

    def project(inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat([inputs[..., :-1], torch.full_like(inputs[..., -1:], 2.0)], dim=-1)

    free = GenericDeterministicModel(lambda x: torch.ones_like(x[..., :1]))
    theirs = qMultiFidelityLowerBoundMaxValueEntropy(
        surrogate.to_botorch(),
        candidate_set=at(2)[:50],
        cost_aware_utility=InverseCostWeightedUtility(free),
        project=project,
    )
    gibbon = Gibbon(surrogate, features, candidate, n_max_values=16, seed=0)
    theirs.posterior_max_values = gibbon.max_values[:, None]
    ours = gibbon.log(features, candidate).exp()
    assert ours.max() > 0.05
    for rung in range(3):
        with torch.no_grad():
            expected = torch.cat([theirs(part) for part in at(rung)[:, None, :].split(100)])
        torch.testing.assert_close(ours[:, rung], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("g", [-30.0, -4.0, -0.5, 0.0, 0.7, 3.0, 6.0])
def test_the_weight_is_the_drop_in_variance_of_a_truncated_normal(g: float) -> None:
    # z below g keeps the variance 1 - h (g + h); integrate it on a grid.
    z = torch.linspace(min(g, 0.0) - 12.0, g, 400_001, dtype=torch.float64)
    density = (-0.5 * (z.square() - min(g, 0.0) ** 2)).exp()
    mass = torch.trapezoid(density, z)
    mean = torch.trapezoid(density * z, z) / mass
    variance = torch.trapezoid(density * (z - mean).square(), z) / mass
    weight = log_weight(torch.tensor([g], dtype=torch.float64)).exp()
    assert float(weight) == pytest.approx(float(1 - variance), abs=1e-8)


def test_the_log_weight_goes_on_where_the_weight_underflows() -> None:
    g = torch.tensor([-1e4, -50, 0, 30, 38, 39, 60, 1e3, 1e6], dtype=torch.float64)
    value = log_weight(g)
    assert value.isfinite().all()
    assert (value <= 0).all()
    assert (value.diff() < 0).all()
    # Far to the right h (g + h) is phi(g) g.
    expected = -0.5 * 60.0**2 - 0.5 * math.log(2 * math.pi) + math.log(60)
    assert float(value[6]) == pytest.approx(expected, abs=1e-9)


def test_a_noisy_or_unrelated_rung_tells_less() -> None:
    best = torch.tensor([1.0], dtype=torch.float64)
    clear = log_information(moments_of(0.5, 1.0, 1.0, 0.9), best).exp()
    noisy = log_information(moments_of(0.5, 1.0, 1.0, 0.9, noise=1.0), best).exp()
    unrelated = log_information(moments_of(0.5, 1.0, 1.0, 0.0), best).exp()
    assert clear[0, 1] > clear[0, 0] > noisy[0, 0] > 1e-3 > 1e-299 > unrelated[0, 0]


@pytest.mark.parametrize("what", list(ADVERSARIAL))
def test_nothing_is_nan_or_infinite(what: str) -> None:
    values = torch.tensor([-1e6, 0.0, 1.0, 1e6], dtype=torch.float64)
    log = log_information(ADVERSARIAL[what], values)
    assert log.isfinite().all()
    assert log.exp().isfinite().all()


def test_max_values_reach_from_the_best_mean_upwards(
    data: Dataset, surrogate: MultiFidelityGP
) -> None:
    places = torch.arange(48)
    mean = surrogate.joint(data.features, places).mean[:, -1]
    draws = sample_max_values(surrogate, data.features, places, 64, seed=1)
    assert draws.shape == (64,)
    assert (draws >= mean.max()).all()
    assert draws.std() > 0
    assert torch.equal(draws, sample_max_values(surrogate, data.features, places, 64, seed=1))
    assert not torch.equal(draws, sample_max_values(surrogate, data.features, places, 64, seed=2))
    # A reference without the good candidates holds a lower maximum.
    worst = mean.argsort()[:20]
    low = sample_max_values(surrogate, data.features[worst], worst, 64, seed=1)
    assert low.mean() < draws.mean() - 1


def test_duplicates_in_the_reference_do_no_harm(data: Dataset, surrogate: MultiFidelityGP) -> None:
    places = torch.zeros(40, dtype=torch.long)
    same = Gibbon(surrogate, data.features[:1].repeat(40, 1), places, seed=0)
    assert same.log(data.features).isfinite().all()


def test_an_empty_reference_is_refused(surrogate: MultiFidelityGP) -> None:
    with pytest.raises(SurrogateError, match="reference"):
        Gibbon(surrogate, torch.zeros(0, 9).double(), torch.zeros(0).long(), seed=0)


def test_what_is_uncertain_is_drawn_however_many_are_surely_better() -> None:
    class Certain(Given):
        """Value 1 for sure, but for the last candidate: 0.9, give or take 1."""

        def joint(self, features: Tensor, candidate: Tensor | None = None) -> JointMoments:
            moments = super().joint(features, candidate)
            return replace(moments, variance=torch.where(features[:, 1:2] > 0, 1.0, 1e-12))

        def covariance(self, features: Tensor, candidate: Tensor, fidelity: Tensor) -> Tensor:
            return torch.diag(torch.where(features[:, 1] > 0, 1.0, 1e-12).double())

    features = torch.tensor([[1.0, 0.0]] * 600 + [[0.9, 1.0]], dtype=torch.float64)
    surrogate = Certain(moments_of(0.0, 1.0, 1.0, 1.0))
    places = torch.full((601,), -1)
    draws = sample_max_values(surrogate, features, places, 200, seed=0)
    # Above 1 where the last is: half of the draws but for its tenth.
    assert 0.36 < float((draws > 1.001).double().mean()) < 0.56
