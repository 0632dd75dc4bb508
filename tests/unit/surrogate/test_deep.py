"""A network's kernel is used where it is worth it, and only there."""

import copy
import logging
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from mfal import registry
from mfal.dataset import Dataset
from mfal.errors import SurrogateError
from mfal.sections import Component
from mfal.surrogate.base import FallsBack, JointMoments, Surrogate
from mfal.surrogate.calibration import compare
from mfal.surrogate.deep import DeepKernelGP
from mfal.surrogate.embedded import EmbeddedGP
from mfal.surrogate.gate import Gated, judge
from mfal.surrogate.gp import MultiFidelityGP
from mfal.surrogate.held_out import HeldOut, predict_rows
from mfal.testing.moments import MomentChecks
from tests.unit.surrogate.data import synthetic
from tests.unit.surrogate.kept import Kept
from tests.unit.surrogate.moments import assert_moments_agree

TRENDS = (6, 7, 8)


def winding(n: int, seed: int = 0) -> Dataset:
    """A sine of one combination of twelve counts: nothing that counts at a distance would show."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randint(0, 5, (n, 12), generator=generator).double()
    weight = torch.tensor([1, -1, 0.5, 0.5, -0.5, 1] + [0] * 6).double()
    noise = torch.randn(2, n, generator=generator, dtype=torch.float64)
    along = features @ weight / 2
    target = 3 * along.sin() + 0.5 * along + 0.2 * noise[0]
    half = torch.arange(n // 2)
    return Dataset(
        keys=tuple(map(str, range(n))),
        features=features,
        candidate=torch.cat([torch.arange(n), half]),
        fidelity=torch.cat([torch.zeros(n), torch.ones(n // 2)]).long(),
        utility=torch.cat([1 + 2 * target + 0.8 * noise[1], target[half]]),
        n_fidelities=2,
    )


@pytest.fixture(scope="module")
def wound() -> Dataset:
    return winding(180)


@pytest.fixture(scope="module")
def accepted(wound: Dataset) -> DeepKernelGP:
    return DeepKernelGP(steps=60).fit(wound, seed=0)


class TestDeepKernel(Kept):
    """The laws hold for the network's kernel itself, whatever the gate says of it."""

    def surrogate(self) -> EmbeddedGP:
        deep = DeepKernelGP(linear_columns=(0, 1), steps=20).wanted
        assert isinstance(deep, EmbeddedGP)
        return deep


@cache
def gated() -> Gated:
    """Fitted once, for fitting it takes a dozen fits."""
    process, checks = MultiFidelityGP(linear_columns=(0, 1), max_steps=25), MomentChecks()
    return Gated(process, process, "itself").fit(checks.train(), seed=checks.seed)


class TestGated(MomentChecks):
    def fitted(self) -> Gated:
        return gated()


def test_it_is_used_where_it_predicts_better(wound: Dataset, accepted: DeepKernelGP) -> None:
    assert accepted.fallback() == ""
    figures = accepted.diagnostics()
    assert 0.80 <= figures["gate_coverage_90"] <= 0.97
    assert figures["gate_nlpd"] < figures["gate_nlpd_exact"]
    fresh = winding(500, seed=1)
    rows = (fresh.fidelity == 1).nonzero()[:, 0]
    exact = MultiFidelityGP().fit(wound, seed=0)
    deep, plain = (
        compare(*predict_rows(s, fresh, rows), fresh.utility[rows]) for s in (accepted, exact)
    )
    assert deep.rmse is not None and plain.rmse is not None
    assert deep.rmse < 0.6 * plain.rmse
    assert 0.80 <= deep.coverage_90 <= 0.97


def test_moments_have_the_shape_of_the_default_and_covariances_are_positive(
    wound: Dataset, accepted: DeepKernelGP
) -> None:
    fresh = winding(40, seed=1).features
    ours, theirs = accepted.joint(fresh), MultiFidelityGP().fit(wound, seed=0).joint(fresh)
    for name in ("mean", "variance", "target_covariance", "noise"):
        assert getattr(ours, name).shape == getattr(theirs, name).shape
    rung = torch.tensor([0, 1]).repeat(20)
    covariance = accepted.covariance(fresh, torch.full((40,), -1), rung)
    torch.testing.assert_close(covariance, covariance.T, rtol=0, atol=1e-12)
    assert torch.linalg.eigvalsh(covariance).min() > -1e-9 * covariance.diagonal().max()
    picked = ours.variance.gather(1, rung[:, None])[:, 0]
    torch.testing.assert_close(covariance.diagonal(), picked)


def test_float32_agrees_with_float64(accepted: DeepKernelGP) -> None:
    deep = accepted._state().surrogate
    assert isinstance(deep, EmbeddedGP)
    single = copy.copy(deep)
    posterior = deep.process.posterior
    single.process = copy.copy(deep.process)
    single.process.precision = "float32"
    single.process = single.process.condition(posterior.data)
    assert single.process.posterior.predictor.whitener.dtype == torch.float32
    fresh = winding(40, seed=1).features
    ours, theirs = single.joint(fresh), accepted.joint(fresh)
    assert ours.mean.dtype == torch.float64
    deviation = theirs.variance.sqrt()
    assert ((ours.mean - theirs.mean).abs() < 2e-3 * deviation).all()
    torch.testing.assert_close(ours.variance, theirs.variance, rtol=2e-2, atol=0)


