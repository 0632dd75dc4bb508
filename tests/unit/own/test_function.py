import math
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from mfal import Fidelity, Objective, Outcome, oracle
from mfal.errors import ConfigError, TransientError, UnknownNameError
from mfal.own.function import FunctionOracle
from mfal.types import Oracle

LADDER = (Fidelity("low", 1, 0.5), Fidelity("high", 3, 1.0))
ONE = (Objective("length", "letters", "max"),)
TWO = (*ONE, Objective("vowels", "letters", "min"))


def make(function: Any, objectives: Sequence[Objective] = ONE, **options: Any) -> FunctionOracle:
    return oracle(fidelities=LADDER, objectives=objectives, **options)(function)


def answers(made: FunctionOracle, keys: Sequence[str] = ("a", "bb")) -> list[Any]:
    return [o.values or o.error for o in made.evaluate(keys, LADDER[0])]


def test_a_function_of_one_key_and_the_fidelity() -> None:
    def length(key: str, fidelity: Fidelity) -> float:
        """How long."""
        return len(key) * (2 if fidelity.name == "high" else 1)

    made = make(length, version="3")
    assert isinstance(made, Oracle)
    assert [o.values for o in made.evaluate(["a", "bb"], LADDER[0])] == [(1.0,), (2.0,)]
    assert [o.values for o in made.evaluate(["a", "bb"], LADDER[1])] == [(2.0,), (4.0,)]
    assert dict(made.backends) == {"low": "length 3", "high": "length 3"}
    assert made("abc", LADDER[1]) == 6 and made.__doc__ == "How long."


def test_a_function_of_many_is_called_once() -> None:
    seen: list[list[str]] = []

    def lengths(keys: Sequence[str]) -> list[int]:
        seen.append(list(keys))
        return [len(key) for key in keys]

    assert answers(make(lengths)) == [(1.0,), (2.0,)]
    assert seen == [["a", "bb"]]
    assert make(lengths).evaluate([], LADDER[0]) == [] and len(seen) == 1


@pytest.mark.parametrize("kind", [set, frozenset, lambda numbers: dict.fromkeys(numbers, 1.0)])
def test_answers_without_an_order_are_nobodys(kind: Any) -> None:
    def lengths(keys: Sequence[str]) -> Any:
        return kind(len(key) for key in keys)

    found = answers(make(lengths), ["bbbbbbbbb", "a"])
    assert all("not a list in the candidates' order" in reason for reason in found)


class Model:
    """A model that is called."""

    def __call__(self, key: str) -> float:
        return float(len(key))


def scaled(key: str, *, scale: float) -> float:
    return scale * len(key)


@pytest.mark.parametrize(
    ("function", "name"), [(Model(), "Model"), (partial(partial(scaled), scale=1.0), "scaled")]
)
def test_what_has_no_name_of_its_own_is_called_alike_in_every_process(
    function: Any, name: str
) -> None:
    assert dict(make(function).backends) == {"low": f"{name} 1", "high": f"{name} 1"}


def test_what_is_unannotated_has_to_be_said() -> None:
    with pytest.raises(ConfigError, match="one candidate or several") as raised:
        make(lambda key: 1.0)
    assert "key: str" in raised.value.hint
    assert answers(make(lambda key: len(key), batch=False)) == [(1.0,), (2.0,)]
    assert answers(make(lambda keys: [len(k) for k in keys], batch=True)) == [(1.0,), (2.0,)]


