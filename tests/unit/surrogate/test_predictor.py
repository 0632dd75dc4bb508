"""Predictions in both precisions, in bounded memory, and from a part of a large data set."""

import logging
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mfal.dataset import Dataset
from mfal.errors import ConfigError
from mfal.surrogate.base import JointMoments
from mfal.surrogate.gp import MultiFidelityGP
from mfal.surrogate.kernels import CountKernel
from mfal.surrogate.posterior import Posterior, observed_covariance
from mfal.surrogate.predictor import moved
from mfal.surrogate.subspace import Subspace
from tests.unit.surrogate.data import synthetic

TRENDS = (6, 7, 8)


@pytest.fixture(scope="module")
def large() -> Dataset:
    """400 candidates, 600 observations."""
    return synthetic(400, 2, seed=20)


@pytest.fixture(scope="module")
def exact(large: Dataset) -> MultiFidelityGP:
    return MultiFidelityGP(linear_columns=TRENDS, max_fit_points=150).fit(large, seed=0)


def queries(data: Dataset) -> tuple[Tensor, Tensor]:
    """200 new candidates and 200 known ones."""
    new = synthetic(200, 1, seed=21).features
    known = torch.arange(0, 400, 2)
    places = torch.cat([torch.full((200,), -1), known])
    return torch.cat([new, data.features[known]]), places


def low_rank(data: Dataset, rank: int) -> MultiFidelityGP:
    settings = MultiFidelityGP(
        linear_columns=TRENDS, max_fit_points=150, exact_points=500, rank=rank
    )
    return settings.fit(data, seed=0)


def assert_close_in_float32(ours: JointMoments, theirs: JointMoments) -> None:
    """Means to .1 % of a posterior deviation, variances to .5 % and 2e-5 of the largest."""
    deviation, largest = theirs.variance.sqrt(), theirs.variance.max(dim=0).values
    assert ((ours.mean - theirs.mean).abs() < 1e-3 * deviation).all()
    error = (ours.variance - theirs.variance).abs()
    assert (error < 5e-3 * theirs.variance).all()
    assert (error < 2e-5 * largest).all()
    bound = deviation * deviation[:, -1:]
    assert ((ours.target_covariance - theirs.target_covariance).abs() < 5e-3 * bound).all()
    torch.testing.assert_close(ours.noise, theirs.noise)


@pytest.mark.parametrize("kernel", ["matern52", "tanimoto", "hamming", "rbf"])
def test_float32_agrees_with_float64(large: Dataset, kernel: str) -> None:
    options = {"linear_columns": TRENDS, "kernel": kernel, "max_fit_points": 150}
    double = MultiFidelityGP(**options).fit(large, seed=0)  # type: ignore[arg-type]
    single = MultiFidelityGP(precision="float32", **options)  # type: ignore[arg-type]
    single = single.fit(large, seed=0)
    ours = single.joint(*queries(large))
    assert ours.mean.dtype == ours.variance.dtype == torch.float64
    assert single.posterior.predictor.whitener.dtype == torch.float32
    assert_close_in_float32(ours, double.joint(*queries(large)))
    assert single.diagnostics() == double.diagnostics()


def test_float32_agrees_with_float64_at_a_low_rank(large: Dataset) -> None:
    surrogate = low_rank(large, 64)
    features, candidate = queries(large)
    single = surrogate.posterior.predictor.to(torch.float32)
    assert_close_in_float32(single.joint(features, candidate), surrogate.joint(features, candidate))


def test_blocks_shrink_as_the_data_grow(exact: MultiFidelityGP, large: Dataset) -> None:
    predictor = exact.posterior.predictor
    expected = predictor.joint(*queries(large))
    wide = replace(predictor, mean_map=torch.zeros(20_000, 2, dtype=torch.float64))
    assert predictor._chunk() == 512
    assert wide._chunk() * 20_000 * 8 <= 2**25
    in_pieces = [predictor.joint(f[None], c[None]) for f, c in zip(*queries(large), strict=True)]
    for name in ("mean", "variance", "target_covariance"):
        rows = torch.cat([getattr(piece, name) for piece in in_pieces])
        torch.testing.assert_close(rows, getattr(expected, name), rtol=0, atol=1e-9)


