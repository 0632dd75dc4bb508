"""Every acquisition obeys the laws; broken ones fail theirs."""

import random

import pytest
import torch
from torch import Tensor

from mfal.acquisition.ucb import UpperBound
from mfal.registry import BUILTIN
from mfal.testing import AcquisitionChecks

LAWS = [name for name in dir(AcquisitionChecks) if name.startswith("test_")]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", BUILTIN["acquisition"])
def test_every_acquisition_obeys(name: str, law: str) -> None:
    checks = AcquisitionChecks()
    checks.acquisition = name
    getattr(checks, law)()


class Broken(UpperBound):
    """Says something else than it should, in one respect."""

    def log(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        return self.change(super().log(features, candidate), features)

    def change(self, log: Tensor, features: Tensor) -> Tensor:
        return log


class SaysNoLogarithm:
    def worth(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        return features[:, :2]


class ValuesTheTargetAlone(Broken):
    def change(self, log: Tensor, features: Tensor) -> Tensor:
        return log[:, -1]


class AlwaysHasTwoFidelities(Broken):
    def change(self, log: Tensor, features: Tensor) -> Tensor:
        return log.expand(-1, 2)


class GivesUpFarAway(Broken):
    def change(self, log: Tensor, features: Tensor) -> Tensor:
        return torch.where(features[:, :1] > 50, -torch.inf, log)


class IsFlat(Broken):
    def change(self, log: Tensor, features: Tensor) -> Tensor:
        return log - log + torch.arange(log.shape[1])


class SeesTheBatch(Broken):
    def change(self, log: Tensor, features: Tensor) -> Tensor:
        return log - log.mean(dim=0)


class SortsCandidates(Broken):
    def change(self, log: Tensor, features: Tensor) -> Tensor:
        return log.sort(dim=0).values


class TakesNewForKnown(Broken):
    def log(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        first = torch.zeros(len(features), dtype=torch.long)
        return super().log(features, first if candidate is None else candidate)


class WritesIntoFeatures(Broken):
    def change(self, log: Tensor, features: Tensor) -> Tensor:
        features += 1
        return log


class TiresOfAsking(Broken):
    asked = 0

    def change(self, log: Tensor, features: Tensor) -> Tensor:
        self.asked += 1
        return log - self.asked


class DrawsGlobally(Broken):
    def change(self, log: Tensor, features: Tensor) -> Tensor:
        return log + torch.rand(log.shape)


class ShufflesGlobally(Broken):
    def change(self, log: Tensor, features: Tensor) -> Tensor:
        random.random()
        return log


BROKEN: list[tuple[type, str]] = [
    (SaysNoLogarithm, "test_satisfies_the_protocol"),
    (ValuesTheTargetAlone, "test_worths_have_a_row_per_candidate_and_a_column_per_fidelity"),
    (AlwaysHasTwoFidelities, "test_a_ladder_of_one_fidelity_has_one_column"),
    (GivesUpFarAway, "test_logarithms_are_finite"),
    (IsFlat, "test_candidates_are_told_apart"),
    (SeesTheBatch, "test_worths_do_not_depend_on_the_batch"),
    (SortsCandidates, "test_worths_follow_the_order_of_the_candidates"),
    (TakesNewForKnown, "test_without_places_all_candidates_are_new"),
    (WritesIntoFeatures, "test_asking_changes_nothing"),
    (TiresOfAsking, "test_asking_changes_nothing"),
    (DrawsGlobally, "test_a_seed_settles_the_worths"),
    (DrawsGlobally, "test_nothing_draws_from_the_global_generators"),
    (ShufflesGlobally, "test_nothing_draws_from_the_global_generators"),
]


@pytest.mark.parametrize(("kind", "law"), BROKEN)
def test_a_broken_acquisition_fails(kind: type, law: str) -> None:
    checks = AcquisitionChecks()
    checks.acquisition = f"{__name__}:{kind.__name__}"
    with pytest.raises(AssertionError):
        getattr(checks, law)()


def test_every_law_has_an_acquisition_that_breaks_it() -> None:
    assert {*LAWS} == {law for _, law in BROKEN}


def test_an_acquisition_has_to_be_named() -> None:
    with pytest.raises(NotImplementedError, match="set `acquisition`"):
        AcquisitionChecks().make()