def test_all_moments_agree_with_botorch() -> None:
    data = synthetic(80, 2, seed=2)
    deep = DeepKernelGP(linear_columns=TRENDS, steps=20).wanted.fit(data, seed=0)
    assert isinstance(deep, EmbeddedGP)
    assert_moments_agree(deep, data)


class Overconfident(MultiFidelityGP):
    """Says a third of the deviation that it has."""

    def joint(self, features: Tensor, candidate: Tensor | None = None) -> JointMoments:
        m = super().joint(features, candidate)
        return JointMoments(m.mean, m.variance / 9, m.target_covariance / 9, m.noise / 9)


class Timid(MultiFidelityGP):
    """Says four times the deviation that it has."""

    def joint(self, features: Tensor, candidate: Tensor | None = None) -> JointMoments:
        m = super().joint(features, candidate)
        return JointMoments(m.mean, m.variance * 16, m.target_covariance * 16, m.noise * 16)


class CannotBeFitted(MultiFidelityGP):
    def fit(self, data: Dataset, *, seed: int) -> Any:
        raise SurrogateError("made to fail", "no hint")


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (Overconfident(max_steps=25), "its 90 % intervals cover 0."),
        (Timid(max_steps=25), "its 90 % intervals cover 1.00"),
        (MultiFidelityGP(kernel="hamming", max_steps=25), "its held-out NLPD is"),
        (CannotBeFitted(), "made to fail"),
    ],
)
def test_what_does_not_hold_is_refused_and_the_exact_process_stands_in(
    wanted: Surrogate, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    data, exact = synthetic(80, 2, seed=2), MultiFidelityGP(linear_columns=TRENDS, max_steps=25)
    gated = Gated(wanted, exact, "another").fit(data, seed=0)
    assert isinstance(gated, FallsBack)
    assert gated.fallback().startswith(f"gp instead of another: {why}")
    assert f"this round follows {gated.fallback()}" in caplog.text
    plain = exact.fit(data, seed=0)
    features = synthetic(20, 2, seed=5).features
    assert torch.equal(gated.joint(features).mean, plain.joint(features).mean)
    assert torch.equal(gated.held_out().mean, plain.held_out().mean)
    assert gated.diagnostics().items() >= plain.diagnostics().items()


def test_the_same_model_passes_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    data, exact = synthetic(80, 2, seed=2), MultiFidelityGP(linear_columns=TRENDS, max_steps=25)
    with caplog.at_level(logging.WARNING):
        gated = Gated(exact, exact, "itself").fit(data, seed=0)
    assert (gated.fallback(), caplog.text) == ("", "")
    figures = gated.diagnostics()
    assert figures["gate_nlpd"] == figures["gate_nlpd_exact"]


def said(z: Tensor, deviation: float = 1.0) -> HeldOut:
    """Zeros predicted with a deviation where `z` is observed."""
    return HeldOut(
        torch.zeros_like(z), torch.full_like(z, deviation**2), z, torch.zeros(len(z)).long()
    )


@pytest.mark.parametrize(
    ("inside", "refused"), [(79, True), (80, False), (97, False), (98, True), (100, True)]
)
def test_the_gate_opens_between_80_and_97_percent(inside: int, refused: bool) -> None:
    z = torch.cat([torch.full((inside,), 0.5), torch.full((100 - inside,), 1.7)]).double()
    why = judge(said(z), replace(said(z), variance=torch.full_like(z, 1e6))).refusal()
    assert bool(why) == refused
    assert not refused or why == f"its 90 % intervals cover {inside / 100:.2f} of what was held out"


def test_the_better_density_passes() -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(400, generator=generator, dtype=torch.float64)
    assert judge(said(z), said(z, 1.3)).refusal() == ""
    assert "that of the exact process" in judge(said(z, 1.1), said(z)).refusal()
    nothing = replace(said(z), mean=torch.full_like(z, torch.nan))
    assert judge(nothing, said(z)).refusal()


def test_a_configuration_names_it_and_its_options() -> None:
    component = Component(name="deep-kernel", options={"steps": 7, "kernel": "tanimoto"})
    given = {"n_fidelities": 3, "levels": (0.2, 0.5, 1.0), "linear_columns": (0,)}
    surrogate = registry.build("surrogate", component, **given)
    assert (surrogate.wanted.training.steps, surrogate.exact.kernel) == (7, "tanimoto")
    assert surrogate.exact.levels == surrogate.wanted.process.levels == (0.2, 0.5, 1.0)


@pytest.mark.parametrize(("candidates", "rungs"), [(2, 3), (2, 4)])
def test_too_few_candidates_to_hold_some_out_are_left_to_the_exact_process(
    candidates: int, rungs: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    data = Dataset(
        keys=tuple(map(str, range(candidates))),
        features=torch.rand(candidates, 3, generator=generator, dtype=torch.float64),
        candidate=torch.arange(candidates).repeat_interleave(rungs),
        fidelity=torch.arange(rungs).repeat(candidates),
        utility=torch.rand(candidates * rungs, generator=generator, dtype=torch.float64),
        n_fidelities=rungs,
    )
    fitted = DeepKernelGP(n_fidelities=rungs, steps=5).fit(data, seed=0)
    assert "too few" in fitted.fallback()
    assert fitted.joint(data.features).mean.shape == (candidates, rungs)
