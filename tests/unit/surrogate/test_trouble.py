"""Numerical trouble is got over, and said; it is never hidden."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mfal.dataset import Dataset
from mfal.errors import SurrogateError
from mfal.surrogate import gp
from mfal.surrogate.evidence import Evidence, Fit, factorise
from mfal.surrogate.gp import MultiFidelityGP
from mfal.surrogate.structures import StructureName
from tests.unit.surrogate.data import synthetic
from tests.unit.surrogate.moments import assert_moments_agree

TRENDS = (6, 7, 8)


def repeated(times: int) -> Dataset:
    """Every query of 30 candidates `times` over, with the same answer each time."""
    data = synthetic(30, 2, seed=30)
    return data.subset(torch.arange(len(data)).repeat(times))


def test_jitter_grows_until_the_matrix_can_be_factorised() -> None:
    generator = torch.Generator().manual_seed(0)
    half = torch.randn(40, 8, generator=generator, dtype=torch.float64)
    added = []
    for below in (0.0, 3e-9, 3e-7, 3e-5):
        matrix = half @ half.T
        matrix -= below * matrix.diagonal().mean() * torch.eye(40, dtype=torch.float64)
        factor, jitter = factorise(matrix)
        added.append(jitter / float(matrix.diagonal().mean()))
        padded = matrix + jitter * torch.eye(40, dtype=torch.float64)
        torch.testing.assert_close(factor @ factor.T, padded)
    assert added == pytest.approx([1e-10, 1e-8, 1e-6, 1e-4])


def test_answers_that_were_given_twice_do_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    surrogate = MultiFidelityGP(linear_columns=TRENDS).fit(repeated(5), seed=0)
    figures = surrogate.diagnostics()
    assert (figures["jitter"], figures["attempts"]) == (0, 1)
    assert caplog.text == ""
    data = repeated(1)
    known = surrogate.joint(data.features, torch.arange(30))
    assert (known.variance > 0).all()
    noise = surrogate.joint(data.features).noise
    assert (noise >= 0.99e-4 * data.utility[data.fidelity == 1].var()).all()


def test_a_singular_covariance_is_padded_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Without noise or anything special to a candidate, equal queries make equal rows.
    def without_noise(evidence: Evidence, **_: int) -> Fit:
        parts = evidence.priors.split(evidence.priors.start().clone())
        theta = torch.cat([part - 60 * (name == "log_noise") for name, part in parts.items()])
        value, _gradient = evidence.log_likelihood(theta)
        return Fit(theta, float(value), len(evidence.values), evidence.jitter, 1)

    monkeypatch.setattr(gp, "fit_parameters", without_noise)
    settings = MultiFidelityGP(linear_columns=TRENDS, structure="icm", noise_floor=1e-30)
    surrogate = settings.fit(repeated(3), seed=0)
    jitter = surrogate.diagnostics()["jitter"]
    assert 1e-12 < jitter < 1e-3
    assert f"a variance of {jitter:.1e} was added" in caplog.text
    assert_moments_agree(surrogate, repeated(3), tolerance=1e-4)


def test_a_singular_covariance_on_the_way_to_the_fit_is_not_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # A line search looks far afield; what it met there is none of the surrogate that is used.
    original, met = Evidence.loss, []

    def strays_at_first(self: Evidence, theta: Tensor) -> tuple[Tensor, Tensor]:
        if not met:
            flat = {"log_noise": -60.0, "log_nugget": -60.0, "log_lengthscale": 30.0}
            parts = self.priors.split(theta.detach().clone())
            self.log_likelihood(torch.cat([p + flat.get(name, 0) for name, p in parts.items()]))
            met.append(self.jitter)
        return original(self, theta)

    monkeypatch.setattr(Evidence, "loss", strays_at_first)
    figures = MultiFidelityGP(linear_columns=TRENDS, noise_floor=1e-30).fit(repeated(3), seed=0)
    assert met[0] > 0
    assert figures.diagnostics()["jitter"] == 0
    assert caplog.text == ""


def test_a_start_that_failed_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original, failed = Evidence.loss, []

    def fails_at_first(self: Evidence, theta: Tensor) -> tuple[Tensor, Tensor]:
        if not failed:
            failed.append(True)
            raise SurrogateError("made to fail")
        return original(self, theta)

    monkeypatch.setattr(Evidence, "loss", fails_at_first)
    surrogate = MultiFidelityGP(max_steps=5).fit(repeated(1), seed=0)
    assert surrogate.diagnostics()["attempts"] == 2
    assert "at the 2. attempt" in caplog.text


@pytest.mark.parametrize("what", ["a constant rung", "equal features", "one candidate"])
def test_data_without_variance_in_a_part_give_honest_moments(what: str) -> None:
    data = synthetic(30, 2, seed=31)
    if what == "a constant rung":
        data = replace(data, utility=data.utility.masked_fill(data.fidelity == 0, 2.0))
    elif what == "equal features":
        data = replace(data, features=data.features[:1].repeat(30, 1))
    else:
        data = data.subset(data.candidate == 0)
        data = data.subset(torch.tensor([0, 1, 0, 1]))
    surrogate = MultiFidelityGP(linear_columns=TRENDS).fit(data, seed=0)
    moments = surrogate.joint(data.features)
    assert moments.mean.isfinite().all()
    assert (moments.variance > 1e-6 * data.utility.var()).all()
    assert (moments.noise > 0).all()


@pytest.mark.parametrize("structure", ["lmc", "icm", "ar1", "linear-truncated", "single"])
def test_equal_utilities_are_refused_by_every_structure(structure: StructureName) -> None:
    data = synthetic(20, 2, seed=32)
    with pytest.raises(SurrogateError, match="utilities are 3"):
        MultiFidelityGP(structure=structure).fit(
            replace(data, utility=torch.full_like(data.utility, 3.0)), seed=0
        )
