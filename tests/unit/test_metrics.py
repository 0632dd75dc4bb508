import random
from collections.abc import Sequence
from typing import Any, Literal

import pytest

from mfal.budget import total_cost
from mfal.metrics import CurvePoint, best, cost_shares, curve, in_order, measured, utility
from mfal.types import Fidelity, Objective, Observation, Outcome, Query

LOWEST = Objective("energy", "kcal/mol", "min")
HIGHEST = Objective("agreement", "places", "max")


def observed(
    key: str, value: float | None, *, at: str = "target", number: int = 0, cost: float = 1.0
) -> Observation:
    error = "it broke" if value is None else None
    values = None if value is None else (value,)
    return Observation(Query(key, at), Outcome(values, error, 0.0), number, cost, "engine")


SOME = [
    observed("c", 3.0),
    observed("failed", None),
    observed("cheap", -100.0, at="low"),
    observed("dear", 100.0, at="low"),
    observed("a", 1.0),
    observed("b", 2.0),
]


@pytest.mark.parametrize(
    ("objective", "k", "keys", "mean"),
    [
        (LOWEST, 2, ["a", "b"], 1.5),
        (HIGHEST, 2, ["c", "b"], 2.5),
        (LOWEST, 1, ["a"], 1.0),
        (HIGHEST, 9, ["c", "b", "a"], 2.0),
    ],
)
def test_the_best_at_the_target_and_their_mean(
    objective: Objective, k: int, keys: list[str], mean: float
) -> None:
    assert [o.query.key for o in best(SOME, "target", objective, k)] == keys
    assert measured(SOME, "target", objective).top(k).mean() == mean


@pytest.mark.parametrize("goal", ["min", "max"])
def test_ties_go_by_key_whatever_the_order_of_the_ledger(goal: Literal["min", "max"]) -> None:
    tied = [observed(key, 1.0) for key in ("d", "b", "c", "a")]
    objective = Objective("x", "u", goal)
    for rows in (tied, tied[::-1]):
        assert [o.query.key for o in best(rows, "target", objective, 3)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("objective", "keys"),
    [
        (LOWEST, ["a", "b", "also", "c", "failed", "cheap", "dear"]),
        (HIGHEST, ["also", "c", "b", "a", "failed", "dear", "cheap"]),
    ],
)
def test_a_batch_goes_by_fidelity_then_value_then_key(
    objective: Objective, keys: list[str]
) -> None:
    ladder = [Fidelity("low", 1.0, 0.5), Fidelity("target", 3.0, 1.0)]
    rows = [*SOME, observed("also", 3.0)]
    for batch in (rows, rows[::-1]):
        assert [o.query.key for o in in_order(batch, ladder, objective)] == keys


def test_without_an_answer_at_the_target_there_is_no_mean() -> None:
    rest = [o for o in SOME if o.query.key in ("failed", "cheap")]
    assert best(rest, "target", LOWEST, 3) == []
    assert measured(rest, "target", LOWEST).mean() is None


def test_a_failure_has_no_utility() -> None:
    assert utility(observed("a", 2.0), LOWEST) == -2.0
    assert utility(observed("a", 2.0), HIGHEST) == 2.0
    with pytest.raises(ValueError, match="failed"):
        utility(observed("a", None), LOWEST)


def test_only_the_first_objective_counts() -> None:
    two = Observation(Query("a", "target"), Outcome((1.0, 9.0), None, 0.0), 0, 1.0, "engine")
    assert measured([two], "target", HIGHEST).by_key == {"a": 1.0}


def test_a_curve_by_hand() -> None:
    rows = [
        observed("x", 5.0, at="low", number=0, cost=0.1),
        observed("a", -1.0, number=1, cost=0.1),
        observed("b", None, number=1, cost=0.1),
        observed("c", -4.0, number=3, cost=7.0),
        observed("d", -2.0, number=3, cost=7.0),
    ]
    expected = [
        CurvePoint(round=0, cost=0.1, top_k=None, n_target=0),
        # 0.1 + 0.1 + 0.1 is 0.30000000000000004 in floating point; money is not.
        CurvePoint(round=1, cost=0.3, top_k=-1.0, n_target=1),
        CurvePoint(round=3, cost=14.3, top_k=-3.0, n_target=3),
    ]
    assert curve(rows, "target", LOWEST, 2) == expected
    assert curve(rows[::-1], "target", LOWEST, 2) == expected
    assert curve([], "target", LOWEST, 2) == []


def test_a_curve_never_gets_worse_once_there_are_k_answers() -> None:
    values = [3.0, -1.0, 4.0, 1.0, -5.0, 9.0, 2.0, -6.0]
    rows = [observed(f"k{i}", value, number=i) for i, value in enumerate(values)]
    for objective in (LOWEST, HIGHEST):
        points = [p.top_k for p in curve(rows, "target", objective, 2)][1:]
        utilities = [p * objective.sign for p in points if p is not None]
        assert utilities == sorted(utilities) and len(utilities) == 7


def some_rounds(n: int, rounds: int, seed: int) -> list[Observation]:
    """Answers of all kinds, few enough values for ties, in no order of rounds."""
    draw = random.Random(seed)
    return [
        observed(
            f"k{i}",
            draw.choice([None, 0.1, 0.2, 0.3, draw.uniform(-1e3, 1e3), draw.gauss(0, 1e-3)]),
            at=draw.choice(["target", "low"]),
            number=draw.randrange(rounds),
            cost=draw.choice([0.1, 0.35, 1 / 3, 7.0]),
        )
        for i in range(n)
    ]


@pytest.mark.parametrize("objective", [LOWEST, HIGHEST])
@pytest.mark.parametrize("k", [1, 3, 1000])
def test_a_curve_is_its_definition_to_the_last_digit(objective: Objective, k: int) -> None:
    rows = some_rounds(300, 40, seed=k)
    plain = []
    for number in sorted({o.round for o in rows}):
        until = [o for o in rows if o.round <= number]
        strict = measured(until, "target", objective)
        plain.append(
            CurvePoint(
                round=number,
                cost=total_cost(o.cost for o in until),
                top_k=strict.top(k).mean(),
                n_target=len(strict),
            )
        )
    assert curve(rows, "target", objective, k) == plain


class Read(Sequence[Observation]):
    """Observations, and how many of them were looked at."""

    def __init__(self, rows: list[Observation]) -> None:
        self.rows, self.n = rows, 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: Any) -> Any:
        self.n += 1
        return self.rows[i]


def test_a_curve_looks_no_oftener_at_an_answer_for_more_rounds() -> None:
    looks = []
    for rounds in (2, 200):
        rows = Read(some_rounds(400, rounds, seed=0))
        curve(rows, "target", LOWEST, 10)
        looks.append(rows.n)
    assert looks[0] == looks[1]


def test_shares_are_of_what_was_spent_however_little() -> None:
    rungs = (Fidelity("low", 1, 0.3), Fidelity("middle", 3, 0.6), Fidelity("high", 7, 1.0))
    seen = [observed("a", 1.0, at="low", cost=0.01), observed("a", 1.0, at="high", cost=0.03)]
    assert cost_shares(seen, rungs) == {"low": 0.25, "middle": 0.0, "high": 0.75}
