import dataclasses
import pickle
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mfal.errors import ConfigError, LedgerError
from mfal.types import Fidelity, Objective, Oracle, Outcome, Problem, Query, aim, check_ladder
from tests.problems.motif import MotifOracle, problem


@pytest.mark.parametrize("cost", [0, -1.0, float("inf"), float("nan")])
def test_a_cost_is_finite_and_above_zero(cost: float) -> None:
    with pytest.raises(ConfigError, match="'cheap': cost is"):
        Fidelity("cheap", cost, 1.0)


@pytest.mark.parametrize("number", ["1", None, True, [1]])
def test_a_cost_and_a_level_are_numbers(number: Any) -> None:
    with pytest.raises(ConfigError, match=f"'low': cost is {re.escape(repr(number))}"):
        Fidelity("low", number, 1.0)
    with pytest.raises(ConfigError, match=f"'low': level is {re.escape(repr(number))}"):
        Fidelity("low", 1.0, number)


def test_numbers_of_numpy_are_numbers() -> None:
    assert Fidelity("low", np.float32(2), np.int64(1)).cost == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [3, "", None])
def test_names_are_texts(name: Any) -> None:
    for make in (
        lambda: Fidelity(name, 1.0, 1.0),
        lambda: Objective(name, "eV", "min"),
        lambda: Problem(name, problem().oracle, problem().environment),
    ):
        with pytest.raises(ConfigError, match=f"{name!r}: its name is no text"):
            make()


def test_a_fidelity_has_a_name_that_every_ledger_can_keep() -> None:
    assert Fidelity("é" * 64, 1.0, 1.0).name == "é" * 64
    with pytest.raises(ConfigError, match="its name has 65 letters") as raised:
        Fidelity("f" * 65, 1.0, 1.0)
    assert "at most 64" in raised.value.hint


@pytest.mark.parametrize("goal", ["minimize", "minimise", "MIN", "", None, ["min"]])
def test_a_goal_is_min_or_max(goal: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        Objective("loss", "eV", goal)
    assert raised.value.message == f"objective 'loss': goal is {goal!r}"
    assert raised.value.hint == "write min or max"


def test_the_first_objective_is_the_aim_and_the_others_are_recorded() -> None:
    energy, price = Objective("energy", "eV", "min"), Objective("price", "1", "min")
    assert aim([energy]) == "energy (eV): lower is better"
    both = "yield: higher is better; recorded and not optimised: energy (eV), price"
    assert aim([Objective("yield", "", "max"), energy, price]) == both


def test_a_unit_is_a_text() -> None:
    with pytest.raises(ConfigError, match="objective 'loss': unit is 1\n"):
        Objective("loss", 1, "min")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("unit", "suffix", "label"),
    [("eV", " eV", "gap (eV)"), ("1", "", "gap"), ("", "", "gap")],
)
def test_a_unit_is_shown_where_there_is_one(unit: str, suffix: str, label: str) -> None:
    objective = Objective("gap", unit, "min")
    assert (objective.suffix, objective.label) == (suffix, label)


@pytest.mark.parametrize("level", [0, -0.5, 1.01, float("inf"), float("nan")])
def test_a_level_lies_above_zero_and_up_to_one(level: float) -> None:
    with pytest.raises(ConfigError, match="'cheap': level is"):
        Fidelity("cheap", 1.0, level)


def test_the_least_and_the_greatest_that_a_fidelity_may_be() -> None:
    assert Fidelity("cheap", 1e-300, 1e-300).level < Fidelity("target", 1e300, 1.0).level


@pytest.mark.parametrize(
    "levels", [(0.5, 1.0), (1.0,), (0.1, 0.2, 0.3, 1)], ids=lambda levels: len(levels)
)
def test_rising_ladders_that_end_at_the_target_are_accepted(levels: Sequence[float]) -> None:
    check_ladder([Fidelity(f"f{i}", 1.0, level) for i, level in enumerate(levels)])


