"""The default surrogate against BoTorch and against its own promises."""

from dataclasses import replace

import pytest
import torch

from mfal.dataset import Dataset
from mfal.errors import ConfigError, SurrogateError
from mfal.surrogate.base import Surrogate
from mfal.surrogate.gp import MultiFidelityGP
from mfal.surrogate.kernels import CountKernel
from tests.unit.surrogate.data import synthetic
from tests.unit.surrogate.moments import assert_moments_agree

TRENDS = (6, 7, 8)
KINDS = [
    {"linear_columns": TRENDS},
    {"linear_columns": TRENDS, "kernel": "tanimoto"},
    {"linear_columns": ()},
    {"linear_columns": tuple(range(9))},
]


@pytest.mark.parametrize("options", KINDS, ids=["both", "tanimoto", "counts", "trends"])
def test_all_moments_agree_with_botorch(three_rungs: Dataset, options: dict[str, object]) -> None:
    surrogate = MultiFidelityGP(**options).fit(three_rungs, seed=0)  # type: ignore[arg-type]
    assert_moments_agree(surrogate, three_rungs)


def test_what_is_known_about_a_candidate_counts_at_other_fidelities(three_rungs: Dataset) -> None:
    surrogate = MultiFidelityGP(linear_columns=TRENDS).fit(three_rungs, seed=0)
    cheap_only = torch.tensor([30, 40])  # asked at the cheapest rung alone
    features = three_rungs.features[cheap_only]
    stranger = surrogate.joint(features)
    known = surrogate.joint(features, cheap_only)
    assert (known.variance[:, -1] < 0.95 * stranger.variance[:, -1]).all()
    assert ((known.mean - stranger.mean)[:, -1].abs() > 1e-3).all()


def test_moments_do_not_depend_on_the_batch(three_rungs: Dataset) -> None:
    surrogate = MultiFidelityGP(linear_columns=TRENDS).fit(three_rungs, seed=0)
    features = torch.randint(0, 5, (5000, 9)).double()
    whole, part = surrogate.joint(features), surrogate.joint(features[4000:4010])
    torch.testing.assert_close(whole.mean[4000:4010], part.mean, rtol=0, atol=1e-10)
    torch.testing.assert_close(whole.variance[4000:4010], part.variance, rtol=0, atol=1e-10)


def test_the_same_seed_gives_the_same_fit_and_leaves_the_settings_alone() -> None:
    data = synthetic(60, 2, seed=4)
    settings = MultiFidelityGP(linear_columns=TRENDS, max_fit_points=40)
    assert isinstance(settings, Surrogate)
    first, second = settings.fit(data, seed=3), settings.fit(data, seed=3)
    other = settings.fit(data, seed=4)
    assert first.diagnostics() == second.diagnostics() != other.diagnostics()
    assert first.diagnostics()["n_fitted"] == 40
    assert first.diagnostics()["n"] == 90
    with pytest.raises(SurrogateError, match="not fitted"):
        settings.joint(data.features)


