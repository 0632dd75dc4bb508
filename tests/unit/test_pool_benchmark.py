"""The stand-in ladder and the arithmetic of the benchmark over pools."""

import pytest

from oracles.folding import ViennaFolding
from tests.benchmarks.pool import Ladder, run
from tests.benchmarks.pool_page import cost_to_reach, picture
from tests.problems.dna_ladder import LadderOracle, make_pool, stem

HAIRPIN = "GGGGCCAAAAGGCCCCTTTTTTTTTTTTTT"


@pytest.mark.parametrize(
    ("key", "weight"),
    [
        (HAIRPIN, 6 * 3),  # GGGGCC with GGCCCC around AAAA
        ("GCAAAGC" + "A" * 23, 2 * 3),
        ("GCAAGC" + "A" * 24, 1 * 3),  # G with C around four letters; the inner pair is too close
        ("GAAAAC" + "A" * 24, 1 * 3),
        ("A" * 30, 0),
        ("GTAAATAAAGC" + "A" * 19, 3),  # a mismatch ends a run
        ("T" * 13 + "CCCC" + "A" * 13, 13 * 2),
    ],
)
def test_the_cheapest_rung_weighs_the_longest_perfect_hairpin(key: str, weight: int) -> None:
    assert stem(key) == -weight


def test_the_two_parameter_sets_do_not_meet() -> None:
    pytest.importorskip("RNA")
    oracle = LadderOracle()
    _, rna, folding = oracle.fidelities
    first = oracle.evaluate([HAIRPIN], folding)[0].values
    other = oracle.evaluate([HAIRPIN], rna)[0].values
    assert first is not None and other is not None and abs(first[0] - other[0]) > 1
    assert oracle.evaluate([HAIRPIN], folding)[0].values == first
    # An ensemble is more stable than its best structure, and the hairpin is nearly all of it.
    best = ViennaFolding().fold(HAIRPIN)[1]
    assert best - 0.5 < first[0] <= best


def test_a_pool_has_distinct_strands_and_its_own_seed() -> None:
    pool = make_pool(500, 1)
    assert pool == make_pool(500, 1) != make_pool(500, 2)
    assert len(set(pool)) == 500 and {len(key) for key in pool} == {30}
    assert set("".join(pool)) == set("ACGT")


@pytest.mark.parametrize(
    ("value", "cost"), [(-4.0, 10.0), (-5.0, 10.0), (-6.0, 15.0), (-7.0, 20.0), (-8.0, 35.0)]
)
def test_the_cost_of_a_value_is_linear_between_rounds(value: float, cost: float) -> None:
    # It gets worse once, after 20.
    curve = [(10.0, -5.0), (20.0, -7.0), (30.0, -6.0), (40.0, -10.0)]
    assert cost_to_reach(curve, value) == pytest.approx(cost)
    assert cost_to_reach(curve, -10.1) is None


@pytest.mark.slow
def test_a_campaign_over_a_pool_is_looked_at_after_every_round() -> None:
    pytest.importorskip("RNA")
    points = run(Ladder((1, 3, 7), 140, 280), {}, is_random=False, seed=1)
    assert [point.cost for point in points] == [140, 280]
    for point in points:
        stems, rna, folding = point.queries
        assert stems + 3 * rna + 7 * folding == point.cost
    # A pool's mean energy is about -3.25; what the model recommends is better, and gets better.
    first, last = points
    assert -3.25 > first.recommended > last.recommended
    assert last.measured < first.measured


def test_every_method_is_named_whichever_ladders_it_was_run_on() -> None:
    points = [{"cost": cost, "recommended": -cost, "measured": -cost} for cost in (1.0, 2.0)]
    where = [("1/3/7", "ours"), ("1/3/7", "theirs"), ("1/10/100", "ours")]
    runs = [{"ladder": la, "method": m, "seed": 0, "points": points} for la, m in where]
    (legend,) = picture(runs, ["1/10/100", "1/3/7"]).legends
    assert [text.get_text() for text in legend.get_texts()] == ["ours", "theirs"]
