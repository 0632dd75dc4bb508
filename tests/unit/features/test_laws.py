"""Every feature map obeys the laws; broken ones fail theirs."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from mfal.features.kmers import KmerCounts
from mfal.registry import BUILTIN
from mfal.testing import FeatureChecks

LAWS = [name for name in dir(FeatureChecks) if name.startswith("test_")]
STRANDS = ("ACGTACGTAC", "GGGCAAAGCC", "TTTTTTTTTT", "ACGGGTTCCA")

TRIED: dict[str, tuple[dict[str, Any], Sequence[str]]] = {
    "kmers": ({"alphabet": "ACGT", "k": 2}, STRANDS),
    "stems": ({}, STRANDS),
    "morgan": ({}, ("[C][C][O]", "[C][=O]", "[N][C][C][C][C]")),
    "peptides": ({}, ("ACDEFGHIK", "LLKKLLKK", "GA")),
    "coordinates": ({"dimensions": 2, "side": 10}, ("0,9", "3,3", "9,1")),
}
"""Feature map -> its options, and candidates that it reads."""


def checks_of(features: str, options: dict[str, Any], keys: Sequence[str]) -> FeatureChecks:
    checks = FeatureChecks()
    checks.features, checks.options, checks.keys = features, options, keys
    return checks


def test_all_are_tried() -> None:
    assert {*TRIED} == {*BUILTIN["features"]}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", TRIED)
def test_all_features_obey(name: str, law: str) -> None:
    getattr(checks_of(name, *TRIED[name]), law)()


class Broken(KmerCounts):
    """Says something else than it should, in one respect."""

    def __init__(self) -> None:
        super().__init__(alphabet="ACGT", k=2)

    def __call__(self, keys: Sequence[str]) -> Tensor:
        return self.change(super().__call__(keys))

    def change(self, rows: Tensor) -> Tensor:
        return rows


class SaysNoWidth:
    linear_columns = ()

    def __call__(self, keys: Sequence[str]) -> Tensor:
        return torch.zeros(len(keys), 2)


class TrendsAlongNoColumn(Broken):
    linear_columns = (20,)


class HasAColumnMore(Broken):
    def change(self, rows: Tensor) -> Tensor:
        return torch.cat([rows, rows[:, :1]], dim=1)


class DividesByNothing(Broken):
    def change(self, rows: Tensor) -> Tensor:
        return rows / rows[:, :1]


class SeesNothing(Broken):
    def change(self, rows: Tensor) -> Tensor:
        return torch.zeros_like(rows)


class Standardises(Broken):
    def change(self, rows: Tensor) -> Tensor:
        return rows - rows.mean(dim=0)


class Sorts(Broken):
    def change(self, rows: Tensor) -> Tensor:
        return rows.sort(dim=0).values


class CountsCalls(Broken):
    calls = 0

    def change(self, rows: Tensor) -> Tensor:
        self.calls += 1
        return rows + self.calls


class ProjectsAnew(Broken):
    def __init__(self) -> None:
        super().__init__()
        self.onto = torch.randn(20, 20, dtype=torch.float64)

    def change(self, rows: Tensor) -> Tensor:
        return rows @ self.onto


class ShufflesGlobally(Broken):
    def change(self, rows: Tensor) -> Tensor:
        random.random()
        return rows


BROKEN: list[tuple[type, str]] = [
    (SaysNoWidth, "test_satisfies_the_protocol"),
    (TrendsAlongNoColumn, "test_satisfies_the_protocol"),
    (HasAColumnMore, "test_a_candidate_has_a_row_of_finite_numbers"),
    (DividesByNothing, "test_a_candidate_has_a_row_of_finite_numbers"),
    (SeesNothing, "test_candidates_are_told_apart"),
    (Standardises, "test_rows_do_not_depend_on_the_batch"),
    (Sorts, "test_rows_follow_the_order_of_the_candidates"),
    (CountsCalls, "test_rows_are_the_same_again"),
    (ProjectsAnew, "test_rows_are_the_same_again"),
    (ProjectsAnew, "test_nothing_draws_from_the_global_generators"),
    (ShufflesGlobally, "test_nothing_draws_from_the_global_generators"),
]


@pytest.mark.parametrize(("kind", "law"), BROKEN)
def test_broken_features_fail(kind: type, law: str) -> None:
    with pytest.raises(AssertionError):
        getattr(checks_of(f"{__name__}:{kind.__name__}", {}, STRANDS), law)()


def test_every_law_has_features_that_break_it() -> None:
    assert {*LAWS} == {law for _, law in BROKEN}


@pytest.mark.parametrize("keys", [(), ("ACGT",), ("ACGT", "ACGT")])
def test_two_candidates_have_to_be_given(keys: Sequence[str]) -> None:
    with pytest.raises(NotImplementedError, match="`keys` to two candidates"):
        checks_of("stems", {}, keys).make()
