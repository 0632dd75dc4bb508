"""Oracles of other people, and what becomes of the odd things they answer."""

from collections.abc import Callable, Iterator

import pytest

from mfal.scoring.scorer import Scorer
from mfal.sections import Component, ScoringConfig
from mfal.types import Fidelity, Outcome, Query
from tests.support import score

ONLY = [Fidelity("only", 1.0, 1.0)]

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
    "written": lambda: [Outcome(("5.0",), None, 0.5)],
    "true": lambda: [Outcome((True,), None, 0.5)],
    "too large": lambda: [Outcome((-1e200,), None, 0.5)],
    "blank": lambda: [Outcome(None, " \\n", 0.5)],
    "failed": lambda: [Outcome(None, "no structure", 0.5)],
    "letters": lambda: [Outcome(None, "cannot open \\udcff\\0", 0.5)],
    "many": lambda: [Outcome((1.0,), None, 0.5)] * 2,
    "exit": lambda: __import__("os")._exit(3),
    "sys.exit": lambda: __import__("sys").exit(4),
    "odd error": lambda: _raise(Odd(1, 2)),
    "timeout": lambda: _raise(TimeoutError("socket timed out")),
    "no tuple": lambda: [Outcome(1.0, None, 0.5)],
    "huge": lambda: [Outcome((10**400,), None, 0.5)],
    "no time": lambda: [Outcome((1.0,), None, float("nan"))],
    "negative": lambda: [Outcome((1.0,), None, -1.0)],
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
    return Problem("odd", Oracle(), lambda: None)
"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., list[Outcome]]]:
    """Asks an oracle that answers as it is told to."""
    path = tmp_path_factory.mktemp("odd") / "odd_answers.py"
    path.write_text(ODD)
    made = Scorer(Component(name=f"{path}:problem"), ONLY, 1, ScoringConfig())
    yield lambda *keys: score(made, [Query(key, "only") for key in keys])
    made.close()


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("none", "the oracle returned a NoneType, not a list of outcomes"),
        ("text", "the oracle returned a str, not a list of outcomes"),
        ("number", "the oracle returned a float, not an Outcome"),
        ("two", "returned 2 numbers for 1 objectives"),
        ("inf", "returned inf, which is not finite"),
        ("words", "returned the text 'low', which is no number"),
        ("written", "returned the text '5.0', which is no number"),
        ("true", "returned True, which is no number"),
        ("too large", "returned -1e+200, which is too large to be a value"),
        ("blank", "no reason given"),
        ("failed", "no structure"),
        ("letters", "cannot open \\udcff\\x00"),
        ("many", "the oracle returned 2 outcomes for 1 candidates"),
        ("exit", "the oracle's process died (exit code 3)"),
        ("unheard of", "KeyError: 'unheard of'"),
        ("sys.exit", "SystemExit: 4"),
        ("odd error", "Odd: 1 and 2"),
        ("timeout", "TimeoutError: socket timed out"),
        ("no tuple", "not a tuple of values: 1.0"),
        ("huge", f"returned {10**400}, which is no number"),
        ("no time", "not a time: nan seconds"),
        ("negative", "not a time: -1.0 seconds"),
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
    assert [outcome.values for outcome in outcomes] == [(3.0,), None, None, None, (4.0,)]
    assert [bool(outcome.error) for outcome in outcomes] == [False, True, True, True, False]
