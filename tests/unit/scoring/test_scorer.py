import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from mfal.errors import MfalError
from mfal.scoring.calls import Answered, Call, Reply, Trouble
from mfal.scoring.scorer import Scorer, scorer
from mfal.sections import Component, ScoringConfig
from mfal.types import Fidelity, Objective, Outcome, Query
from tests.problems.motif import MotifOracle
from tests.support import MOTIF, score, worker_processes

LADDER = MotifOracle.fidelities
ONLY = [Fidelity("only", 1.0, 1.0)]
GOOD = [Query(key, "whole") for key in ("CCGTACGT", "CAGTACGA", "TTTTTTTT")]
VALUES: list[tuple[float, ...] | None] = [(7.0,), (5.0,), (2.0,)]
BAD = Query("ACGTACGT", "whole")


def motif(folder: Path, *, trouble: str = "", **scoring: Any) -> Scorer:
    options = {"calls": str(folder / "calls.txt"), "trouble": trouble}
    config = ScoringConfig(**{"workers": 1, "timeout_seconds": 30.0} | scoring)
    return Scorer(Component(name=MOTIF, options=options), LADDER, 1, config)


def values(outcomes: list[Outcome]) -> list[tuple[float, ...] | None]:
    return [outcome.values for outcome in outcomes]


def asked(folder: Path) -> list[str]:
    return (folder / "calls.txt").read_text().split()[1::2]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scorer, Path]]:
    """A scorer that is in order, and the folder in which its calls are written down."""
    folder = tmp_path_factory.mktemp("shared")
    made = motif(folder)
    yield made, folder
    made.close()


def test_answers_come_in_the_order_of_the_queries(shared: tuple[Scorer, Path]) -> None:
    made, folder = shared
    chunk = [Query("".join(letters) + "GTACGT", "whole") for letters in product("ACGT", repeat=2)]
    expected: list[tuple[float, ...] | None] = [
        (6.0 + (q.key[0] == "A") + (q.key[1] == "C"),) for q in chunk
    ]
    for order in (1, -1):
        outcomes = score(made, chunk[::order])
        assert values(outcomes) == expected[::order]
        assert all(outcome.error is None for outcome in outcomes)
        assert asked(folder)[-16:] == [query.key for query in chunk[::order]]


def test_fidelities_are_not_mixed_and_calls_no_larger_than_allowed(tmp_path: Path) -> None:
    made = motif(tmp_path, runner="threads", chunk_size=3)
    keys = ["".join(letters) for letters in product("ACGT", repeat=8)][:8]
    queries = [Query(key, rung) for key in keys for rung in ("half", "whole")]
    sizes: list[tuple[str, int]] = []
    start = made._pace.learn
    made._pace.learn = lambda fidelity, n, seconds: (  # type: ignore[method-assign]
        sizes.append((fidelity, n)),
        start(fidelity, n, seconds),
    )[1]
    score(made, queries)
    assert sizes == [(rung, n) for rung in ("half", "whole") for n in (1, 3, 3, 1)]
    made.close()


def test_answers_are_handed_out_before_all_are_there(tmp_path: Path) -> None:
    component = Component(name=MOTIF, options={"slow": 0.7})
    config = ScoringConfig(workers=1, chunk_size=1, runner="threads")
    made = Scorer(component, LADDER, 1, config)
    made.ask(GOOD)
    arrived = []
    while made.waiting:
        arrived.append(len(made.answers()))
    assert sum(arrived) == 3 and arrived[0] < 3
    made.close()


def test_workers_that_have_been_started_are_used_for_whatever_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class OneHangs:
        """Answers all but the first call, at once."""

        slots = 2

        def __init__(self) -> None:
            self.begun: list[Future[Reply]] = []

        def submit(self, call: Call) -> "Future[Reply]":
            reply: Future[Reply] = Future()
            if self.begun:
                reply.set_result(Answered([Outcome((1.0,), None, 0.0)] * len(call.keys), 0.0))
            self.begun.append(reply)
            return reply

        def close(self) -> None:
            pass

    runner = OneHangs()
    monkeypatch.setattr("mfal.scoring.scorer.start", lambda asked, config: runner)
    monkeypatch.setattr("mfal.scoring.scorer.COMMIT", 0.0)
    made = Scorer(Component(name=MOTIF), LADDER, 1, ScoringConfig(chunk_size=1))
    made._pace.learn("whole", 1, 2.0)  # three of them are worth a second worker, two are not
    made.ask(GOOD)
    arrived = [query for _ in range(2) for query, _ in made.answers()]
    assert arrived == GOOD[1:]
    runner.begun[0].set_result(Answered([Outcome((1.0,), None, 0.0)], 9.0))
    assert [query for query, _ in made.answers()] == GOOD[:1]
    made.close()


