import math
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from mfal.config import Component, ScoringConfig
from mfal.scoring import Scorer, scorer
from mfal.types import Fidelity, Objective, Outcome, Query
from tests.problems.motif import MotifOracle
from tests.support import MOTIF

LADDER = MotifOracle.fidelities
GOOD = [Query(key, "whole") for key in ("CCGTACGT", "CAGTACGA", "TTTTTTTT")]
VALUES: list[tuple[float, ...] | None] = [(7.0,), (5.0,), (2.0,)]
BAD = Query("ACGTACGT", "whole")


def motif(folder: Path, *, timeout: float = 30.0, chunk_size: int = 64, **options: Any) -> Scorer:
    options["calls"] = str(folder / "calls.txt")
    return Scorer(
        Component(name=MOTIF, options=options),
        LADDER,
        1,
        ScoringConfig(timeout_seconds=timeout, chunk_size=chunk_size),
    )


def values(outcomes: list[Outcome]) -> list[tuple[float, ...] | None]:
    return [outcome.values for outcome in outcomes]


def asked(folder: Path) -> list[str]:
    return (folder / "calls.txt").read_text().split()[1::2]


def workers() -> set[int]:
    return {process.pid for process in multiprocessing.active_children() if process.pid}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scorer, Path]]:
    """A scorer that is in order, and the folder in which its calls are written down."""
    folder = tmp_path_factory.mktemp("shared")
    made = motif(folder, chunk_size=3)
    yield made, folder
    made.close()


def test_answers_come_in_the_order_of_the_queries(shared: tuple[Scorer, Path]) -> None:
    made, folder = shared
    chunk = [Query("".join(letters) + "GTACGT", "whole") for letters in product("ACGT", repeat=2)]
    expected: list[tuple[float, ...] | None] = [
        (6.0 + (q.key[0] == "A") + (q.key[1] == "C"),) for q in chunk
    ]
    for order in (1, -1):
        outcomes = made.score(chunk[::order])
        assert values(outcomes) == expected[::order]
        assert all(outcome.error is None for outcome in outcomes)
        assert asked(folder)[-16:] == [query.key for query in chunk[::order]]


def test_a_chunk_is_asked_at_its_fidelity(shared: tuple[Scorer, Path]) -> None:
    made, folder = shared
    whole = made.score([Query("ACGTCCCC", "whole")])
    half = made.score([Query("ACGTCCCC", "half")])
    assert (values(whole), values(half)) == ([(5.0,)], [(4.0,)])
    assert (folder / "calls.txt").read_text().splitlines()[-1] == "half ACGTCCCC"


def test_one_worker_answers_all_chunks(shared: tuple[Scorer, Path]) -> None:
    made, _ = shared
    made.score(GOOD)
    before = workers()
    made.score(GOOD)
    assert workers() == before
    assert os.getpid() not in before


@pytest.mark.parametrize(
    ("rungs", "expected"),
    [
        ("", []),
        ("l", ["l"]),
        ("lll", ["lll"]),
        ("llll", ["lll", "l"]),
        ("lllllll", ["lll", "lll", "l"]),
        ("llhl", ["lll", "h"]),
        ("hlhlhlhl", ["hhh", "h", "lll", "l"]),
        ("hhhhlllll", ["hhh", "h", "lll", "ll"]),
    ],
)
def test_chunks_are_of_one_fidelity_and_no_larger_than_allowed(
    shared: tuple[Scorer, Path], rungs: str, expected: list[str]
) -> None:
    queries = [Query(f"{i}", rung) for i, rung in enumerate(rungs)]
    chunks = list(shared[0].chunks(queries))
    asked = [query for chunk in chunks for query in chunk]
    assert sorted(asked) == queries  # each once; and in order at each fidelity:
    assert all(
        [q for q in asked if q.fidelity == rung] == [q for q in queries if q.fidelity == rung]
        for rung in "lh"
    )
    assert ["".join(query.fidelity for query in chunk) for chunk in chunks] == expected


ERRORS = {
    "raise": "RuntimeError: this word begins with A",
    "nan": "not a finite number: (nan,)",
    "shorter": "the oracle returned 0 outcomes for 1 candidates",
    "crash": "the oracle's process died (exit code -11)",
    "hang": "no answer within 2 s",
}


@pytest.mark.parametrize("trouble", ERRORS)
def test_a_bad_candidate_costs_only_itself(tmp_path: Path, trouble: str) -> None:
    chunk = [*GOOD[:1], BAD, *GOOD[1:]]
    made = motif(tmp_path, timeout=2.0, trouble=trouble)
    try:
        assert values(made.score(GOOD)) == VALUES
        first = workers()
        outcomes = made.score(chunk)
        assert values(outcomes) == [*VALUES[:1], None, *VALUES[1:]]
        assert outcomes[1].error == ERRORS[trouble]
        if trouble == "hang":
            assert 2 <= outcomes[1].seconds < 10
        # Whoever crashed or hung has been replaced, and things go on.
        assert values(made.score(GOOD)) == VALUES
        assert (workers() == first) == (trouble not in ("crash", "hang"))
        assert len(workers()) == len(first)
        # A word that is bad by itself is not asked twice.
        before = len(asked(tmp_path))
        assert made.score([BAD])[0].error == ERRORS[trouble]
        assert asked(tmp_path)[before:] == [BAD.key]
    finally:
        made.close()


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "hanging"])
def test_no_worker_outlives_its_scorer(tmp_path: Path, busy: bool) -> None:
    before = workers()
    component = Component(name=MOTIF, options={"trouble": "hang"})
    with scorer(component, LADDER, 1, ScoringConfig(timeout_seconds=60)) as made:
        assert workers() == before, "a worker is started by the first question"
        made.score(GOOD)
        (worker,) = workers() - before
        if busy:
            from mfal.scoring import _evaluate

            future = made._started_pool().schedule(_evaluate, args=([BAD.key], LADDER[1], 1))
            while not future.running():
                time.sleep(0.01)
    assert workers() == before
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_a_scorer_may_be_closed_twice_or_unused_and_starts_again(tmp_path: Path) -> None:
    made = motif(tmp_path)
    made.close()
    try:
        assert values(made.score(GOOD)) == VALUES
        made.close()
        made.close()
        assert values(made.score(GOOD)) == VALUES
    finally:
        made.close()


