"""Held-out figures against scipy, brute force and data drawn from the model itself."""

import math
from dataclasses import replace

import pytest
import torch
from scipy.stats import norm, spearmanr
from torch import Tensor

from mfal.dataset import Dataset, folds_by_candidate
from mfal.diagnostics import (
    batch_shares,
    calibration,
    correlations,
    held_out,
    parity,
    running_against,
)
from mfal.errors import SurrogateError
from mfal.surrogate.calibration import Calibration, compare, spearman
from mfal.surrogate.gp import MultiFidelityGP
from mfal.surrogate.held_out import HeldOut, leave_candidates_out, predict_folds
from mfal.types import Fidelity, Observation, Outcome, Query
from tests.unit.surrogate.data import synthetic

LADDER = (Fidelity("low", 0.1, 0.2), Fidelity("middle", 2.0, 0.5), Fidelity("high", 7.0, 1.0))


@pytest.fixture(scope="module")
def three_rungs() -> Dataset:
    return synthetic(48, 3, seed=2)


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def answered(low: list[float], high: list[float], failed: int = 0) -> list[Observation]:
    """Of candidates 0, 1, … at two fidelities; the first few fail at the higher one."""
    return [
        Observation(Query(str(i), name), outcome, 0, 1.0, "")
        for name, values in (("low", low), ("high", high))
        for i, value in enumerate(values)
        for outcome in [
            Outcome(None, "fails", 0.0)
            if name == "high" and i < failed
            else Outcome((value,), None, 0.0)
        ]
    ]


def test_a_fidelity_that_runs_against_the_target_is_told_from_chance() -> None:
    ladder = (LADDER[0], LADDER[2])
    rising = [float(i) for i in range(10)]
    opposite = answered(rising, [-v for v in rising])
    assert running_against(opposite, ladder) == {"low": pytest.approx(-1)}
    assert running_against(answered(rising, rising), ladder) == {}
    # Of five, one order in 120 is the reverse, and -1 is just two standard errors of none.
    assert running_against(answered(rising[:5], rising[:5][::-1]), ladder) == {}
    assert running_against(answered(rising[:6], rising[:6][::-1]), ladder) != {}
    # Six of ten have both: two that failed at the target tell nothing, nor two not asked there.
    assert running_against(answered(rising, rising[:8][::-1], failed=2), ladder) != {}
    assert running_against(answered(rising, rising[:8][::-1], failed=4), ladder) == {}
    assert running_against([], ladder) == {}


def test_ties_have_their_mean_rank() -> None:
    # Ranks 1, 2.5, 2.5, 4 against 1, 3, 2, 4: a covariance of 4.5 over variances of 4.5 and 5.
    a, b = tensor(0, 7, 7, 9), tensor(-1, 3, 2, 80)
    assert spearman(a, b) == pytest.approx((4.5 / 5) ** 0.5)
    assert spearman(a, -b) == pytest.approx(-((4.5 / 5) ** 0.5))


@pytest.mark.parametrize(
    ("a", "b"),
    [(tensor(1, 2), tensor(1, 2)), (tensor(1, 1, 1), tensor(1, 2, 3)), (tensor(), tensor())],
)
def test_a_rank_correlation_that_has_no_value_is_none(a: Tensor, b: Tensor) -> None:
    assert spearman(a, b) is None and spearman(b, a) is None


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_points_of_parity_keep_six_digits_in_any_unit(unit: float) -> None:
    value = unit * tensor(-1.23456789, 2.5, 0.001)
    rung = torch.zeros(3, dtype=torch.long)
    points = parity(HeldOut(value, value.square(), value, rung), [Fidelity("a", 1, 1.0)])["a"]
    assert [row[0] for row in points] == pytest.approx(sorted(value.tolist()), rel=5e-6, abs=0)
    assert [row[2] for row in points] == pytest.approx(
        [abs(row[0]) for row in points], rel=5e-6, abs=0
    )


def test_figures_of_a_posterior_by_hand() -> None:
    mean, sd = tensor(0, 1, 2, 3), tensor(1, 2, 1, 0.5)
    # 1.64485 standard deviations are the edge: just inside, just outside, inside, far outside.
    observed = mean + sd * tensor(1.644, -1.646, 0, 5)
    found = compare(mean, sd.square(), observed)
    assert found.n == 4 and found.coverage_90 == 0.5
    error = (observed - mean).tolist()
    assert found.rmse == pytest.approx(math.sqrt(sum(e * e for e in error) / 4))
    expected = -norm.logpdf(observed, mean, sd).mean()
    assert found.nlpd == pytest.approx(expected, rel=1e-12)
    assert found.spearman == pytest.approx(spearmanr(mean, observed).statistic)