def test_a_query_that_is_asked_again_later_is_work_that_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class FirstIsTransient:
        """Refuses the first call for now, and leaves the others without an answer."""

        slots = 2

        def __init__(self) -> None:
            self.asked: list[tuple[str, str]] = []

        def submit(self, call: Call) -> "Future[Reply]":
            reply: Future[Reply] = Future()
            if not self.asked:
                reply.set_result(Trouble("transient", "busy", 0.0))
            self.asked += [(call.fidelity.name, key) for key in call.keys]
            return reply

        def close(self) -> None:
            pass

    runner = FirstIsTransient()
    monkeypatch.setattr("mfal.scoring.scorer.start", lambda asked, config: runner)
    made = Scorer(Component(name=MOTIF), LADDER, 1, ScoringConfig(backoff_seconds=3600))
    made._pace.learn("whole", 1, 10.0)  # one of them is worth a worker of its own
    slow, quick = GOOD[0], Query(GOOD[1].key, "half")
    made.ask([slow])
    made._submit()
    made._collect()
    made.ask([quick])
    made._submit()
    assert runner.asked == [("whole", slow.key), ("half", quick.key)]
    assert made._left() == {"whole": 1, "half": 1}
    # Once its time has come, it waits for none that is still being asked.
    made._later = [(0.0, chunk) for _, chunk in made._later]
    made._submit()
    assert runner.asked[2:] == [("whole", slow.key)]
    made.close()


