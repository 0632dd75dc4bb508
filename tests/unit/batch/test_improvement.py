"""What candidates add to the best that were asked, and batches that are chosen by it."""

import pytest
import torch
from scipy.stats import norm

from mfal.batch.improvement import improvement_on_asked
from mfal.batch.select import select_batch
from mfal.types import Query
from tests.unit.pools import HIGH, LOW, limits, pool

ROWS = [
    ("a", LOW, 9.0, 1.0),
    ("b", LOW, 0.1, 1.0),
    ("b", HIGH, 0.1, 7.0),
    ("c", LOW, 0.1, 1.0),
    ("d", HIGH, 8.0, 7.0),
]


@pytest.mark.parametrize(("k", "border"), [(1, 3.0), (2, 1.0), (3, -2.0), (9, -2.0)])
def test_it_is_the_expectation_above_the_kth_best(k: int, border: float) -> None:
    mean = torch.tensor([-1.0, 2.5, 4.0], dtype=torch.float64)
    deviation = torch.tensor([2.0, 0.5, 0.1], dtype=torch.float64)
    asked = torch.tensor([-2.0, 3.0, 1.0], dtype=torch.float64)
    found = improvement_on_asked(mean, deviation, asked, k).exp()
    expected = [
        norm(m, s).expect(lambda f: f - border, lb=border, ub=m + 12 * s)
        if m + 12 * s > border
        else 0
        for m, s in zip(mean.tolist(), deviation.tolist(), strict=True)
    ]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_a_candidate_that_is_known_exactly_adds_its_distance() -> None:
    mean, asked = torch.tensor([5.0, 7.0]).double(), torch.tensor([4.0]).double()
    found = improvement_on_asked(mean, torch.zeros(2).double(), asked, 1).exp()
    torch.testing.assert_close(found, torch.tensor([1.0, 3.0]).double())


@pytest.mark.parametrize("unit", [1e-14, 1e6])
def test_an_improvement_has_the_unit_of_the_utility(unit: float) -> None:
    mean = torch.tensor([-1.0, 2.5, 4.0], dtype=torch.float64)
    deviation = torch.tensor([2.0, 0.5, 0.0], dtype=torch.float64)
    asked = torch.tensor([-2.0, 3.0, 1.0], dtype=torch.float64)
    expected = improvement_on_asked(mean, deviation, asked, 1).exp()
    found = improvement_on_asked(unit * mean, unit * deviation, unit * asked, 1).exp()
    torch.testing.assert_close(found / unit, expected)


def test_the_share_of_the_target_goes_by_value_and_the_rest_by_improvement_per_cost() -> None:
    # b adds most, and as much at either fidelity: it is asked where that is cheap.
    source = pool(ROWS, improvement=[0.1, 0.9, 0.9, 0.5, 0.1])
    batch = select_batch(source, limits(cost=9.0, target_share=0.7), 100.0)
    assert batch == [Query("d", HIGH), Query("b", LOW), Query("c", LOW)]


def test_a_dearer_fidelity_has_to_add_more_by_as_much() -> None:
    for added, first in ((0.7, "c"), (0.72, "b")):
        source = pool(ROWS[2:4], improvement=[added, 0.1])
        batch = select_batch(source, limits(cost=7.0), 100.0)
        assert batch[0].key == first


def test_where_nothing_adds_anything_value_chooses_at_the_target_first() -> None:
    source = pool(ROWS, improvement=[0.0, 0.0, 0.0, 0.5, 0.0])
    batch = select_batch(source, limits(cost=9.0), 100.0)
    assert batch == [Query("c", LOW), Query("d", HIGH), Query("a", LOW)]
