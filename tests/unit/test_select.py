from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mfal.budget import exact, fits, minus, total_cost
from mfal.crowd import Crowd
from mfal.sections import BatchConfig
from mfal.select import SHORTLIST, Pool, candidate_queries, select_batch
from mfal.similarity import Similarity
from mfal.types import Query

LOW, HIGH = "low", "high"


def pool(
    rows: Sequence[tuple[str, str, float, float]],
    covariance: Tensor | None = None,
    noise: float = 0.1,
) -> Pool:
    """A pool of (key, fidelity, value, cost), independent where nothing else is said."""
    prior = torch.eye(len(rows), dtype=torch.float64) if covariance is None else covariance
    return Pool(
        queries=tuple(Query(key, fidelity) for key, fidelity, _, _ in rows),
        value=torch.tensor([value for _, _, value, _ in rows], dtype=torch.float64),
        cost=tuple(cost for _, _, _, cost in rows),
        is_target=torch.tensor([at == HIGH for _, at, _, _ in rows], dtype=torch.bool),
        covariance=lambda picked: prior[picked][:, picked],
        noise=torch.full((len(rows),), noise, dtype=torch.float64),
    )


def limits(**changes: Any) -> BatchConfig:
    return BatchConfig(**{"cost": 100.0, "target_share": 0.0, "repulsion": 0.0} | changes)


def random_pool(n: int, seed: int, *, costs: tuple[float, float] = (1.0, 7.0)) -> Pool:
    """n candidates at both fidelities, with the covariance of random features."""
    generator = torch.Generator().manual_seed(seed)
    value = torch.rand(2 * n, generator=generator, dtype=torch.float64).tolist()
    features = torch.randn(n, 3, generator=generator, dtype=torch.float64).repeat(2, 1)
    covariance = torch.exp(-torch.cdist(features, features).square() / 4)
    across = torch.arange(2 * n) < n
    covariance = covariance * torch.where(across[:, None] == across, 1.0, 0.8)
    rows = [
        (f"k{i % n}", LOW if i < n else HIGH, value[i], costs[0] if i < n else costs[1])
        for i in range(2 * n)
    ]
    return pool(rows, covariance)


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
)
def test_a_batch_keeps_to_every_limit(
    rows: list[tuple[str, str, float, float]],
    left: float,
    cost: float | None,
    queries: int,
    share: float,
    repulsion: float | None,
) -> None:
    source = pool(rows)
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


def test_a_share_that_cannot_be_had_does_not_stop_a_batch() -> None:
    source = pool([(f"k{i}", LOW, 1.0, 1.0) for i in range(9)] + [("t", HIGH, 1.0, 7.0)])
    assert spent(source, select_batch(source, limits(cost=5, target_share=1.0), 99.0)) == 5
    assert spent(source, select_batch(source, limits(cost=12, target_share=1.0), 99.0)) == 12


def twins() -> Pool:
    """Two copies of the best, and a worse one that has nothing to do with them."""
    covariance = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).double()
    return pool(
        [("a", HIGH, 1.0, 1.0), ("twin", HIGH, 0.99, 1.0), ("b", HIGH, 0.5, 1.0)], covariance, 1e-6
    )


@pytest.mark.parametrize(("repulsion", "second"), [(0.0, "twin"), (1.0, "b"), (1e3, "b")])
def test_repulsion_keeps_twins_apart(repulsion: float, second: str) -> None:
    batch = select_batch(twins(), limits(queries=2, repulsion=repulsion), 100.0)
    assert [query.key for query in batch] == ["a", second]


def test_the_weight_without_a_setting_is_one_over_the_size_of_the_batch() -> None:
    # What the twin loses is half of log(1e-6 (2 + 1e-6) / (1 + 1e-6)^2), 6.56 nats.
    for value, second in ((6.56 / 2 - 0.02, "b"), (6.56 / 2 + 0.02, "twin")):
        source = twins()
        source.value[:] = torch.tensor([9.0, value, 0.0])
        batch = select_batch(source, limits(cost=None, queries=2, repulsion=None), 100.0)
        assert [query.key for query in batch] == ["a", second]
        # The same size, from the cost of a query.
        batch = select_batch(source, limits(cost=2.0, repulsion=None), 100.0)
        assert [query.key for query in batch] == ["a", second]


def test_of_two_equal_losses_the_cheaper_comes_first() -> None:
    # After the first, a twin of it at either price is worth less than nothing.
    covariance = torch.ones(3, 3, dtype=torch.float64)
    rows = [("a", HIGH, 9.0, 1.0), ("dear", HIGH, 1.0, 7.0), ("cheap", HIGH, 1.0, 1.0)]
    source = pool(rows, covariance, 1e-6)
    batch = select_batch(source, limits(queries=3, repulsion=10.0), 100.0)
    assert [query.key for query in batch] == ["a", "cheap", "dear"]
    # And any gain comes before any loss.
    source.value[1] = 100.0
    batch = select_batch(source, limits(queries=3, repulsion=10.0), 100.0)
    assert [query.key for query in batch] == ["dear", "a", "cheap"]
    source.value[:] = torch.tensor([9.0, 200.0, 1.0])
    batch = select_batch(source, limits(queries=3, repulsion=1.0), 100.0)
    assert [query.key for query in batch] == ["dear", "a", "cheap"]


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


def log_determinant(source: Pool, rows: Sequence[int]) -> Tensor:
    picked = torch.tensor(rows, dtype=torch.long)
    noise = source.noise[picked]
    matrix = source.covariance(picked) + torch.diag(noise)
    sign: Tensor
    value: Tensor
    sign, value = torch.linalg.slogdet(matrix)
    assert sign == 1
    return value