def test_units_of_the_utility_carry_through() -> None:
    data = synthetic(40, 2, seed=5)
    scaled = replace(data, utility=1000.0 * data.utility + 5.0)
    a = MultiFidelityGP(linear_columns=TRENDS).fit(data, seed=0).joint(data.features)
    b = MultiFidelityGP(linear_columns=TRENDS).fit(scaled, seed=0).joint(data.features)
    torch.testing.assert_close(b.mean, 1000 * a.mean + 5, rtol=1e-4, atol=0.5)
    torch.testing.assert_close(b.variance, 1e6 * a.variance, rtol=1e-3, atol=1.0)
    torch.testing.assert_close(b.noise, 1e6 * a.noise, rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("unit", [1e-13, 1e9])
def test_a_unit_may_be_small_or_large(unit: float) -> None:
    data = synthetic(40, 2, seed=5)
    scaled = replace(data, utility=unit * data.utility)
    a = MultiFidelityGP(linear_columns=TRENDS).fit(data, seed=0).joint(data.features)
    b = MultiFidelityGP(linear_columns=TRENDS).fit(scaled, seed=0).joint(data.features)
    torch.testing.assert_close(b.mean / unit, a.mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(b.variance / unit**2, a.variance, rtol=1e-5, atol=1e-8)


def test_a_target_asked_only_about_the_good_keeps_the_rungs_together() -> None:
    # By its own mean and deviation the target's good candidates would look like average ones.
    full = synthetic(120, 2, seed=6)
    best = full.utility[:120].topk(30).indices
    rows = torch.cat([torch.arange(120), 120 + best[best < 60]])
    surrogate = MultiFidelityGP(linear_columns=TRENDS).fit(full.subset(rows), seed=0)
    new = synthetic(200, 1, seed=60)
    error = surrogate.joint(new.features).mean[:, 1] - new.utility
    assert error.mean().abs() < 0.35 * new.utility.std()
    assert surrogate.diagnostics()["correlation_0"] > 0.7


@pytest.mark.parametrize("n_fidelities", [1, 2, 3])
def test_diagnostics_name_what_a_round_records(n_fidelities: int) -> None:
    data = synthetic(40, n_fidelities, seed=7)
    figures = MultiFidelityGP(linear_columns=TRENDS).fit(data, seed=0).diagnostics()
    for rung in range(n_fidelities):
        assert 0 < figures[f"correlation_{rung}"] <= 1 + 1e-12
        assert figures[f"noise_{rung}"] > 0
    assert figures[f"correlation_{n_fidelities - 1}"] == pytest.approx(1)
    assert 0 < figures["nugget_share"] < 1
    assert figures["attempts"] == 1
    assert all(isinstance(value, float) for value in figures.values())


def broken(data: Dataset, what: str) -> Dataset:
    if what == "few":
        return data.subset(torch.tensor([0, 1]))
    if what == "constant":
        return replace(data, utility=torch.full_like(data.utility, 3.3))
    if what == "infinite":
        return replace(data, utility=data.utility.index_fill(0, torch.tensor([2]), torch.inf))
    return replace(data, features=data.features.index_fill(0, torch.tensor([2]), torch.nan))


@pytest.mark.parametrize("what", ["few", "constant", "infinite", "nan features"])
def test_data_that_allow_no_fit_are_refused(three_rungs: Dataset, what: str) -> None:
    with pytest.raises(SurrogateError) as caught:
        MultiFidelityGP().fit(broken(three_rungs, what), seed=0)
    assert caught.value.hint


def test_options_that_do_not_fit_the_data_are_refused(three_rungs: Dataset) -> None:
    with pytest.raises(SurrogateError, match="3 fidelities, not 2"):
        MultiFidelityGP(n_fidelities=2).fit(three_rungs, seed=0)
    with pytest.raises(SurrogateError, match="linear_columns"):
        MultiFidelityGP(linear_columns=(12,)).fit(three_rungs, seed=0)
    below = replace(three_rungs, features=three_rungs.features - 3)
    with pytest.raises(SurrogateError, match="Tanimoto"):
        MultiFidelityGP(kernel="tanimoto").fit(below, seed=0)


@pytest.mark.parametrize("rung", [0, 1])
def test_all_observations_at_one_fidelity_still_fit(rung: int) -> None:
    data = synthetic(30, 1, seed=8)
    data = replace(data, fidelity=torch.full_like(data.fidelity, rung), n_fidelities=2)
    moments = MultiFidelityGP(linear_columns=TRENDS).fit(data, seed=0).joint(data.features)
    assert moments.mean.isfinite().all()
    assert (moments.variance > 0).all()


def test_candidates_with_equal_features_do_not_break_the_fit() -> None:
    data = synthetic(40, 2, seed=9)
    twins = replace(data, features=data.features[:8].repeat(5, 1))
    surrogate = MultiFidelityGP(linear_columns=TRENDS).fit(twins, seed=0)
    assert surrogate.joint(twins.features).variance.isfinite().all()


def test_float32_is_refused_where_it_has_not_the_digits() -> None:
    MultiFidelityGP(precision="float32", noise_floor=1e-4)
    MultiFidelityGP(precision="float64", noise_floor=1e-7)
    with pytest.raises(ConfigError, match=r"noise_floor 1e-07[\s\S]*0\.0001 or more"):
        MultiFidelityGP(precision="float32", noise_floor=1e-7)


@pytest.mark.parametrize("kernel", ["matern52", "tanimoto", "hamming", "rbf"])
def test_features_that_are_no_numbers_have_no_prediction(kernel: CountKernel) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(20, 4, generator=generator, dtype=torch.float64)
    rows = torch.arange(20)
    data = Dataset(tuple(map(str, rows)), x, rows, torch.zeros_like(rows), x.sum(dim=1), 1)
    broken = torch.tensor([[torch.nan, 0.2, 0.3, 0.4]], dtype=torch.float64)
    assert MultiFidelityGP(kernel=kernel).fit(data, seed=0).joint(broken).mean.isnan().all()