@pytest.mark.parametrize(
    ("rungs", "said"),
    [
        ([], "the ladder has the fidelities"),
        ([("a", 0.5), ("a", 1.0)], "the ladder has the fidelities"),
        ([("a", 0.5), ("b", 0.9)], "the levels of the ladder are"),
        ([("a", 1.0), ("b", 0.5)], "the levels of the ladder are"),
        ([("a", 0.5), ("b", 0.5), ("c", 1.0)], "the levels of the ladder are"),
        ([("a", 1.0), ("b", 1.0)], "the levels of the ladder are"),
    ],
)
def test_other_ladders_are_refused(rungs: list[tuple[str, float]], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_ladder([Fidelity(name, 1.0, level) for name, level in rungs])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"oracle": len},
            "'odd': its oracle, a builtin_function_or_method, has no fidelities, obj",
        ),
        ({"environment": 3}, "'odd': environment is 3"),
        ({"fidelities": ("low",)}, "the ladder: 'low' is no Fidelity"),
        ({"fidelities": Fidelity("low", 1, 1.0)}, r"the ladder: Fidelity\(.*\) is no list"),
        ({"objectives": ("yield",)}, "'odd': 'yield' is no Objective"),
        ({"objectives": ()}, r"'odd' has the objectives \[\]"),
        ({"objectives": (Objective("e", "", "min"),) * 2}, r"has the objectives \['e', 'e'\]"),
    ],
)
def test_a_problem_of_other_parts_is_refused(changed: dict[str, Any], said: str) -> None:
    oracle: Any = MotifOracle(None, 0, "", "")
    for name in changed.keys() & {"fidelities", "objectives"}:
        setattr(oracle, name, changed[name])
    parts = {"oracle": oracle, "environment": problem().environment} | changed
    with pytest.raises(ConfigError, match=said):
        Problem("odd", parts["oracle"], parts["environment"])


def test_a_problem_checks_its_ladder() -> None:
    class Upside(MotifOracle):
        fidelities = (Fidelity("whole", 3.0, 1.0), Fidelity("half", 1.0, 0.5))

    with pytest.raises(ConfigError, match="levels of the ladder"):
        Problem("upside down", Upside(None, 0, "", ""), problem().environment)


@pytest.mark.parametrize("both_or_none", [(None, None), ((1.0,), "it broke")])
def test_an_outcome_has_either_values_or_an_error(both_or_none: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match="either values or an error"):
        Outcome(*both_or_none, seconds=0.0)
    assert Outcome((), None, 0.0).error is None
    assert Outcome(None, "", 0.0).values is None


def test_signs_turn_values_into_utilities() -> None:
    assert Objective("energy", "kcal/mol", "min").sign == -1
    assert Objective("agreement", "places", "max").sign == 1


def test_what_crosses_to_a_worker_is_frozen_and_survives_pickling() -> None:
    for value in (Query("A", "low"), Fidelity("low", 1.0, 0.5), Outcome((1.5,), None, 0.1)):
        assert pickle.loads(pickle.dumps(value)) == value
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, dataclasses.fields(value)[0].name, "other")


def test_errors_keep_their_hint_when_pickled() -> None:
    error = pickle.loads(pickle.dumps(LedgerError("it is in use", "wait")))
    assert isinstance(error, LedgerError)
    assert (error.message, error.hint) == ("it is in use", "wait")
    assert str(error) == "it is in use\n  hint: wait"
    assert str(LedgerError("it is in use")) == "it is in use"


def test_the_value_of_an_outcome_is_that_of_the_first_objective() -> None:
    assert Outcome((1.5, 9.0), None, 0.0).value == 1.5
    assert Outcome(None, "it broke", 0.0).value is None


def test_queries_sort_by_key_then_fidelity() -> None:
    queries = [Query("B", "a"), Query("A", "b"), Query("A", "a")]
    assert sorted(queries) == [Query("A", "a"), Query("A", "b"), Query("B", "a")]


def test_the_protocol_tells_an_oracle_from_what_is_none() -> None:
    assert isinstance(problem().oracle, Oracle)
    assert not isinstance(problem(), Oracle)