def greedy_by_determinant(source: Pool, n: int, weight: float) -> list[int]:
    """The definition: gains of log determinants, each computed from scratch."""
    chosen: list[int] = []
    for _ in range(n):
        until = log_determinant(source, chosen) if chosen else torch.tensor(0.0).double()
        best, most = -1, -torch.inf
        taken = {source.queries[i].key for i in chosen}
        for i, query in enumerate(source.queries):
            if query.key in taken:
                continue
            alone = log_determinant(source, [i])
            gain = 0.5 * (log_determinant(source, [*chosen, i]) - until - alone)
            worth, cost = float(source.value[i] + weight * gain), source.cost[i]
            rate = worth / cost if worth >= 0 else worth * cost
            if rate > most:
                best, most = i, rate
        chosen.append(best)
    return chosen


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_diversity_is_the_gain_of_the_exact_log_determinant(seed: int, weight: float) -> None:
    source = random_pool(12, seed, costs=(1.0, 1.5))
    expected = greedy_by_determinant(source, 8, weight)
    batch = select_batch(source, limits(queries=8, repulsion=weight), 1000.0)
    assert [source.queries.index(query) for query in batch] == expected
    plain = select_batch(source, limits(queries=8), 1000.0)
    assert batch != plain, "the diversity term decided nothing, and the test shows nothing"


def test_strong_repulsion_spreads_a_batch_as_well_as_the_best_of_all_pairs() -> None:
    source = random_pool(12, 5, costs=(1.0, 1.0))
    source.value[:] = 0.0
    source.value[0] = 1e6  # chosen first, whatever the rest
    first, second = (
        source.queries.index(q)
        for q in select_batch(source, limits(queries=2, repulsion=1.0), 100.0)
    )
    assert first == 0
    loss = {
        pair: log_determinant(source, pair) - sum(log_determinant(source, [i]) for i in pair)
        for pair in permutations(range(24), 2)
        if pair[0] == 0 and source.queries[pair[1]].key != source.queries[0].key
    }
    assert (first, second) == max(loss, key=lambda pair: float(loss[pair]))


def test_certain_duplicates_do_not_break_the_factor() -> None:
    n = 30
    rows = [(f"k{i}", HIGH, 1.0, 1.0) for i in range(n)]
    source = pool(rows, torch.ones(n, n, dtype=torch.float64), noise=0.0)
    batch = select_batch(source, limits(cost=None, queries=n, repulsion=1.0), 1000.0)
    assert sorted(batch) == sorted(source.queries)


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


def test_the_default_weight_counts_the_queries_that_a_limit_pays_for() -> None:
    source = random_pool(40, 3)
    default = select_batch(source, limits(repulsion=None), 1000.0)
    one_over = select_batch(source, limits(repulsion=4 / 100), 1000.0)  # a query costs 4 on average
    assert default == one_over


LADDER = ["low", "middle", "high"]


def test_proposals_compete_as_proposed_and_at_the_target() -> None:
    proposed = [Query("a", "low"), Query("b", "high"), Query("c", "middle"), Query("a", "low")]
    assert candidate_queries(proposed, [], LADDER, set()) == [
        Query("a", "low"),
        Query("a", "high"),
        Query("b", "high"),
        Query("c", "middle"),
        Query("c", "high"),
    ]


class EqualLetters(Similarity):
    def __call__(self, a: str, b: str) -> float:
        return sum(x == y for x, y in zip(a, b, strict=True)) / len(a)


def crowd(bought: dict[str, float], merit: dict[str, float], at_most: float = 0.5) -> Crowd:
    return Crowd(EqualLetters(), at_most, bought, merit)


WORTH = {"AAAA": 9.0, "AAAC": 8.0, "CCCC": 7.0, "GGGG": 6.0}


def test_a_batch_passes_over_what_is_like_something_better() -> None:
    source = pool([(key, HIGH, value, 7.0) for key, value in WORTH.items()])
    chosen = select_batch(source, limits(cost=21.0), 100.0, crowd({}, WORTH))
    assert [q.key for q in chosen] == ["AAAA", "CCCC", "GGGG"]
    # CCCG is bought and expected to be better than CCCC.
    known = crowd({"CCCG": 7.5}, WORTH)
    chosen = select_batch(source, limits(cost=21.0), 100.0, known)
    assert [q.key for q in chosen] == ["AAAA", "GGGG"]  # a smaller batch
    worse = crowd({"CCCG": 6.5}, WORTH)
    chosen = select_batch(source, limits(cost=21.0), 100.0, worse)
    assert [q.key for q in chosen] == ["AAAA", "CCCC", "GGGG"]


def test_what_is_passed_over_is_passed_over_at_every_fidelity_and_keeps_no_reserve() -> None:
    # All that could be asked at the target is like AAAA, which is bought: the floor on the
    # target's share then holds nothing back.
    rows = [("AAAA", LOW, 9.0, 1.0), ("AAAC", LOW, 8.0, 1.0), ("AAAC", HIGH, 8.0, 7.0)]
    rows += [(key, LOW, 1.0, 1.0) for key in ("CCCC", "GGGG", "TTTT")]
    merit = {key: value for key, _, value, _ in rows}
    chosen = select_batch(
        pool(rows), limits(cost=10.0, target_share=0.5), 100.0, crowd({"AAAG": 99.0}, merit)
    )
    assert {q.key for q in chosen} == {"CCCC", "GGGG", "TTTT"}


def test_a_candidate_that_is_bought_may_be_promoted() -> None:
    source = pool([("AAAA", HIGH, 9.0, 7.0)])
    assert select_batch(source, limits(), 100.0, crowd({"AAAA": 9.0}, WORTH))