@pytest.mark.parametrize("kind", [MfalError, RuntimeError, KeyboardInterrupt])
def test_an_error_loses_no_answer_that_came_with_it(
    monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    class Half:
        """Answers every other call, and has nobody for the others."""

        slots = 2
        calls = 0

        def submit(self, call: Call) -> "Future[Reply]":
            reply: Future[Reply] = Future()
            self.calls += 1
            if self.calls % 2:
                reply.set_exception(kind("nobody is there"))
            else:
                reply.set_result(Answered([Outcome((1.0,), None, 0.0)], 10.0))
            return reply

        def close(self) -> None:
            pass

    monkeypatch.setattr("mfal.scoring.scorer.start", lambda asked, config: Half())
    made = Scorer(Component(name=MOTIF), LADDER, 1, ScoringConfig())
    made._pace.learn("whole", 1, 10.0)  # slow: both are asked at once
    made.ask(GOOD[:2])
    with pytest.raises(kind, match="nobody is there"):
        made.answers()
    assert made.unsettled() == [(GOOD[1], Outcome((1.0,), None, 0.0))]
    made.close()
    assert not made.waiting and not made.unsettled()


@pytest.mark.parametrize("how", ["raised", "unavailable"])
def test_what_has_come_in_is_there_after_an_error(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    # In whatever order a set has them: six times over, one order would have to be lucky.
    for _ in range(6):
        answer, late = Answered([Outcome((1.0,), None, 0.0)], 10.0), Future[Reply]()
        broken, failed, answered = Future[Reply](), Future[Reply](), Future[Reply]()
        if how == "raised":
            broken.set_exception(MfalError("nobody is there"))
        else:
            broken.set_result(Trouble("unavailable", "nobody is there", 0.0))
        failed.set_result(Trouble("late", "no answer within 9 s", 9.0))
        answered.set_result(answer)
        replies = iter([broken, failed, answered, late])

        class Mixed:
            slots = 4

            def submit(self, call: Call, replies: "Iterator[Future[Reply]]" = replies) -> Any:
                return next(replies)

            def close(self) -> None:
                pass

        monkeypatch.setattr("mfal.scoring.scorer.start", lambda asked, config, kind=Mixed: kind())
        made = Scorer(Component(name=MOTIF), LADDER, 1, ScoringConfig(retries=0))
        made._pace.learn("whole", 1, 10.0)  # slow: all are asked at once
        asked = [Query(key, "whole") for key in ("ACGTAAAA", "ACGTCCCC", "ACGTGGGG", "ACGTTTTT")]
        made.ask(asked)
        with pytest.raises(MfalError, match="nobody is there"):
            made.answers()
        came = dict(made.unsettled())
        assert set(came) == {asked[1], asked[2]} and came[asked[1]].values is None
        late.set_result(answer)
        assert [query for query, _ in made.unsettled()][2:] == [asked[3]]
        made.close()


def test_answers_are_unsettled_until_more_are_asked_for(tmp_path: Path) -> None:
    made = motif(tmp_path, runner="threads")
    made.ask(GOOD[:2])
    first = made.answers()
    assert made.unsettled() == first
    made.ask(GOOD[2:])
    second = made.answers()
    assert made.unsettled() == second and not {*dict(first)} & {*dict(second)}
    made.close()


def test_a_chunk_is_asked_at_its_fidelity(shared: tuple[Scorer, Path]) -> None:
    made, folder = shared
    whole = score(made, [Query("ACGTCCCC", "whole")])
    half = score(made, [Query("ACGTCCCC", "half")])
    assert (values(whole), values(half)) == ([(5.0,)], [(4.0,)])
    assert (folder / "calls.txt").read_text().splitlines()[-1] == "half ACGTCCCC"


def test_one_worker_answers_all_chunks(shared: tuple[Scorer, Path]) -> None:
    made, _ = shared
    score(made, GOOD)
    before = worker_processes()
    score(made, GOOD)
    assert worker_processes() == before
    assert os.getpid() not in before


ERRORS = {
    "raise": "RuntimeError: this word begins with A",
    "nan": "returned nan, which is not finite",
    "shorter": "the oracle returned 0 outcomes for 1 candidates",
    "crash": "the oracle's process died (exit code -11)",
    "hang": "no answer within 0.5 s",
}


@pytest.mark.parametrize("trouble", ERRORS)
def test_a_bad_candidate_costs_only_itself(tmp_path: Path, trouble: str) -> None:
    chunk = [*GOOD[:1], BAD, *GOOD[1:]]
    made = motif(tmp_path, timeout_seconds=0.5 if trouble == "hang" else 30, trouble=trouble)
    try:
        assert values(score(made, GOOD)) == VALUES
        first = worker_processes()
        outcomes = score(made, chunk)
        assert values(outcomes) == [*VALUES[:1], None, *VALUES[1:]]
        assert outcomes[1].error == ERRORS[trouble]
        if trouble == "hang":
            assert 0.5 <= outcomes[1].seconds < 10
        # Whoever crashed or hung has been replaced, and things go on.
        assert values(score(made, GOOD)) == VALUES
        assert (worker_processes() == first) == (trouble not in ("crash", "hang"))
        assert len(worker_processes()) == len(first)
        # A word that is bad by itself is not asked twice.
        before = len(asked(tmp_path))
        assert score(made, [BAD])[0].error == ERRORS[trouble]
        assert asked(tmp_path)[before:] == [BAD.key]
    finally:
        made.close()


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "hanging"])
def test_no_worker_outlives_its_scorer(tmp_path: Path, busy: bool) -> None:
    before = worker_processes()
    component = Component(name=MOTIF, options={"trouble": "hang"})
    with scorer(component, LADDER, 1, ScoringConfig(timeout_seconds=60)) as made:
        assert worker_processes() == before, "a worker is started by the first question"
        score(made, GOOD)
        (worker,) = worker_processes() - before
        if busy:
            made.ask([BAD])
            made._submit()
            time.sleep(0.2)
            assert made.waiting
    assert worker_processes() == before
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_a_scorer_may_be_closed_twice_or_unused_and_starts_again(tmp_path: Path) -> None:
    made = motif(tmp_path)
    made.close()
    try:
        assert values(score(made, GOOD)) == VALUES
        made.close()
        made.close()
        assert values(score(made, GOOD)) == VALUES
    finally:
        made.close()


def test_a_worker_ends_when_the_block_raises(tmp_path: Path) -> None:
    before = worker_processes()
    with (
        pytest.raises(KeyboardInterrupt),
        scorer(Component(name=MOTIF), LADDER, 1, ScoringConfig()) as made,
    ):
        score(made, GOOD)
        raise KeyboardInterrupt
    assert worker_processes() == before


def test_all_objectives_must_be_answered() -> None:
    objectives = (*MotifOracle.objectives, Objective("other", "u", "min"))
    with scorer(Component(name=MOTIF), LADDER, len(objectives), ScoringConfig()) as made:
        outcomes = score(made, GOOD)
    assert {outcome.error for outcome in outcomes} == {"returned 1 numbers for 2 objectives"}
    assert all(math.isfinite(outcome.seconds) for outcome in outcomes)
