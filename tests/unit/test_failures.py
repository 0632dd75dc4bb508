"""What failures say of candidates at other fidelities."""

from mfal.failures import failed_candidates
from mfal.types import Fidelity, Observation, Outcome, Query

LADDER = (Fidelity("low", 1.0, 0.5), Fidelity("high", 7.0, 1.0))


def answered(key: str, fidelity: str, *, fails: bool) -> Observation:
    outcome = Outcome(None, "fell apart", 0.1) if fails else Outcome((1.0,), None, 0.1)
    return Observation(Query(key, fidelity), outcome, 0, 1.0, "test")


BELOW = [
    answered("a", "low", fails=False),
    answered("b", "low", fails=True),
    answered("c", "low", fails=True),
    answered("a", "high", fails=False),
    answered("c", "high", fails=True),
]


def test_what_failed_below_has_no_value_at_the_target() -> None:
    assert failed_candidates(BELOW, LADDER) == {"b", "c"}


def test_unless_another_had_one_above_its_failure() -> None:
    above = [*BELOW, answered("b", "high", fails=False)]
    assert failed_candidates(above, LADDER) == {"c"}


def test_nothing_has_failed_where_all_have_values() -> None:
    assert failed_candidates(BELOW[:1], LADDER) == set()
