from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from mfal.dataset import Dataset, build_dataset, split_by_candidate
from mfal.types import Fidelity, Objective, Observation, Outcome, Query

LADDER = (Fidelity("low", 1.0, 0.2), Fidelity("middle", 2.0, 0.5), Fidelity("high", 7.0, 1.0))
LOWEST = Objective("energy", "kcal/mol", "min")
HIGHEST = Objective("agreement", "places", "max")


def observed(key: str, at: str, value: float | None) -> Observation:
    error = "it broke" if value is None else None
    values = None if value is None else (value, 77.0)
    return Observation(Query(key, at), Outcome(values, error, 0.0), 0, 1.0, "engine")


def lengths(keys: Sequence[str]) -> Tensor:
    """Length and first letter, in single precision."""
    return torch.tensor([[len(key), ord(key[0])] for key in keys], dtype=torch.float32)


ROWS = [
    observed("bb", "low", 1.0),
    observed("a", "high", 2.0),
    observed("lost", "high", None),
    observed("bb", "high", 3.0),
    observed("ccc", "middle", 4.0),
    observed("bb", "middle", 5.0),
]


@pytest.fixture
def data() -> Dataset:
    return build_dataset(ROWS, LADDER, LOWEST, lengths)


def test_candidates_are_numbered_by_first_appearance_and_kept_once(data: Dataset) -> None:
    assert data.keys == ("bb", "a", "ccc")
    assert data.candidate.tolist() == [0, 1, 0, 2, 0]
    assert data.candidate.dtype == data.fidelity.dtype == torch.int64
    assert data.features.tolist() == [[2, 98], [1, 97], [3, 99]]
    assert data.features.dtype == data.utility.dtype == torch.float64


def test_rungs_count_from_the_lowest(data: Dataset) -> None:
    assert data.fidelity.tolist() == [0, 2, 2, 1, 1]
    assert data.n_fidelities == 3


def test_a_utility_is_the_first_value_times_the_sign(data: Dataset) -> None:
    assert data.utility.tolist() == [-1, -2, -3, -4, -5]
    assert build_dataset(ROWS, LADDER, HIGHEST, lengths).utility.tolist() == [1, 2, 3, 4, 5]


def test_failures_are_left_out_and_not_even_featurised(data: Dataset) -> None:
    assert len(data) == 5
    assert "lost" not in data.keys
    seen: list[str] = []

    def noting(keys: Sequence[str]) -> Tensor:
        seen.extend(keys)
        return lengths(keys)

    build_dataset(ROWS, LADDER, LOWEST, noting)
    assert seen == ["bb", "a", "ccc"]


def test_what_failed_is_remembered_and_keys_have_places(data: Dataset) -> None:
    assert data.failed == {"lost"}
    assert data.subset(torch.tensor([0])).failed == {"lost"}
    assert data.places(["ccc", "new", "bb", "ccc"]).tolist() == [2, -1, 0, 2]
    assert data.places([]).tolist() == []


@pytest.mark.parametrize(
    "rows", [torch.tensor([1, 3, 4]), torch.tensor([False, True, False, True, True])]
)
def test_a_subset_renumbers_its_candidates(data: Dataset, rows: Tensor) -> None:
    part = data.subset(rows)
    # Candidate 0 keeps a row, so all three stay; the rows are those asked for, in their order.
    assert part.utility.tolist() == [-2, -4, -5]
    assert part.fidelity.tolist() == [2, 1, 1]
    assert [part.keys[i] for i in part.candidate.tolist()] == ["a", "ccc", "bb"]


def test_rows_leave_candidates_where_they_are(data: Dataset) -> None:
    part = data.rows(torch.tensor([3, 1, 1]))
    assert part.utility.tolist() == [data.utility[3], data.utility[1], data.utility[1]]
    assert [part.keys[i] for i in part.candidate.tolist()] == ["ccc", "a", "a"]
    assert part.keys == data.keys and torch.equal(part.features, data.features)


def test_a_subset_drops_candidates_without_a_row(data: Dataset) -> None:
    part = data.subset(torch.tensor([3, 1]))
    assert sorted(part.keys) == ["a", "ccc"]
    assert [part.keys[i] for i in part.candidate.tolist()] == ["ccc", "a"]
    assert part.features[part.candidate].tolist() == [[3, 99], [1, 97]]
    assert part.n_fidelities == 3


def many(n: int) -> Dataset:
    rows = [observed(f"{i}", "low", float(i)) for i in range(n)]
    rows += [observed(f"{i}", "high", float(i)) for i in reversed(range(n))]
    return build_dataset(rows, LADDER, HIGHEST, lengths)


@pytest.mark.parametrize(("n", "share", "held"), [(40, 0.25, 10), (40, 0.001, 1), (3, 0.5, 2)])
def test_a_split_shares_no_candidate_and_loses_no_row(n: int, share: float, held: int) -> None:
    data = many(n)
    train, test = split_by_candidate(data, share, seed=3)
    assert set(train.keys).isdisjoint(test.keys)
    assert set(train.keys) | set(test.keys) == set(data.keys)
    assert len(test.keys) == held and len(test) == 2 * held
    assert len(train) + len(test) == len(data)
    for part in (train, test):
        values = [float(part.keys[i]) for i in part.candidate.tolist()]
        assert values == part.utility.tolist()


def test_a_split_depends_on_its_seed_alone() -> None:
    data = many(40)
    splits = [split_by_candidate(data, 0.5, seed=seed)[1].keys for seed in (1, 1, 2)]
    assert splits[0] == splits[1] != splits[2]