def test_observations_in_any_order_give_the_exact_moments(large: Dataset) -> None:
    # More rows than are multiplied at a time; a solve with the factor gives the same.
    order = torch.randperm(len(large), generator=torch.Generator().manual_seed(3))
    mixed = large.rows(order)
    surrogate = MultiFidelityGP(linear_columns=TRENDS, max_fit_points=150, max_steps=10)
    surrogate = surrogate.fit(mixed, seed=0)
    features, candidate = queries(large)
    n = len(features)
    moments = surrogate.joint(features, candidate)
    both = features.repeat(2, 1), candidate.repeat(2), torch.arange(2).repeat_interleave(n)
    blocks = surrogate.covariance(*both).view(2, n, 2, n).diagonal(dim1=1, dim2=3)
    torch.testing.assert_close(moments.variance, blocks.diagonal(), rtol=0, atol=1e-9)
    torch.testing.assert_close(moments.target_covariance, blocks[:, -1].T, rtol=0, atol=1e-9)
    ours, theirs = surrogate.held_out(), surrogate.condition(large).held_out()
    assert torch.equal(ours.observed, mixed.utility)
    torch.testing.assert_close(ours.mean, theirs.mean[order], rtol=0, atol=1e-8)
    torch.testing.assert_close(ours.variance, theirs.variance[order], rtol=0, atol=1e-8)


def test_no_queries_give_no_moments(exact: MultiFidelityGP) -> None:
    moments = exact.joint(torch.zeros(0, 9, dtype=torch.float64))
    assert moments.mean.shape == moments.variance.shape == moments.target_covariance.shape == (0, 2)


def test_a_predictor_runs_where_it_is_put(exact: MultiFidelityGP, large: Dataset) -> None:
    # Nothing can be mixed with the meta device, so that whatever stays behind is an error.
    predictor = moved(exact.posterior.predictor, torch.float32, "meta")
    places = {part.device.type for part in vars(predictor).values() if isinstance(part, Tensor)}
    assert places == {"meta"}
    features, _ = queries(large)
    similarity = predictor.kernel.compare(predictor.trained, features.float().to("meta"))
    assert similarity.gram(predictor.h).device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("rank", [64, 600])
def test_moments_are_the_same_on_a_cuda_device(large: Dataset, rank: int) -> None:
    predictor = low_rank(large, rank).posterior.predictor
    ours = predictor.to(torch.float64, "cuda").joint(*queries(large))
    theirs = predictor.joint(*queries(large))
    assert ours.mean.device.type == "cpu"
    for name in ("mean", "variance", "target_covariance", "noise"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name))


def test_a_device_that_is_not_here_is_named(large: Dataset) -> None:
    with pytest.raises(ConfigError, match="no-such-device"):
        MultiFidelityGP(device="no-such-device", max_steps=2).fit(large, seed=0)


def test_the_size_of_the_data_chooses_the_variance_and_says_so(
    large: Dataset, exact: MultiFidelityGP, caplog: pytest.LogCaptureFixture
) -> None:
    assert exact.diagnostics()["variance_rank"] == 0
    with caplog.at_level(logging.INFO, "mfal.surrogate"):
        surrogate = low_rank(large, 64)
    assert surrogate.diagnostics()["variance_rank"] == 64
    assert "600 observations: variances from a subspace of rank 64" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, "mfal.surrogate"):
        MultiFidelityGP(exact_points=600, max_steps=2).fit(large, seed=0)
    assert caplog.text == ""