def test_a_worker_ends_when_the_block_raises(tmp_path: Path) -> None:
    before = workers()
    with (
        pytest.raises(KeyboardInterrupt),
        scorer(Component(name=MOTIF), LADDER, 1, ScoringConfig()) as made,
    ):
        made.score(GOOD)
        raise KeyboardInterrupt
    assert workers() == before


# What an oracle of someone else's may answer; a word says what it gets.
ODD = """
from mfal.types import Fidelity, Objective, Outcome, Problem

ANSWERS = {
    "none": lambda: None,
    "text": lambda: "1",
    "number": lambda: [1.0],
    "two": lambda: [Outcome((1.0, 2.0), None, 0.5)],
    "inf": lambda: [Outcome((float("inf"),), None, 0.5)],
    "words": lambda: [Outcome(("low",), None, 0.5)],
    "whole": lambda: [Outcome((3,), None, 0.5)],
    "tuple": lambda: (Outcome((4.0,), None, 0.5),),
    "failed": lambda: [Outcome(None, "no structure", 0.5)],
    "many": lambda: [Outcome((1.0,), None, 0.5)] * 2,
    "exit": lambda: __import__("os")._exit(3),
    "sys.exit": lambda: __import__("sys").exit(4),
    "odd error": lambda: _raise(Odd(1, 2)),
    "timeout": lambda: _raise(TimeoutError("socket timed out")),
    "no tuple": lambda: [Outcome(1.0, None, 0.5)],
    "huge": lambda: [Outcome((10**400,), None, 0.5)],
    "no time": lambda: [Outcome((1.0,), None, float("nan"))],
}


class Odd(Exception):  # does not come back from a pickle
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def _raise(error):
    raise error


class Oracle:
    fidelities = (Fidelity("only", 1.0, 1.0),)
    objectives = (Objective("x", "u", "max"),)
    backends = {"only": "odd"}

    def evaluate(self, keys, fidelity):
        return [answer for key in keys for answer in ANSWERS[key]()] if len(keys) > 1 else (
            ANSWERS[keys[0]]()
        )


def problem():
    return Problem("odd", Oracle(), None)
"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., list[Outcome]]]:
    """Asks an oracle that answers as it is told to."""
    path = tmp_path_factory.mktemp("odd") / "odd_answers.py"
    path.write_text(ODD)
    made = Scorer(
        Component(name=f"{path}:problem"), [Fidelity("only", 1.0, 1.0)], 1, ScoringConfig()
    )
    yield lambda *keys: made.score([Query(key, "only") for key in keys])
    made.close()


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("none", "the oracle returned a NoneType, not a list of outcomes"),
        ("text", "the oracle returned a str, not a list of outcomes"),
        ("number", "the oracle returned a float, not an Outcome"),
        ("two", "2 values for 1 objectives"),
        ("inf", "not a finite number: (inf,)"),
        ("words", "not numbers: values ('low',), seconds 0.5"),
        ("failed", "no structure"),
        ("many", "the oracle returned 2 outcomes for 1 candidates"),
        ("exit", "the oracle's process died (exit code 3)"),
        ("unheard of", "KeyError: 'unheard of'"),
        ("sys.exit", "SystemExit: 4"),
        ("odd error", "Odd: 1 and 2"),
        ("timeout", "TimeoutError: socket timed out"),
        ("no tuple", "not numbers: values 1.0, seconds 0.5"),
        ("huge", f"not numbers: values ({10**400},), seconds 0.5"),
        ("no time", "not a time: nan seconds"),
    ],
)
def test_what_is_no_answer_is_a_failure_that_says_so(
    odd: Callable[..., list[Outcome]], key: str, error: str
) -> None:
    (outcome,) = odd(key)
    assert outcome.values is None and outcome.error == error


@pytest.mark.parametrize(("key", "value"), [("whole", 3.0), ("tuple", 4.0)])
def test_answers_become_numbers_and_keep_their_time(
    odd: Callable[..., list[Outcome]], key: str, value: float
) -> None:
    (outcome,) = odd(key)
    assert outcome == Outcome((value,), None, 0.5)
    assert outcome.values is not None and type(outcome.values[0]) is float


def test_a_chunk_of_everything_at_once(odd: Callable[..., list[Outcome]]) -> None:
    outcomes = odd("whole", "none", "two", "exit", "tuple")
    assert values(outcomes) == [(3.0,), None, None, None, (4.0,)]
    assert [bool(outcome.error) for outcome in outcomes] == [False, True, True, True, False]


def test_all_objectives_must_be_answered() -> None:
    objectives = (*MotifOracle.objectives, Objective("other", "u", "min"))
    with scorer(Component(name=MOTIF), LADDER, len(objectives), ScoringConfig()) as made:
        outcomes = made.score(GOOD)
    assert {outcome.error for outcome in outcomes} == {"1 values for 2 objectives"}
    assert all(math.isfinite(outcome.seconds) for outcome in outcomes)
