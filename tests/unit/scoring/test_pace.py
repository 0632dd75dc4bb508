"""Sizes of calls and numbers of workers, from seconds that are made up."""

import pytest

from mfal.scoring.pace import Pace
from mfal.sections import ScoringConfig


def pace(**scoring: float) -> Pace:
    return Pace(ScoringConfig.model_validate(scoring))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (1e-4, [1, 10, 100, 1000, 1000]),  # at most ten times more, at most chunk_size
        (0.01, [1, 10, 100, 200, 200]),  # two seconds' worth
        (0.5, [1, 4, 4, 4, 4]),
        (2.0, [1, 1, 1, 1, 1]),
        (10.0, [1, 1, 1, 1, 1]),
    ],
)
def test_calls_grow_until_they_take_two_seconds(seconds: float, expected: list[int]) -> None:
    it, sizes = pace(), []
    for _ in expected:
        sizes.append(it.size("low", 10_000, slots=1))
        it.learn("low", sizes[-1], seconds * sizes[-1])
    assert sizes == expected


def test_a_call_without_an_answer_is_followed_by_one_candidate() -> None:
    it = pace()
    it.learn("low", 100, 0.01)
    it.learn("high", 100, 0.01)
    it.starts_over("low")
    assert (it.size("low", 1000, 1), it.size("high", 1000, 1)) == (1, 1000)
    it.learn("low", 1, 0.0001)  # that one has an answer
    assert it.size("low", 1000, 1) == 10


def test_each_fidelity_has_its_own_pace() -> None:
    it = pace()
    it.learn("low", 100, 1.0)
    it.learn("high", 1, 1.0)
    assert (it.size("low", 1000, 1), it.size("high", 1000, 1)) == (200, 2)
    assert it.size("unheard of", 1000, 1) == 1


def test_calls_of_several_stay_well_below_the_limit_of_one() -> None:
    it = pace(timeout_seconds=0.4)
    it.learn("low", 100, 1.0)
    assert it.size("low", 1000, 1) == 10


@pytest.mark.parametrize(
    ("left", "slots", "size"),
    [(1000, 1, 200), (1000, 2, 200), (400, 2, 100), (40, 2, 10), (8, 2, 5), (3, 2, 3)],
)
def test_the_last_queries_are_shared_out(left: int, slots: int, size: int) -> None:
    # 0.01 s each: half of one's share, and not less than 0.05 s.
    it = pace()
    it.learn("low", 100, 1.0)
    assert it.size("low", left, slots) == size


@pytest.mark.parametrize(
    ("low", "high", "slots", "calls"),
    [
        (100, 0, 8, 1),  # 1 s of work
        (200, 0, 8, 1),
        (201, 0, 8, 2),  # a bit more than 2 s
        (1000, 0, 8, 5),
        (0, 4, 8, 8),  # 20 s
        (0, 1, 8, 3),
        (100, 1, 8, 3),
        (1000, 100, 2, 2),
    ],
)
def test_another_worker_is_worth_two_seconds_of_work(
    low: int, high: int, slots: int, calls: int
) -> None:
    it = pace()
    it.learn("low", 10, 0.1)
    it.learn("high", 1, 5.0)
    assert it.calls({"low": low, "high": high}, slots) == calls


def test_what_was_never_answered_counts_by_the_time_it_has_taken_so_far() -> None:
    it = pace()
    assert it.calls({"high": 100}, 8) == 1
    it.waits("high", 1, 6.0)
    assert it.calls({"high": 100}, 8) == 8
    assert it.size("high", 100, 8) == 1
    it.learn("high", 1, 0.001)  # the wait was for something else
    assert it.calls({"high": 100}, 8) == 1


def test_a_pace_that_changes_is_followed() -> None:
    it = pace()
    it.learn("low", 100, 0.1)
    for _ in range(10):
        it.learn("low", 100, 10.0)
    assert it.size("low", 1000, 1) == pytest.approx(20, abs=1)