def test_fidelities_have_figures_of_their_own() -> None:
    values, rungs = tensor(1, 2, 3, 10, 20), torch.tensor([0, 0, 0, 2, 2])
    found = calibration(HeldOut(values, torch.ones(5).double(), values, rungs), LADDER)
    nlpd = 0.5 * math.log(2 * math.pi)
    assert list(found) == ["low", "high"]
    low, high = (Calibration(**figures) for figures in found.values())  # type: ignore[arg-type]
    assert low.n == 3 and low.spearman == pytest.approx(1) and low.coverage_90 == 1
    assert high == Calibration(n=2, spearman=None, rmse=0, nlpd=pytest.approx(nlpd), coverage_90=1)


def test_folds_part_the_observations_and_never_a_candidate() -> None:
    data = synthetic(23, 3, seed=1)
    folds = folds_by_candidate(data, 5, seed=0)
    assert len(folds) == 5
    assert (torch.stack(folds).sum(dim=0) == 1).all()
    for fold in folds:
        assert not set(data.candidate[fold].tolist()) & set(data.candidate[~fold].tolist())
        assert 4 <= len(data.candidate[fold].unique()) <= 5
    few = folds_by_candidate(data.subset(data.candidate < 3), 5, seed=0)
    assert len(few) == 3 and all(fold.any() for fold in few)


def test_leaving_a_group_out_is_solving_without_it() -> None:
    generator = torch.Generator().manual_seed(3)
    candidate = torch.tensor([0, 1, 0, 2, 1, 3, 0, 4, 4])
    n = len(candidate)
    root = torch.randn(n, n, generator=generator, dtype=torch.float64)
    covariance = root @ root.T + 0.1 * torch.eye(n, dtype=torch.float64)
    residual = torch.randn(n, generator=generator, dtype=torch.float64)
    inverse = torch.linalg.inv(torch.linalg.cholesky(covariance))
    miss, variance = leave_candidates_out(inverse, inverse.T @ inverse @ residual, candidate)
    for group in range(5):
        out = candidate == group
        across = covariance[out][:, ~out] @ torch.linalg.inv(covariance[~out][:, ~out])
        torch.testing.assert_close(miss[out], residual[out] - across @ residual[~out])
        rest = covariance[out][:, out] - across @ covariance[~out][:, out]
        torch.testing.assert_close(variance[out], rest.diagonal())


