"""Beyond the target's share, a round asks what teaches most about the best."""

import torch
from torch import Tensor

from mfal.batch.knowledge import Sought
from mfal.batch.select import Pool, select_batch
from mfal.types import Query
from tests.unit.pools import HIGH, LOW, limits, pool

ROWS = [
    ("a", LOW, 9.0, 1.0),
    ("b", LOW, 0.1, 1.0),
    ("c", LOW, 0.1, 1.0),
    ("a", HIGH, 9.0, 7.0),
    ("d", HIGH, 8.0, 7.0),
]
# Three candidates are sought, of which the first two compete for the one place there is.
MEAN = torch.tensor([0.0, 0.1, -9.0], dtype=torch.float64)


def covariance(**told: tuple[int, float]) -> Tensor:
    """Rows of variance 1, each of which tells of one sought candidate."""
    among = torch.eye(len(ROWS) + 3, dtype=torch.float64)
    for key, (which, how_much) in told.items():
        row = [k for k, *_ in ROWS].index(key)
        among[row, len(ROWS) + which] = among[len(ROWS) + which, row] = how_much
    return among


def learning(among: Tensor, probability: list[float] | None = None) -> Pool:
    sure = torch.tensor(probability or [1.0] * len(ROWS), dtype=torch.float64)
    return pool(ROWS, among, sought=Sought(MEAN, 1, torch.arange(len(ROWS)), sure))


def test_the_share_of_the_target_goes_by_value_and_the_rest_by_what_it_teaches() -> None:
    source = learning(covariance(b=(0, 0.5), c=(0, 0.9)))
    batch = select_batch(source, limits(cost=8.0, target_share=0.5), 100.0)
    assert batch == [Query("a", HIGH), Query("c", LOW)]
    # By value alone it would have been the first candidate's cheap answer.
    plain = pool(ROWS)
    assert select_batch(plain, limits(cost=1.0, target_share=0.0), 100.0) == [Query("a", LOW)]
    free = limits(cost=1.0, target_share=0.0)
    assert select_batch(source, free, 100.0) == [Query("c", LOW)]


def test_what_is_certainly_not_among_the_best_is_not_worth_learning_about() -> None:
    source = learning(covariance(b=(0, 0.5), c=(2, 0.9)))
    batch = select_batch(source, limits(cost=1.0), 100.0)
    assert batch == [Query("b", LOW)]


def test_an_answer_that_hardly_ever_comes_teaches_little() -> None:
    source = learning(covariance(b=(0, 0.5), c=(0, 0.9)), [1.0, 1.0, 0.02, 1.0, 1.0])
    assert select_batch(source, limits(cost=1.0), 100.0) == [Query("b", LOW)]


def test_the_second_answer_about_the_same_teaches_less() -> None:
    # b and c tell of one candidate and of each other, the cheap a tells less but of the other.
    among = covariance(b=(0, 0.9), c=(0, 0.8), a=(1, 0.5))
    among[1, 2] = among[2, 1] = 0.95
    batch = select_batch(learning(among), limits(cost=2.0), 100.0)
    assert batch == [Query("b", LOW), Query("a", LOW)]


def test_where_a_number_ends_a_round_the_share_holds_at_every_step() -> None:
    source = learning(covariance(b=(0, 0.5), c=(0, 0.9)))
    batch = select_batch(source, limits(cost=None, queries=3, target_share=0.5), 100.0)
    assert batch == [Query("a", HIGH), Query("c", LOW), Query("b", LOW)]


def test_the_target_has_half_of_a_round_by_default_or_three_tenths_beside_knowledge() -> None:
    # At the target nothing is worth or teaches much; below it everything does.
    rows = [(f"k{i}", LOW, 9.0, 1.0) for i in range(70)]
    rows += [(f"t{i}", HIGH, 0.1, 7.0) for i in range(10)]
    among = torch.eye(len(rows) + 3, dtype=torch.float64)
    among[:70, 80] = among[80, :70] = 0.1
    sure = torch.ones(len(rows), dtype=torch.float64)
    sought = Sought(MEAN, 1, torch.arange(len(rows)), sure)
    for source, at_target in ((pool(rows), 5), (pool(rows, among, sought=sought), 3)):
        batch = select_batch(source, limits(cost=70.0, target_share=None), 1000.0)
        assert [q.fidelity for q in batch].count(HIGH) == at_target


def test_a_place_in_a_round_has_its_price_too() -> None:
    rows = [("b", LOW, 0.1, 1.0), ("c", LOW, 0.1, 3.0), ("d", HIGH, 0.1, 7.0)]
    among = torch.eye(6, dtype=torch.float64)
    for row, told in ((0, 0.5), (1, 0.9)):
        among[row, 3] = among[3, row] = told
    mean = torch.tensor([0.0, 0.1, -9.0], dtype=torch.float64)
    sure = torch.ones(3, dtype=torch.float64)
    source = pool(rows, among, sought=Sought(mean, 1, torch.arange(3), sure))
    # b tells more per cost; with 5 for one query, it would leave 4 of them unspent.
    assert select_batch(source, limits(cost=None, queries=1), 100.0) == [Query("b", LOW)]
    assert select_batch(source, limits(cost=5.0, queries=1), 100.0) == [Query("c", LOW)]
