"""The default surrogate obeys the laws, whatever its structure; broken ones fail theirs."""

import copy
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mfal.dataset import Dataset
from mfal.surrogate.base import JointMoments
from mfal.surrogate.gp import MultiFidelityGP
from mfal.testing import SurrogateChecks
from tests.unit.surrogate.kept import Kept


class TestDefault(Kept):
    def surrogate(self) -> MultiFidelityGP:
        return MultiFidelityGP(linear_columns=(0, 1))


class TestChainOfTanimoto(Kept):
    def surrogate(self) -> MultiFidelityGP:
        return MultiFidelityGP(structure="ar1", kernel="tanimoto")


class TestSingle(Kept):
    def surrogate(self) -> MultiFidelityGP:
        return MultiFidelityGP(linear_columns=(0, 1), structure="single")

    # It never sees the cheap rung, whose means are the prior's.
    test_what_was_asked_is_learnt = None  # type: ignore[assignment]


class TestSinglePrecision(Kept):
    tolerance = 1e-3

    def surrogate(self) -> MultiFidelityGP:
        return MultiFidelityGP(linear_columns=(0, 1), precision="float32")


class TestLowRank(Kept):
    def surrogate(self) -> MultiFidelityGP:
        return MultiFidelityGP(linear_columns=(0, 1), exact_points=0, rank=40)

    # Variances of `joint` err upwards by design; `covariance` is exact.
    test_joint_covariances_agree_with_joint = None  # type: ignore[assignment]


class Broken(MultiFidelityGP):
    """Says something else than it should, in one respect."""

    def __init__(self) -> None:
        super().__init__(linear_columns=(0, 1), max_steps=25)


class ChangesMoments(Broken):
    def joint(self, features: Tensor, candidate: Tensor | None = None) -> JointMoments:
        return self.change(super().joint(features, candidate), features)

    def change(self, moments: JointMoments, features: Tensor) -> JointMoments:
        raise NotImplementedError


class LeavesOutTheTarget(ChangesMoments):
    def change(self, moments: JointMoments, features: Tensor) -> JointMoments:
        return replace(moments, mean=moments.mean[:, :-1])


class SaysNaN(ChangesMoments):
    def change(self, moments: JointMoments, features: Tensor) -> JointMoments:
        return replace(moments, mean=torch.where(features[:, :1] > 50, torch.nan, moments.mean))