def test_the_closed_form_is_conditioning_on_every_other_candidate(three_rungs: Dataset) -> None:
    surrogate = MultiFidelityGP(linear_columns=(6, 7, 8), max_steps=20).fit(three_rungs, seed=0)
    one_by_one = predict_folds(surrogate, three_rungs, len(three_rungs.keys), seed=0)
    closed = surrogate.held_out()
    torch.testing.assert_close(closed.mean, one_by_one.mean, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(closed.variance, one_by_one.variance, rtol=1e-6, atol=1e-8)


def test_an_answer_does_not_leak_into_its_own_prediction(three_rungs: Dataset) -> None:
    surrogate = MultiFidelityGP(linear_columns=(6, 7, 8), max_steps=20).fit(three_rungs, seed=0)
    of_first = three_rungs.candidate == 0
    moved = torch.where(of_first, three_rungs.utility + 1000, three_rungs.utility)
    elsewhere = surrogate.condition(replace(three_rungs, utility=moved)).held_out()
    before = surrogate.held_out()
    assert int(of_first.sum()) == 3  # at every fidelity
    torch.testing.assert_close(elsewhere.mean[of_first], before.mean[of_first])
    assert ((elsewhere.mean - before.mean)[~of_first].abs() > 1e-3).any()


def test_intervals_cover_what_the_model_itself_draws() -> None:
    data = synthetic(400, 2, seed=4)
    surrogate = MultiFidelityGP(linear_columns=(6, 7, 8), max_steps=5).fit(data, seed=0)
    p = surrogate.posterior
    gram = p.kernel.geometry(data.features, data.features).gram(p.h)
    gram = gram[data.candidate][:, data.candidate]
    rung = data.fidelity
    same = data.candidate[:, None] == data.candidate[None, :]
    prior = p.h.smooth[rung][:, rung] * gram + p.h.nugget[rung][:, rung] * same
    prior += torch.diag(p.h.noise[rung])
    generator = torch.Generator().manual_seed(5)
    normal = torch.randn(len(data), 20, generator=generator, dtype=torch.float64)
    drawn = torch.linalg.cholesky(prior) @ normal + p.h.offset[rung][:, None]
    covered = []
    for values in drawn.T:
        utility = values * p.scale.scale[rung] + p.scale.centre[rung]
        own = replace(data, utility=utility)
        predicted = surrogate.condition(own).held_out()
        covered.append([f["coverage_90"] for f in calibration(predicted, LADDER[1:]).values()])
    low, high = torch.tensor(covered, dtype=torch.float64).mean(dim=0).tolist()
    # 8,000 and 4,000 predictions, which hang together within a draw.
    assert low == pytest.approx(0.9, abs=0.01) and high == pytest.approx(0.9, abs=0.015)


class WithoutHeldOut:
    """A surrogate that is only what the protocol asks for, and `condition` where told."""

    def __init__(self, inner: MultiFidelityGP) -> None:
        self.fit, self.joint, self.covariance = inner.fit, inner.joint, inner.covariance
        self.diagnostics, self.to_botorch = inner.diagnostics, inner.to_botorch


class WithCondition(WithoutHeldOut):
    def __init__(self, inner: MultiFidelityGP) -> None:
        super().__init__(inner)
        self.inner = inner

    def condition(self, data: Dataset) -> "WithCondition":
        return WithCondition(self.inner.condition(data))


def test_a_surrogate_without_a_closed_form_is_asked_by_folds(three_rungs: Dataset) -> None:
    inner = MultiFidelityGP(linear_columns=(6, 7, 8), max_steps=20).fit(three_rungs, seed=0)
    found = held_out(WithCondition(inner), three_rungs, seed=7)  # type: ignore[arg-type]
    expected = predict_folds(inner, three_rungs, 5, seed=7)
    assert found is not None
    torch.testing.assert_close(found.mean, expected.mean)
    torch.testing.assert_close(found.variance, expected.variance)
    assert held_out(WithoutHeldOut(inner), three_rungs, seed=7) is None  # type: ignore[arg-type]


def test_figures_that_have_no_value_are_none() -> None:
    observed, nothing = tensor(1, 2, 3), torch.full((3,), torch.nan).double()
    found = compare(nothing, torch.ones(3).double(), observed)
    assert found.rmse is None and found.nlpd is None and found.coverage_90 == 0
    assert found.spearman is None


def test_a_surrogate_that_cannot_do_without_some_data_says_why(
    three_rungs: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    class Fails(WithoutHeldOut):
        def held_out(self) -> HeldOut:
            raise SurrogateError("it needs them all", "")

    fitted = MultiFidelityGP(linear_columns=(6, 7, 8), max_steps=5).fit(three_rungs, seed=0)
    assert held_out(Fails(fitted), three_rungs, seed=0) is None  # type: ignore[arg-type]
    assert held_out(WithoutHeldOut(fitted), three_rungs, seed=0) is None  # type: ignore[arg-type]
    assert caplog.messages == [
        "no held-out figures this round: it needs them all",
        "no held-out figures this round: the surrogate has neither held_out() nor condition()",
    ]


def test_one_candidate_predicts_nothing() -> None:
    data = synthetic(8, 3, seed=1)
    alone = data.subset(data.candidate == 0)
    fitted = MultiFidelityGP(max_steps=5).fit(alone, seed=0)
    assert held_out(fitted, alone, seed=0) is None


def test_shares_of_a_batch_are_of_its_number_and_of_its_cost() -> None:
    queries = [Query(f"k{i}", "low") for i in range(3)] + [Query("k9", "high")]
    found = batch_shares(queries, LADDER)
    # 0.1 + 0.1 + 0.1 is 0.30000000000000004 in floating point; money is not.
    assert found["low"] == {
        "queries": 3, "share": 0.75, "cost": 0.3, "cost_share": pytest.approx(0.3 / 7.3),
    }  # fmt: skip
    assert found["middle"] == {"queries": 0, "share": 0, "cost": 0, "cost_share": 0}
    assert found["high"]["cost_share"] == pytest.approx(7 / 7.3)
    assert {f["share"] for f in batch_shares([], LADDER).values()} == {0}


def test_correlations_are_named_by_fidelity_as_far_as_they_are_known() -> None:
    figures = {"correlation_0": 0.8, "correlation_2": 1.0, "n": 3.0}
    assert correlations(figures, LADDER) == {"low": 0.8}
