"""A batch of queries that differ."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest
import torch
from torch import Tensor

from mfal.batch.crowd import Crowd
from mfal.batch.select import Pool, select_batch
from tests.unit.letters import EqualLetters
from tests.unit.pools import HIGH, LOW, limits, pool, random_pool


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
        # And where the acquisition is no information: nats count in its own spread.
        scaled = replace(source, value=1000 * source.value, nat=1000.0)
        batch = select_batch(scaled, limits(cost=None, queries=2, repulsion=None), 100.0)
        assert [query.key for query in batch] == ["a", second]


@pytest.mark.parametrize("unit", [1e-9, 1e-6, 1e6])
def test_a_batch_does_not_depend_on_the_unit_of_the_utility(unit: float) -> None:
    source = random_pool(30, 3)
    scaled = replace(
        source,
        covariance=lambda rows: unit**2 * source.covariance(rows),
        noise=unit**2 * source.noise,
    )
    chosen = limits(queries=10, repulsion=10.0)
    assert select_batch(scaled, chosen, 100.0) == select_batch(source, chosen, 100.0)


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


def test_where_nothing_counts_per_cost_prices_change_no_choice() -> None:
    chosen = limits(cost=None, queries=12, repulsion=1.0)
    batches = []
    for costs in ((1.0, 1.0), (1.0, 70.0), (70.0, 1.0)):
        source = replace(random_pool(600, 3, costs=costs), per_cost=False)
        batches.append(select_batch(source, chosen, 1e4))
    assert len(batches[0]) == 12
    assert batches[0] == batches[1] == batches[2]


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


def test_the_default_weight_counts_the_queries_that_a_limit_pays_for() -> None:
    source = random_pool(40, 3)
    default = select_batch(source, limits(repulsion=None), 1000.0)
    one_over = select_batch(source, limits(repulsion=4 / 100), 1000.0)  # a query costs 4 on average
    assert default == one_over


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


def test_what_is_asked_below_the_target_leaves_room_for_its_share() -> None:
    # Four families of two: the one that is asked below the target shuts the other out.
    families = ("A", "C", "G", "T")
    rows = [
        (key, at, 1.0, cost)
        for letter in families
        for key in (4 * letter, 3 * letter + "N")
        for at, cost in ((LOW, 1.0), (HIGH, 7.0))
    ]
    merit = {key: 1.0 for key, _, _, _ in rows}
    chosen = select_batch(pool(rows), limits(cost=28.0, target_share=0.5), 100.0, crowd({}, merit))
    assert sum(q.fidelity == HIGH for q in chosen) == 2
    assert {q.key[0] for q in chosen} == set(families)


def test_a_candidate_that_is_bought_may_be_promoted() -> None:
    source = pool([("AAAA", HIGH, 9.0, 7.0)])
    assert select_batch(source, limits(), 100.0, crowd({"AAAA": 9.0}, WORTH))
