"""Figures of campaigns against examples that can be worked out by hand."""

import pytest

from mfal.metrics import (
    Scored,
    cost_shares,
    cost_to_reach,
    diverse_best,
    failures,
    measured,
    modes_found,
    novelty,
    of_keys,
    true_values,
)
from mfal.similarity import Similarity
from mfal.types import Fidelity, Objective, Observation, Outcome, Query

LOWEST = Objective("energy", "kcal/mol", "min")
HIGHEST = Objective("agreement", "places", "max")
LADDER = (Fidelity("low", 1.0, 0.5), Fidelity("target", 10.0, 1.0))


def observed(key: str, value: float | None, at: str = "target", cost: float = 10.0) -> Observation:
    outcome = Outcome(None if value is None else (value,), "broke" if value is None else None, 0.0)
    return Observation(Query(key, at), outcome, 0, cost, "engine")


class EqualLetters(Similarity):
    def __call__(self, a: str, b: str) -> float:
        return sum(x == y for x, y in zip(a, b, strict=True)) / len(a)


equal_letters = EqualLetters()


ROWS = [
    observed("AAAA", -5.0),
    observed("AAAC", -4.0),
    observed("CCCC", -3.0),
    observed("GGGG", None),
    observed("TTTT", -99.0, at="low", cost=1.0),
    observed("AAAA", -1.0, at="low", cost=1.0),
]


def test_the_strict_reading_knows_only_what_was_measured_at_the_target() -> None:
    strict = measured(ROWS, "target", LOWEST)
    assert strict == Scored(("AAAA", "AAAC", "CCCC"), (-5.0, -4.0, -3.0))
    assert strict.top(2).mean() == -4.5
    assert strict.top(9).mean() == -4.0
    assert measured(ROWS, "target", HIGHEST).keys == ("CCCC", "AAAC", "AAAA")
    assert measured([], "target", LOWEST).mean() is None


def test_the_published_reading_knows_the_true_value_of_all_that_was_queried() -> None:
    # TTTT was only asked below the target, where it looked far better than it is. GGGG failed at
    # the target and has no value. What no one asked for does not count.
    outside = {"TTTT": -4.5, "ACGT": -100.0, "AAAA": -7.0}
    everything = true_values(ROWS, "target", LOWEST, outside)
    assert everything == Scored(("AAAA", "TTTT", "AAAC", "CCCC"), (-5.0, -4.5, -4.0, -3.0))


def test_recommended_candidates_are_judged_by_their_true_values() -> None:
    known = measured(ROWS, "target", LOWEST)
    assert of_keys(["CCCC", "AAAA", "unknown"], known, LOWEST).mean() == -4.0


def test_diverse_best_skips_what_is_like_a_better_one() -> None:
    strict = measured(ROWS, "target", LOWEST)
    assert diverse_best(strict, 2, equal_letters, 0.5).keys == ("AAAA", "CCCC")
    assert diverse_best(strict, 2, equal_letters, 0.5).mean() == -4.0
    assert diverse_best(strict, 2, equal_letters, 0.75).keys == ("AAAA", "AAAC")
    assert len(diverse_best(strict, 3, equal_letters, 0.5)) == 2


def test_modes_are_different_candidates_that_are_good_enough() -> None:
    strict = measured(ROWS, "target", LOWEST)
    found = [modes_found(strict, v, LOWEST, equal_letters, 0.5) for v in (-6, -5, -4, -3)]
    assert found == [0, 1, 1, 2]
    assert modes_found(measured(ROWS, "target", HIGHEST), -4.0, HIGHEST, equal_letters, 0.5) == 2


def test_novelty_is_the_distance_to_the_nearest_of_the_initial_design() -> None:
    # AAAC is .75 like AAAA, and CCCC .25 like CAAA.
    assert novelty(["AAAC", "CCCC"], ["AAAA", "CAAA"], equal_letters) == (0.25 + 0.75) / 2
    assert novelty(["AAAA"], ["AAAA"], equal_letters) == 0.0
    assert novelty([], ["AAAA"], equal_letters) is None


def test_shares_of_the_cost_and_failures() -> None:
    assert cost_shares(ROWS, LADDER) == {"low": 2 / 42, "target": 40 / 42}
    assert cost_shares([], LADDER) == {"low": 0.0, "target": 0.0}
    assert failures(ROWS) == 1


@pytest.mark.parametrize(
    ("value", "objective", "cost"),
    [(-2.0, LOWEST, 20.0), (-3.0, LOWEST, 30.0), (-3.1, LOWEST, None), (-2.0, HIGHEST, 10.0)],
)
def test_cost_to_reach_a_value(value: float, objective: Objective, cost: float | None) -> None:
    points = [(5.0, None), (10.0, -1.0), (20.0, -2.5), (30.0, -3.0)]
    assert cost_to_reach(points, value, objective) == cost
