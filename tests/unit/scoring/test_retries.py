"""What is asked again: after transient failures, and where nobody was there to answer."""

import time
from collections.abc import Callable
from concurrent.futures import wait

import pytest

from mfal.errors import MfalError
from mfal.types import Outcome, Query
from tests.unit.scoring.told import Told


@pytest.mark.parametrize("runner", ["processes", "threads"])
@pytest.mark.parametrize(
    ("key", "retries", "calls", "value", "error"),
    [
        ("transient-1", 0, 1, (3.0,), None),
        ("transient-3", 2, 3, (3.0,), None),
        ("transient-3", 1, 2, None, "TransientError: no licence left (asked 2 times)"),
        ("transient-2", 0, 1, None, "TransientError: no licence left"),
        ("nonsense", 3, 1, None, "AttributeError: 'Oracle' object has no attribute 'nonsense'"),
    ],
)
def test_transient_failures_are_asked_again_and_no_others(
    told: Callable[..., Told],
    runner: str,
    key: str,
    retries: int,
    calls: int,
    value: tuple[float, ...] | None,
    error: str | None,
) -> None:
    ask = told(retries=retries, runner=runner)
    (outcome,) = ask(key)
    assert (outcome.values, outcome.error) == (value, error)
    assert ask.calls(key) == calls


def test_retries_wait_longer_each_time_and_hold_nobody_up(
    told: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mfal.scoring.scorer.COMMIT", 0.0)
    ask = told(retries=2, backoff_seconds=0.5, runner="threads", chunk_size=1)
    ask.scorer.ask([Query(key, "only") for key in ("transient-3", "good")])
    started, arrived = time.monotonic(), []
    while ask.scorer.waiting:
        arrived.append([query.key for query, _ in ask.scorer.answers()])
    assert arrived == [["good"], ["transient-3"]]
    assert 1.5 <= time.monotonic() - started < 8  # 0.5 + 1 s


def test_a_chunk_with_a_transient_failure_is_asked_again_in_halves(
    told: Callable[..., Told],
) -> None:
    ask = told(retries=2)
    ask(*(f"good-{i}" for i in range(11)))  # calls have grown to ten
    before = len(ask.log())
    outcomes = ask("good", "good-x", "transient-3")
    assert [o.values for o in outcomes] == [(1.0,), (1.0,), (3.0,)]
    # Whoever has an answer now is not asked for it at the second retry.
    all_three = ["good", "good-x", "transient-3"]
    asked = [all_three, all_three[:2], ["transient-3"], ["transient-3"]]
    assert [line[1:] for line in ask.log()[before:]] == asked


def test_where_nobody_can_be_asked_nothing_has_failed(told: Callable[..., Told]) -> None:
    ask = told(retries=2)
    ask(*(f"good-{i}" for i in range(11)))
    before = len(ask.log())
    assert [o.values for o in ask("good", "gone-3")] == [(1.0,), (4.0,)]
    asked = [["good", "gone-3"], ["good"], ["gone-3"], ["gone-3"]]
    assert [line[1:] for line in ask.log()[before:]] == asked

    ask.scorer.ask([Query(key, "only") for key in ("gone-9", "good")])
    found: list[tuple[Query, Outcome]] = []
    with pytest.raises(MfalError, match=r"^the program is gone\n") as raised:
        while ask.scorer.waiting:
            found += ask.scorer.answers()
    found += ask.scorer.unsettled()
    assert [query.key for query, _ in found] == ["good"]
    assert "nothing was charged" in raised.value.hint
    assert ask.calls("gone-9") == 3


def test_where_nobody_can_be_asked_no_answer_of_another_call_is_lost(
    told: Callable[..., Told],
) -> None:
    ask = told(retries=0, workers=2, runner="threads", chunk_size=1)
    ask.scorer._pace.learn("only", 1, 60.0)  # slow: all are asked at once
    ask.scorer.ask([Query(key, "only") for key in ("gone-9", "good")])
    ask.scorer._submit()
    wait(ask.scorer._calls)
    with pytest.raises(MfalError, match="the program is gone"):
        ask.scorer.answers()
    assert [query.key for query, _ in ask.scorer.unsettled()] == ["good"]


@pytest.mark.parametrize(("retry", "calls"), [(False, 1), (True, 2)])
def test_time_limits_are_transient_only_where_the_configuration_says_so(
    told: Callable[..., Told], retry: bool, calls: int
) -> None:
    ask = told(retries=1, retry_timeouts=retry, timeout_seconds=0.5, runner="threads")
    (outcome,) = ask("hang")
    assert outcome.error is not None and outcome.error.startswith("no answer within 0.5 s")
    assert ask.calls("hang") == calls


def test_several_that_are_late_together_are_asked_one_by_one(told: Callable[..., Told]) -> None:
    ask = told(retries=1, retry_timeouts=True, timeout_seconds=0.5, chunk_size=2)
    ask(*(f"good-{i}" for i in range(11)))
    late, good = ask("hang", "good")
    assert late.values is None and good.values == (1.0,)
    assert ask.calls("hang") == 3  # with the other, alone, and once more