@pytest.mark.parametrize(
    ("returned", "n", "expected"),
    [
        (3, 1, (3.0,)),
        (np.float32(0.5), 1, (0.5,)),
        (torch.tensor(2.0), 1, (2.0,)),
        ((1, 2.5), 2, (1.0, 2.5)),
        (Outcome(None, "too long", 0.1), 1, "too long"),
        (Outcome((7.0,), None, 0.1), 1, (7.0,)),
        (math.nan, 1, "returned nan, which is not finite"),
        ((1.0, -math.inf), 2, "returned (1.0, -inf), which is not finite"),
        (-1e200, 1, "returned -1e+200, which is too large to be a value"),
        (None, 1, "returned None, which is no number"),
        ("3", 1, "returned the text '3', which is no number"),
        (True, 1, "returned True, which is no number"),
        (np.True_, 1, f"returned {np.True_!r}, which is no number"),
        (torch.tensor(True), 1, "returned tensor(True), which is no number"),
        (10**400, 1, f"returned {10**400}, which is no number"),
        (np.full((1, 2), 1.3), 1, "returned ndarray of shape (1, 2), which is no number"),
        (torch.ones(3), 1, "returned Tensor of shape (3,), which is no number"),
        (1.0, 2, "returned 1 numbers for 2 objectives"),
        ((1.0, 2.0), 1, "returned 2 numbers for 1 objectives"),
    ],
)
def test_what_is_returned_becomes_an_outcome(returned: Any, n: int, expected: Any) -> None:
    def one(key: str) -> Any:
        return returned

    def many(keys: list[str]) -> Any:
        return [returned for _ in keys]

    for function in (one, many):
        assert answers(make(function, TWO[:n])) == [expected, expected]


def test_an_exception_fails_its_candidate_only() -> None:
    calls: list[int] = []

    def one(key: str) -> float:
        return float(key)

    def many(keys: Sequence[str]) -> list[float]:
        calls.append(len(keys))
        return [float(key) for key in keys]

    expected = [(1.0,), "ValueError: could not convert string to float: 'x'", (2.0,)]
    assert answers(make(one), ["1", "x", "2"]) == expected
    assert answers(make(many), ["1", "x", "2"]) == expected
    assert calls == [3, 1, 1, 1]


def test_a_transient_failure_is_left_to_whoever_asks() -> None:
    def one(key: str) -> float:
        raise TransientError("no licence left")

    def many(keys: Sequence[str]) -> list[float]:
        raise TransientError("no licence left")

    for function in (one, many):
        with pytest.raises(TransientError, match="no licence left"):
            answers(make(function))


def test_the_wrong_number_of_answers_belongs_to_nobody() -> None:
    def many(keys: Sequence[str]) -> list[float]:
        return [1.0 for key in keys if key != "x"]

    expected = [(1.0,), "returned 0 answers for 1 candidates"]
    assert answers(make(many), ["a", "x"]) == expected


def test_seconds_are_measured() -> None:
    import time

    def one(key: str) -> float:
        time.sleep(0.02)
        return 1.0

    (found,) = make(one).evaluate(["a"], LADDER[0])
    assert 0.02 <= found.seconds < 5


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (lambda: 1.0, {"batch": False}, "is called with a candidate"),
        (lambda key, fidelity, more: 1.0, {"batch": False}, "is called with a candidate"),
        (lambda key, *, more: 1.0, {"batch": False}, "is called with a candidate"),
        (lambda key: 1.0, {"batch": False, "objectives": ()}, "has the objectives"),
        (lambda key: 1.0, {"batch": False, "objectives": ONE * 2}, "has the objectives"),
        (lambda key: 1.0, {"batch": False, "fidelities": LADDER[:1]}, "levels"),
    ],
)
def test_bad_declarations_are_refused(function: Any, options: Any, message: str) -> None:
    given = {"fidelities": LADDER, "objectives": ONE} | options
    with pytest.raises(ConfigError, match=message):
        oracle(**given)(function)


@pytest.mark.parametrize(
    "name",
    ["round", "candidate", "description", "fidelity", "cost", "seconds", "backend", "error"],
)
def test_an_objective_has_the_name_of_no_other_column(name: str) -> None:
    with pytest.raises(ConfigError, match=f"has the objective '{name}'") as raised:
        make(lambda key: 1.0, [*ONE, Objective(name, "s", "min")], batch=False)
    assert "seconds" in raised.value.hint


def test_an_unknown_fidelity_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="low, high"):
        make(lambda key: 1.0, batch=False).evaluate(["a"], Fidelity("middle", 1, 0.7))


def test_the_words_of_a_problem_do_not_load_torch() -> None:
    code = "import sys; from mfal import oracle, external, manual; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_manual_fidelity_has_a_name_fit_for_a_file() -> None:
    with pytest.raises(ConfigError, match="part of a file's"):
        Fidelity("../assay", 1, 1.0, manual=True)
    assert Fidelity("../model", 1, 1.0).name == "../model"