class HasOtherMeans(Broken):
    def mean(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        return super().mean(features)  # none of the training data


class IsCertain(ChangesMoments):
    def change(self, moments: JointMoments, features: Tensor) -> JointMoments:
        return replace(moments, variance=moments.variance - moments.variance.min())


class ForgetsTheTargetsVariance(ChangesMoments):
    def change(self, moments: JointMoments, features: Tensor) -> JointMoments:
        return replace(moments, target_covariance=0.5 * moments.target_covariance)


class KnowsTooMuch(ChangesMoments):
    def change(self, moments: JointMoments, features: Tensor) -> JointMoments:
        return replace(moments, target_covariance=30 * moments.target_covariance.abs())


class SeesTheBatch(ChangesMoments):
    def change(self, moments: JointMoments, features: Tensor) -> JointMoments:
        return replace(moments, mean=moments.mean - moments.mean.mean(dim=0))


class SortsQueries(ChangesMoments):
    def change(self, moments: JointMoments, features: Tensor) -> JointMoments:
        return replace(moments, mean=moments.mean.sort(dim=0).values)


class SaysOneForNone(ChangesMoments):
    def change(self, moments: JointMoments, features: Tensor) -> JointMoments:
        return replace(moments, mean=moments.mean if len(features) else torch.zeros(1, 2).double())


class TurnsTheSign(ChangesMoments):
    def change(self, moments: JointMoments, features: Tensor) -> JointMoments:
        return replace(moments, mean=-moments.mean)


class WritesIntoQueries(ChangesMoments):
    def change(self, moments: JointMoments, features: Tensor) -> JointMoments:
        features += 1
        return moments


class TakesNewForKnown(Broken):
    def joint(self, features: Tensor, candidate: Tensor | None = None) -> JointMoments:
        if candidate is None:
            candidate = torch.zeros(len(features), dtype=torch.long)
        return super().joint(features, candidate)


class IsUnsureOfTheKnown(Broken):
    def joint(self, features: Tensor, candidate: Tensor | None = None) -> JointMoments:
        moments = super().joint(features, candidate)
        return moments if candidate is None else replace(moments, variance=9 * moments.variance)


class IsSkew(Broken):
    def covariance(self, features: Tensor, candidate: Tensor, fidelity: Tensor) -> Tensor:
        return super().covariance(features, candidate, fidelity).triu()


class IsIndefinite(Broken):
    def covariance(self, features: Tensor, candidate: Tensor, fidelity: Tensor) -> Tensor:
        exact = super().covariance(features, candidate, fidelity)
        return 2 * exact - exact.diagonal().mean() * torch.eye(len(exact), dtype=exact.dtype)


class IsUnsureTogether(Broken):
    def covariance(self, features: Tensor, candidate: Tensor, fidelity: Tensor) -> Tensor:
        return 2 * super().covariance(features, candidate, fidelity)


class FitsItself(Broken):
    def fit(self, data: Dataset, *, seed: int) -> Any:
        self._fitted = super().fit(data, seed=seed)._fitted
        return self


class ChangesData(Broken):
    """Fits to other data than it was given."""

    def fit(self, data: Dataset, *, seed: int) -> Any:
        return super().fit(self.other(data, seed), seed=seed)

    def other(self, data: Dataset, seed: int) -> Dataset:
        raise NotImplementedError


class WritesIntoData(ChangesData):
    def other(self, data: Dataset, seed: int) -> Dataset:
        data.utility.mul_(2)
        return data


class DrawsGlobally(ChangesData):
    def other(self, data: Dataset, seed: int) -> Dataset:
        return replace(data, utility=data.utility + 0.1 * torch.randn(len(data)))


class ShufflesGlobally(ChangesData):
    def other(self, data: Dataset, seed: int) -> Dataset:
        random.random()
        return data


class LearnsFromTheFirstRows(ChangesData):
    def other(self, data: Dataset, seed: int) -> Dataset:
        first = torch.arange(len(data)) < len(data) // 2
        return replace(data, utility=torch.where(first, data.utility, data.utility.mean()))


class HasAUnit(ChangesData):
    def other(self, data: Dataset, seed: int) -> Dataset:
        return replace(data, utility=data.utility.clamp(-50, 50))


class HasAUnitOfNoise(ChangesMoments):
    """Its noise is that of standardised utilities."""

    def change(self, moments: JointMoments, features: Tensor) -> JointMoments:
        return replace(moments, noise=moments.noise / self.posterior.data.utility.var())


class FitsAnything(ChangesData):
    def other(self, data: Dataset, seed: int) -> Dataset:
        noise = torch.randn(100, generator=torch.Generator().manual_seed(0)).double()
        return replace(data, utility=data.utility.nan_to_num(0, 9, -9) + noise[: len(data)])


class HintsAtNothing(Broken):
    def fit(self, data: Dataset, *, seed: int) -> Any:
        try:
            return super().fit(data, seed=seed)
        except Exception as error:
            error.hint = ""  # type: ignore[attr-defined]
            raise


class GuessesAtOne(Broken):
    """Of few observations it says NaN instead of refusing them."""

    def fit(self, data: Dataset, *, seed: int) -> Any:
        return self if len(data) == 1 else super().fit(data, seed=seed)

    def joint(self, features: Tensor, candidate: Tensor | None = None) -> JointMoments:
        if self._fitted is None:
            nothing = torch.full((len(features), 2), torch.nan, dtype=torch.float64)
            return JointMoments(nothing, nothing, nothing, nothing[0])
        return super().joint(features, candidate)


class LearnsNoUncertainty(ChangesMoments):
    """The more answers, the less certain."""

    def change(self, moments: JointMoments, features: Tensor) -> JointMoments:
        n = len(self.posterior.data)
        return replace(moments, variance=torch.full_like(moments.variance, float(n)))


class IsCertainOfRepeats(ChangesMoments):
    def change(self, moments: JointMoments, features: Tensor) -> JointMoments:
        data = self.posterior.data
        queries = set(zip(data.candidate.tolist(), data.fidelity.tolist(), strict=True))
        repeated = len(queries) < len(data)
        return replace(moments, variance=moments.variance * (not repeated))


class CountsInIntegers(Broken):
    def diagnostics(self) -> dict[str, float]:
        return {**super().diagnostics(), "n": len(self.posterior.data)}


class SaysNoCovariance:
    def fit(self, data: Dataset, *, seed: int) -> Any:
        return copy.copy(self)


LAWS: list[tuple[Callable[[], Any], str]] = [
    (SaysNoCovariance, "test_satisfies_the_protocol"),
    (LeavesOutTheTarget, "test_moments_have_a_row_per_candidate_and_a_column_per_fidelity"),
    (SaysNaN, "test_moments_are_finite"),
    (HasOtherMeans, "test_means_alone_are_those_of_all_moments"),
    (IsCertain, "test_variances_are_above_zero"),
    (ForgetsTheTargetsVariance, "test_the_targets_covariance_with_itself_is_its_variance"),
    (KnowsTooMuch, "test_covariances_obey_cauchy_and_schwarz"),
    (IsSkew, "test_joint_covariances_are_symmetric_and_positive"),
    (IsIndefinite, "test_joint_covariances_are_symmetric_and_positive"),
    (IsUnsureTogether, "test_joint_covariances_agree_with_joint"),
    (SeesTheBatch, "test_moments_do_not_depend_on_the_batch"),
    (SortsQueries, "test_moments_follow_the_order_of_the_queries"),
    (SaysOneForNone, "test_no_queries_have_no_moments"),
    (TakesNewForKnown, "test_without_places_all_candidates_are_new"),
    (IsUnsureOfTheKnown, "test_an_asked_candidate_is_no_less_certain_than_a_stranger"),
    (WritesIntoQueries, "test_predicting_changes_nothing"),
    (CountsInIntegers, "test_diagnostics_are_finite_numbers_by_name"),
    (FitsItself, "test_fitting_leaves_an_earlier_fit_alone"),
    (WritesIntoData, "test_fitting_does_not_change_the_data"),
    (DrawsGlobally, "test_a_seed_settles_the_fit"),
    (DrawsGlobally, "test_nothing_draws_from_the_global_generators"),
    (ShufflesGlobally, "test_nothing_draws_from_the_global_generators"),
    (LearnsFromTheFirstRows, "test_the_order_of_observations_changes_nothing"),
    (HasAUnit, "test_units_of_the_utility_carry_through"),
    (HasAUnitOfNoise, "test_units_of_the_utility_carry_through"),
    (LearnsNoUncertainty, "test_answers_lower_the_variance"),
    (TurnsTheSign, "test_what_was_asked_is_learnt"),
    (IsCertainOfRepeats, "test_answers_that_were_given_twice_do_no_harm"),
    (GuessesAtOne, "test_one_observation_is_fitted_or_refused"),
    (GuessesAtOne, "test_predicting_before_a_fit_is_refused"),
    (FitsAnything, "test_equal_utilities_are_refused"),
    (HintsAtNothing, "test_equal_utilities_are_refused"),
    (FitsAnything, "test_utilities_that_are_not_finite_are_refused"),
]


@pytest.mark.parametrize(("kind", "law"), LAWS)
def test_a_broken_surrogate_fails(kind: Callable[[], Any], law: str) -> None:
    checks = SurrogateChecks()
    checks.surrogate = kind  # type: ignore[method-assign]
    with pytest.raises(AssertionError):
        getattr(checks, law)()


def test_every_law_has_a_surrogate_that_breaks_it() -> None:
    laws = {name for name in dir(SurrogateChecks) if name.startswith("test_")}
    assert laws == {law for _, law in LAWS}
    assert len(laws) >= 25


def test_a_surrogate_has_to_be_named() -> None:
    with pytest.raises(NotImplementedError, match=r"define surrogate\(self\)"):
        SurrogateChecks().surrogate()
