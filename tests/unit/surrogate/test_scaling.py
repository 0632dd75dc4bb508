"""Scales learnt from training data."""

from dataclasses import replace

import pytest
import torch

from mfal.errors import SurrogateError
from mfal.surrogate.scaling import FeatureScale, UtilityScale
from tests.unit.surrogate.data import synthetic


def test_a_rung_is_lined_up_with_the_target_by_the_candidates_they_share() -> None:
    # The cheap rung is 2 t + 3 exactly; the target was only asked about the best twenty.
    data = synthetic(80, 2, seed=1)
    truth = data.utility[:80]
    best = truth.topk(20).indices
    data = replace(
        data,
        candidate=torch.cat([torch.arange(80), best]),
        fidelity=torch.cat([torch.zeros(80), torch.ones(20)]).long(),
        utility=torch.cat([2 * truth + 3, truth[best]]),
    )
    values = UtilityScale.learn(data).standardise(data.utility, data.fidelity)
    torch.testing.assert_close(values[best], values[80:])
    assert values[80:].mean().abs() < 1e-12
    assert values[:80].mean() < -1


def test_a_rung_is_scaled_by_the_pairs_and_the_whole_target_together() -> None:
    # Only the lower half of the targets has a partner: 2 t + 3 there, as for all others.
    data = synthetic(60, 2, seed=4)
    target = data.utility[data.fidelity == 1]
    n = len(target)
    low = target.topk(10, largest=False).indices
    data = replace(
        data,
        candidate=torch.cat([low, torch.arange(n)]),
        fidelity=torch.cat([torch.zeros(10), torch.ones(n)]).long(),
        utility=torch.cat([2 * target[low] + 3, target]),
    )
    scale = UtilityScale.learn(data).scale
    assert float(scale[0]) == pytest.approx(2 * float(scale[1]))


def test_a_rung_that_shares_nothing_is_scaled_by_its_own_values() -> None:
    data = synthetic(60, 2, seed=1)
    apart = data.subset(torch.cat([torch.arange(30, 60), torch.arange(60, 90)]))
    values = UtilityScale.learn(apart).standardise(apart.utility, apart.fidelity)
    for rung in (0, 1):
        part = values[apart.fidelity == rung]
        assert float(part.mean()) == pytest.approx(0, abs=1e-12)
        assert float(part.std()) == pytest.approx(1)


def test_a_constant_target_takes_the_scale_of_everything() -> None:
    data = synthetic(40, 2, seed=1)
    flat = replace(data, utility=torch.where(data.fidelity == 1, 2.0, data.utility))
    scale = UtilityScale.learn(flat)
    assert float(scale.scale[1]) == pytest.approx(float(flat.utility.std()))
    assert (scale.scale > 0).all()


def test_counts_share_one_scale_and_trends_have_their_own() -> None:
    features = synthetic(50, 1, seed=3).features
    features[:, 8] *= 1000
    scale = FeatureScale.learn(features, (6, 7, 8))
    counts, trends = scale.split(features)
    assert torch.equal(counts, features[:, :6])
    squared = torch.cdist(counts, counts).square().mean().sqrt() / scale.count_scale
    assert float(squared) == pytest.approx(1)
    spread = trends.std(dim=0, correction=0) * 3**0.5
    assert float(spread[2]) == pytest.approx(1)
    assert trends.mean(dim=0).abs().max() < 1e-12


def test_a_nearly_constant_trend_is_not_blown_up() -> None:
    features = synthetic(50, 1, seed=3).features
    features[:, 8] = 0.0
    features[0, 8] = 0.01
    scale = FeatureScale.learn(features, (6, 7, 8))
    outlier = features[:1].clone()
    outlier[0, 8] = 3.0
    assert scale.split(outlier)[1].abs().max() < 10


@pytest.mark.parametrize("level", [0.0, 0.1, 1e9])
def test_constant_trends_are_not_blown_up_however_many_there_are(level: float) -> None:
    features = synthetic(50, 1, seed=3).features
    varying = FeatureScale.learn(features, (8,)).trend_scale
    features[:, :8] = level
    scale = FeatureScale.learn(features, tuple(range(9)))
    expected = 0.25 * varying.expand(9).clone()
    expected[8] = varying
    torch.testing.assert_close(scale.trend_scale, 3 * expected)


def test_constant_features_are_taken_as_they_are() -> None:
    scale = FeatureScale.learn(torch.full((5, 4), 0.1, dtype=torch.float64), (1, 2))
    counts, trends = scale.split(torch.full((2, 4), 3.1).double())
    assert counts.isfinite().all()
    torch.testing.assert_close(trends, torch.full((2, 2), 3.0 / 2**0.5).double())


def test_columns_that_do_not_exist_are_refused() -> None:
    with pytest.raises(SurrogateError, match="linear_columns"):
        FeatureScale.learn(torch.rand(5, 4).double(), (4,))
    with pytest.raises(SurrogateError, match="utilities"):
        UtilityScale.learn(replace(synthetic(9, 1, seed=0), utility=torch.ones(9).double()))