@pytest.mark.parametrize(("rank", "most"), [(64, 0.15), (256, 0.06)])
def test_low_rank_variances_err_upwards_and_by_little(
    large: Dataset, exact: MultiFidelityGP, rank: int, most: float
) -> None:
    surrogate = low_rank(large, rank)
    ours, theirs = surrogate.joint(*queries(large)), exact.joint(*queries(large))
    torch.testing.assert_close(ours.mean, theirs.mean, rtol=0, atol=1e-9)
    excess = ours.variance / theirs.variance - 1
    assert excess.min() > -1e-9
    assert (excess.mean(dim=0) < most).all()
    bound = (ours.variance * ours.variance[:, -1:]).sqrt()
    assert (ours.target_covariance.abs() <= bound * (1 + 1e-9)).all()


def test_a_full_rank_is_exact(large: Dataset, exact: MultiFidelityGP) -> None:
    p = exact.posterior
    full = Posterior.condition(p.kernel, p.h, p.scale, large, rank=len(large))
    ours, theirs = full.joint(*queries(large)), p.joint(*queries(large))
    torch.testing.assert_close(ours.variance, theirs.variance, rtol=1e-6, atol=0)
    torch.testing.assert_close(ours.target_covariance, theirs.target_covariance, rtol=0, atol=1e-6)
    assert low_rank(large, 600).diagnostics()["variance_rank"] == 0


def test_covariances_stay_exact_at_a_low_rank(large: Dataset, exact: MultiFidelityGP) -> None:
    features, candidate = queries(large)
    target = torch.ones(len(features), dtype=torch.long)
    torch.testing.assert_close(
        low_rank(large, 32).covariance(features, candidate, target),
        exact.covariance(features, candidate, target),
    )


def test_the_subspace_is_that_of_the_largest_eigenvalues(exact: MultiFidelityGP) -> None:
    posterior = exact.posterior
    covariance = observed_covariance(posterior.kernel, posterior.h, posterior.data)
    subspace = Subspace.leading(covariance, 20)
    whitened = subspace.whitener @ covariance @ subspace.whitener.T
    torch.testing.assert_close(whitened, torch.eye(20, dtype=torch.float64), rtol=0, atol=1e-9)
    torch.testing.assert_close(subspace.loadings, covariance @ subspace.whitener.T)
    explained = (subspace.loadings @ subspace.loadings.T).diagonal().sum()
    best = torch.linalg.eigvalsh(covariance)[-20:].sum()
    assert float(explained) == pytest.approx(float(best), rel=1e-2)


@pytest.mark.parametrize("kernel", ["matern52", "tanimoto", "hamming", "rbf"])
def test_counts_that_no_training_candidate_has_are_compared_all_the_same(
    large: Dataset, kernel: CountKernel
) -> None:
    features = large.features.clone()
    features[:, 0] = 0
    surrogate = MultiFidelityGP(linear_columns=TRENDS, kernel=kernel, max_steps=2)
    predictor = surrogate.fit(replace(large, features=features), seed=0).posterior.predictor
    ours = predictor.kernel.compare(predictor.trained, large.features).counts
    a, b = features[:, :6], large.features[:, :6]
    shared, squares = a @ b.T, [x.square().sum(dim=1) for x in (a, b)]
    expected = {
        "tanimoto": (shared / (squares[0][:, None] + squares[1] - shared)).nan_to_num(1.0),
        "hamming": (a[:, None] != b).sum(dim=2).double() / predictor.kernel.scale.count_scale,
    }.get(kernel, torch.cdist(a, b) / predictor.kernel.scale.count_scale)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("trends", [TRENDS, ()])
def test_float32_does_not_round_where_utilities_and_features_begin(
    large: Dataset, trends: tuple[int, ...]
) -> None:
    moved_up = replace(large, utility=large.utility + 1e7, features=large.features + 1e5)
    surrogate = MultiFidelityGP(linear_columns=trends, max_fit_points=150).fit(moved_up, seed=0)
    features, candidate = queries(large)
    single = surrogate.posterior.predictor.to(torch.float32)
    far = features + 1e5, candidate
    theirs = surrogate.joint(*far)
    assert_close_in_float32(single.joint(*far), theirs)
    error = (single.mean(*far) - theirs.mean).abs()
    assert (error < 1e-3 * theirs.variance.sqrt()).all()
