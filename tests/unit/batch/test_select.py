"""A batch keeps to its limits, and takes the best."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mfal.batch.floor import breaks_floor, owed_to_target
from mfal.batch.select import SHORTLIST, Pool, select_batch
from mfal.budget import exact, fits, minus, total_cost
from mfal.sections import BatchConfig
from mfal.types import Query
from tests.unit.pools import HIGH, LOW, learning_pool, limits, pool, random_pool


def spent(source: Pool, batch: Sequence[Query]) -> float:
    price = dict(zip(source.queries, source.cost, strict=True))
    return total_cost(price[query] for query in batch)


# What is written into configurations: whole units, tenths, hundredths.
costs = st.integers(1, 900).map(lambda n: n / 100) | st.integers(1, 9).map(float)
pool_rows = st.lists(
    st.tuples(
        st.sampled_from([f"k{i}" for i in range(12)]),
        st.sampled_from([LOW, HIGH]),
        st.floats(0, 10, allow_subnormal=False),
        costs,
    ),
    min_size=1,
    max_size=30,
    unique_by=lambda row: row[:2],
)


@settings(max_examples=150, deadline=None)
@given(
    rows=pool_rows,
    left=st.integers(0, 5000).map(lambda n: n / 100),
    cost=st.none() | costs,
    queries=st.integers(1, 20),
    share=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    repulsion=st.sampled_from([None, 0.0, 1.0, 100.0]),
    learns=st.booleans(),
)
def test_a_batch_keeps_to_every_limit(
    rows: list[tuple[str, str, float, float]],
    left: float,
    cost: float | None,
    queries: int,
    share: float,
    repulsion: float | None,
    learns: bool,
) -> None:
    source = learning_pool(rows, seed=queries) if learns else pool(rows)
    config = limits(cost=cost, queries=queries, target_share=share, repulsion=repulsion)
    batch = select_batch(source, config, left)
    price = {Query(key, at): c for key, at, _, c in rows}
    paid = sum(exact(price[query]) for query in batch)
    limit = left if cost is None else min(left, cost)
    assert paid <= exact(limit)
    assert len({query.key for query in batch}) == len(batch) <= queries
    assert set(batch) <= set(source.queries)
    # It only stops where nothing more can be had.
    rest = minus(limit, float(paid))
    keys = {query.key for query in batch}
    could = [q for q, c in price.items() if q.key not in keys and fits(c, rest)]
    assert len(batch) == queries or not could
    # And goes below the target's share only where no query at the target can be had.
    for n, query in enumerate(batch):
        before, until = batch[:n], batch[: n + 1]
        at_target = total_cost(price[q] for q in until if q.fidelity == HIGH)
        if query.fidelity == LOW and at_target < share * spent(source, until) * (1 - 1e-12):
            rest = minus(limit, spent(source, before))
            taken = {q.key for q in before}
            assert not [
                q
                for q, c in price.items()
                if q.fidelity == HIGH and q.key not in taken and fits(c, rest)
            ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("repulsion", [None, 0.0, 10.0])
def test_a_limit_is_spent_to_the_last_unit(seed: int, repulsion: float | None) -> None:
    source = random_pool(200, seed)
    batch = select_batch(source, limits(target_share=0.5, repulsion=repulsion), 1000.0)
    assert spent(source, batch) == 100
    at_target = [query for query in batch if query.fidelity == HIGH]
    assert spent(source, at_target) >= 50
    assert len({query.key for query in batch}) == len(batch)


def test_tenths_fill_a_limit_exactly() -> None:
    source = random_pool(40, 1, costs=(0.1, 0.7))
    # Thirty times 0.1 is 3.0000000000000013 in floating point.
    batch = select_batch(source, limits(cost=3.0, target_share=0.3), 1000.0)
    assert spent(source, batch) == 3.0


def test_what_is_left_of_the_budget_is_a_limit_too() -> None:
    source = random_pool(40, 2)
    assert spent(source, select_batch(source, limits(target_share=0.5), 9.0)) == 9
    assert select_batch(source, limits(), 0.5) == []
    assert select_batch(source, limits(), 0.0) == []


def test_a_count_is_a_limit_with_or_without_a_cost() -> None:
    source = random_pool(40, 3)
    assert len(select_batch(source, limits(queries=5), 1000.0)) == 5
    assert len(select_batch(source, limits(cost=None, queries=5), 1000.0)) == 5
    both = select_batch(source, limits(cost=3.0, queries=5), 1000.0)
    assert spent(source, both) == 3


def test_without_repulsion_the_best_value_per_cost_comes_first() -> None:
    source = pool(
        [
            ("a", LOW, 1.0, 1.0),
            ("b", LOW, 3.0, 2.0),
            ("c", HIGH, 20.0, 10.0),
            ("d", HIGH, 5.0, 10.0),
            ("e", LOW, 0.9, 1.0),
        ]
    )
    keys = [query.key for query in select_batch(source, limits(queries=4), 1000.0)]
    assert keys == ["c", "b", "a", "e"]
    # What cannot be paid for any more gives way to what can.
    keys = [query.key for query in select_batch(source, limits(cost=4.0), 1000.0)]
    assert keys == ["b", "a", "e"]


def test_a_candidate_is_taken_at_its_better_fidelity_only() -> None:
    source = pool([("a", LOW, 1.0, 1.0), ("a", HIGH, 21.0, 7.0), ("b", LOW, 0.5, 1.0)])
    assert select_batch(source, limits(), 100.0) == [Query("a", HIGH), Query("b", LOW)]


@pytest.mark.parametrize(
    ("share", "cost", "at_target"), [(0.0, 40, 0), (0.35, 40, 14), (0.5, 40, 21), (1.0, 42, 42)]
)
def test_the_target_gets_its_share(share: float, cost: float, at_target: float) -> None:
    # Seven times as dear and worth no more, nobody would ask at the target.
    rows = [(f"k{i}", LOW, 1.0, 1.0) for i in range(60)]
    rows += [(f"t{i}", HIGH, 1.0, 7.0) for i in range(60)]
    source = pool(rows)
    batch = select_batch(source, limits(cost=cost, target_share=share), 1000.0)
    assert spent(source, [q for q in batch if q.fidelity == HIGH]) == at_target
    assert spent(source, batch) == cost


@settings(max_examples=100, deadline=None)
@given(
    low=st.integers(1, 30),
    times=st.integers(1, 8),
    limit=st.integers(1, 300),
    percent=st.integers(0, 100),
    value=st.sampled_from([0.0, 1.0, 1000.0]),
)
def test_the_target_gets_its_share_of_the_limit_where_whole_queries_make_it_up(
    low: int, times: int, limit: int, percent: int, value: float
) -> None:
    high = low * times
    n_low, n_high = min(limit // low, 40), limit // high
    # Distinct candidates, more at the target than can be paid for; `value` tempts elsewhere.
    rows = [(f"k{i}", LOW, value, low / 10) for i in range(n_low)]
    rows += [(f"t{i}", HIGH, 1.0, high / 10) for i in range(n_high + 1)]
    config = limits(cost=limit / 10, target_share=percent / 100)
    source = pool(rows)
    batch = select_batch(source, config, 1000.0)
    owed = -(-(percent * limit) // (100 * high))  # whole queries, rounded up, in integers
    at_target = sum(query.fidelity == HIGH for query in batch)
    assert at_target >= min(owed, n_high)
    # What is tempting and fits beside them is had.
    if value == 1000.0:
        left = limit - min(owed, n_high) * high
        assert len(batch) - at_target >= min(n_low, left // low)


def test_the_target_gets_its_share_where_there_are_few_candidates() -> None:
    # One of them is asked at one fidelity only, and below the target it is worth more for its cost.
    rows = [(f"k{i}", at, 1.0, cost) for i in range(5) for at, cost in ((LOW, 1.0), (HIGH, 7.0))]
    source = pool(rows)
    batch = select_batch(source, limits(cost=26.0, target_share=0.5), 100.0)
    at_target = [query for query in batch if query.fidelity == HIGH]
    assert (len(at_target), len(batch)) == (2, 5)  # 13 is owed, which two make up


def test_a_share_that_cannot_be_had_does_not_stop_a_batch() -> None:
    source = pool([(f"k{i}", LOW, 1.0, 1.0) for i in range(9)] + [("t", HIGH, 1.0, 7.0)])
    assert spent(source, select_batch(source, limits(cost=5, target_share=1.0), 99.0)) == 5
    assert spent(source, select_batch(source, limits(cost=12, target_share=1.0), 99.0)) == 12


@pytest.mark.parametrize("limit", range(1, 30))
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_batch_leaves_no_more_than_its_prices_must(limit: int, share: float) -> None:
    source = random_pool(40, limit, costs=(3.0, 7.0))
    batch = select_batch(source, limits(cost=limit, target_share=share), 1000.0)
    most = max(3 * a + 7 * b for a in range(10) for b in range(5) if 3 * a + 7 * b <= limit)
    if share == 0:
        assert spent(source, batch) == most
        return
    # The floor goes before a full purse: the best fill of those that keep it.
    owed = -(-limit // 14)
    fills = [3 * a + 7 * b for a in range(10) for b in range(owed, 5) if 3 * a + 7 * b <= limit]
    assert spent(source, batch) == max(fills, default=most)


@pytest.mark.parametrize("seed", range(3))
def test_filling_a_limit_decides_only_its_last_picks(seed: int) -> None:
    source = random_pool(60, seed, costs=(3.0, 7.0))
    few = select_batch(source, limits(cost=101.0, queries=8), 1000.0)
    free = select_batch(source, limits(cost=1000.0, queries=8), 1000.0)
    assert few == free


def test_an_empty_pool_gives_an_empty_batch() -> None:
    assert select_batch(pool([]), limits(repulsion=None), 100.0) == []


def test_a_choice_among_very_many_finds_the_best_of_each_kind() -> None:
    n = SHORTLIST[0] + 200
    rows = [(f"low {i}", LOW, float(i), 1.0) for i in range(n)]
    rows += [(f"high {i}", HIGH, float(i) / n, 7.0) for i in range(n)]  # far behind, per cost
    everyone = pool(rows)
    asked: list[int] = []
    eye = torch.eye(2 * n, dtype=torch.float64)

    def covariance(picked: Tensor) -> Tensor:
        asked.append(len(picked))
        return eye[picked][:, picked]

    source = Pool(
        everyone.queries, everyone.value, everyone.cost, everyone.is_target, covariance,
        everyone.noise,
    )  # fmt: skip
    batch = select_batch(source, limits(cost=14.0, target_share=0.5), 1000.0)
    assert [q.key for q in batch if q.fidelity == HIGH] == [f"high {n - 1}"]
    assert [q.key for q in batch if q.fidelity == LOW] == [f"low {n - 1 - i}" for i in range(7)]
    assert asked == [2 * SHORTLIST[0]]


def test_a_choice_among_very_many_is_by_value_per_cost() -> None:
    n = SHORTLIST[0] + 200
    rows = [(f"low {i}", LOW, float(i), 1.0) for i in range(n)]
    rows += [(f"high {i}", HIGH, 5.0 * i, 7.0) for i in range(n)]  # ahead, but not per cost
    batch = select_batch(pool(rows), limits(cost=14.0, target_share=0.5), 1000.0)
    assert [q.key for q in batch if q.fidelity == HIGH] == [f"high {n - 1}"]
    assert [q.key for q in batch if q.fidelity == LOW] == [f"low {n - 1 - i}" for i in range(7)]


def test_the_only_one_that_a_crowd_admits_is_found_among_very_many() -> None:
    class Only:
        def admits(self, key: str, chosen: Sequence[str]) -> bool:
            return key == "x"

    n = SHORTLIST[0] + 100
    rows = [(f"a{i}", HIGH, 9.0, 1.0) for i in range(n)] + [("x", HIGH, 0.1, 1.0)]
    assert select_batch(pool(rows), limits(cost=1.0), 100.0, Only()) == [Query("x", HIGH)]  # type: ignore[arg-type]


def test_a_share_that_is_just_kept_is_kept() -> None:
    # As floats .55 of 100 are a little more than 55, which eleven queries for 5 make up.
    assert 0.55 * 100 > 55
    assert owed_to_target(100.0, 0.0, 5.0, 0.55, BatchConfig(cost=100)) == 55.0
    one = torch.ones(1, dtype=torch.float64)
    number = BatchConfig(queries=50)
    assert not breaks_floor(one, 1000.0, 99.0, 55.0, 5.0, 0.0, 0.55, number).any()
    assert breaks_floor(one, 1000.0, 99.1, 55.0, 5.0, 0.0, 0.55, number).all()
