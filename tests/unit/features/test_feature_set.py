"""Several feature maps side by side, and the rows that are kept."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from mfal.errors import ConfigError
from mfal.features.base import Features, FeatureSet
from mfal.features.kmers import KmerCounts
from mfal.features.stems import StemSummary


class Numbers:
    """Turns "7" into a row of 7s and remembers what it was asked."""

    def __init__(self, width: int, *linear_columns: int) -> None:
        self.width, self.linear_columns = width, linear_columns
        self.asked: list[str] = []

    def __call__(self, keys: Sequence[str]) -> Tensor:
        self.asked += keys
        column = torch.tensor([float(key) for key in keys], dtype=torch.float64)
        return column[:, None].repeat(1, self.width)


def test_parts_are_features() -> None:
    assert isinstance(KmerCounts(alphabet="ACGT"), Features)
    assert isinstance(StemSummary(), Features)
    assert isinstance(FeatureSet([StemSummary()]), Features)


def test_columns_and_their_linear_share() -> None:
    parts = [Numbers(2, 0, 1), Numbers(3, 1), Numbers(1)]
    features = FeatureSet(parts)
    assert features.width == 6
    assert features.linear_columns == (0, 1, 3)
    assert features(["4"]).tolist() == [[4.0] * 6]


def test_each_candidate_is_computed_once() -> None:
    part = Numbers(2)
    features = FeatureSet([part])
    first = features(["1", "2", "1"])
    assert first[:, 0].tolist() == [1, 2, 1]
    assert features(["3", "2", "1", "3"])[:, 0].tolist() == [3, 2, 1, 3]
    assert part.asked == ["1", "2", "3"]
    assert features([]).shape == (0, 2)


def test_rows_stay_right_when_old_ones_are_dropped() -> None:
    part = Numbers(1)
    features = FeatureSet([part], capacity=10)
    for start in range(0, 60, 3):
        keys = [str(i) for i in range(max(0, start - 6), start + 3)]
        assert features(keys)[:, 0].tolist() == [float(key) for key in keys]
    part.asked.clear()
    features(["59", "0"])
    assert part.asked == ["0"]


def test_more_candidates_than_are_kept() -> None:
    features = FeatureSet([Numbers(1)], capacity=4)
    keys = [str(i) for i in range(50)]
    assert features(keys)[:, 0].tolist() == [float(i) for i in range(50)]
    assert features(keys[::-1])[:, 0].tolist() == [float(i) for i in reversed(range(50))]


def test_a_large_call_does_not_displace_what_is_asked_about_first() -> None:
    part = Numbers(1)
    features = FeatureSet([part], capacity=40)
    ledger, pool = [str(i) for i in range(20)], [str(i) for i in range(20, 60)]
    features([*ledger, *pool])
    part.asked.clear()
    assert features([*ledger, "60"])[:, 0].tolist() == [*range(20), 60]
    assert part.asked == ["60"]


def test_a_set_without_parts_is_refused() -> None:
    with pytest.raises(ConfigError):
        FeatureSet([])


@pytest.mark.parametrize(
    ("give", "said"),
    [
        (lambda keys: torch.zeros(len(keys)), r"numbers of shape \(2,\), not a row of 3"),
        (lambda keys: torch.zeros(len(keys), 2), r"numbers of shape \(2, 2\), not a row of 3"),
        (lambda keys: torch.full((len(keys), 3), torch.nan), "not a row of 3 finite numbers for"),
        (lambda keys: [[0.0] * 3 for _ in keys], "gives a list, not a tensor"),
        (lambda keys: torch.zeros(1 // 0), r"ZeroDivisionError: .* \(test_feature_set.py, line"),
    ],
)
def test_what_is_no_row_of_numbers_for_each_key_is_named(
    give: Callable[[Sequence[str]], Tensor], said: str
) -> None:
    class Odd(Numbers):
        def __call__(self, keys: Sequence[str]) -> Tensor:
            return give(keys)

    with pytest.raises(ConfigError, match=f"^features Odd: .*{said}"):
        FeatureSet([Numbers(1), Odd(3)])(["1", "2"])
