"""Which queries have a value, as learnt from those that failed."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from mfal.dataset import success_dataset
from mfal.diagnostics import expected_failures
from mfal.feasibility import LEAST, Feasibility, learn_feasibility
from mfal.reference import attainable
from mfal.surrogate.gp import MultiFidelityGP
from mfal.types import Fidelity, Observation, Outcome, Query

LADDER = (Fidelity("low", 1.0, 0.5), Fidelity("high", 7.0, 1.0))


def numbers(keys: Sequence[str]) -> Tensor:
    """A candidate is a number; that is its only feature."""
    return torch.tensor([[float(key)] for key in keys], dtype=torch.float64)


def answered(key: float, fidelity: str, *, fails: bool) -> Observation:
    outcome = Outcome(None, "fell apart", 0.1) if fails else Outcome((key,), None, 0.1)
    return Observation(Query(f"{key:g}", fidelity), outcome, 0, 1.0, "test")


def ledger() -> list[Observation]:
    """At the target all above 10 fail, below it none."""
    low = [answered(x, "low", fails=False) for x in range(0, 21)]
    high = [answered(x, "high", fails=x > 10) for x in range(0, 21, 2)]
    return [*low, *high]


def learn(observations: Sequence[Observation]) -> Feasibility | None:
    return learn_feasibility(observations, LADDER, numbers, MultiFidelityGP(), seed=0)


def test_the_data_are_ones_and_zeros_of_all_that_was_asked() -> None:
    asked = [o for o in ledger() if o.query.fidelity == "high"]
    data = success_dataset(asked, LADDER[1], numbers)
    assert len(data) == len(data.keys) == 11
    assert data.utility.tolist() == [1.0] * 6 + [0.0] * 5


def test_nothing_is_learnt_where_nothing_failed() -> None:
    assert learn([o for o in ledger() if o.outcome.error is None]) is None


def test_candidates_like_those_that_failed_will_probably_fail() -> None:
    feasibility = learn(ledger())
    assert feasibility is not None
    probability = feasibility(["2.5", "3.5", "5.5", "15.5", "16.5", "18.5"])
    assert probability.shape == (6, 2)
    assert (probability[:3, 1] > 0.8).all() and (probability[3:, 1] < 0.2).all()
    assert probability[:, 0].tolist() == pytest.approx([22 / 23] * 6)  # none of 21 failed there
    assert ((probability >= LEAST) & (probability <= 1)).all()


def failing_below() -> list[Observation]:
    """All above 10 fail, and that shows at the lower fidelity; two were asked at both."""
    low = [answered(x, "low", fails=x > 10) for x in range(0, 21)]
    return [*low, answered(3, "high", fails=False), answered(17, "high", fails=True)]


def test_what_fails_below_will_fail_at_the_target() -> None:
    feasibility = learn(failing_below())
    assert feasibility is not None
    probability = feasibility(["2.5", "5.5", "15.5", "17.5"])
    # Of the one that did not fail below, one had a value at the target: Laplace's 2 / 3.
    assert torch.allclose(probability[:, 1], (probability[:, 0] * 2 / 3).clamp_min(LEAST))
    assert (probability[:2, 0] > 0.8).all() and (probability[2:, 0] < 0.2).all()


def test_no_candidate_is_looked_at_twice() -> None:
    seen: list[str] = []

    def looked_at(keys: Sequence[str]) -> Tensor:
        seen.extend(keys)
        return numbers(keys)

    feasibility = learn_feasibility(ledger(), LADDER, looked_at, MultiFidelityGP(), seed=0)
    assert feasibility is not None
    seen.clear()
    first = feasibility(["2.5", "15.5", "2"])
    again = feasibility(["15.5", "7.5", "2.5", "15.5"])
    assert seen == ["2.5", "15.5", "2", "7.5"]
    assert torch.equal(again[[2, 0, 3]], first[[0, 1, 1]])
    assert feasibility([]).shape == (0, 2)


def test_what_became_of_a_candidate_is_known() -> None:
    feasibility = learn(failing_below())
    assert feasibility is not None
    unknown = feasibility(["2.5"])[0]
    at_low_alone, at_both, failed_low, failed_both = feasibility(["2", "3", "16", "17"])
    assert at_low_alone.tolist() == [1.0, pytest.approx(2 / 3)]
    assert unknown[1] < at_low_alone[1]
    assert at_both.tolist() == [1.0, 1.0]
    assert failed_low.tolist() == failed_both.tolist() == [LEAST, LEAST]


def test_a_value_speaks_for_the_fidelities_below() -> None:
    chained = learn([*failing_below(), answered(30, "high", fails=False)])
    assert chained is not None
    assert chained(["30"]).tolist() == [[1.0, 1.0]]
    # Not where a candidate was seen to fail below and not above.
    apart = learn([*failing_below(), *(answered(x, "high", fails=False) for x in (15, 30))])
    assert apart is not None
    assert apart(["15"]).tolist() == [[LEAST, 1.0]]
    assert apart(["30"])[0, 0] < 1


def test_fidelities_stand_for_themselves_once_one_had_a_value_above_a_failure() -> None:
    feasibility = learn([*failing_below(), answered(15, "high", fails=False)])
    assert feasibility is not None
    probability = feasibility(["2.5", "15.5"])
    assert probability[1, 0] < 0.2 < 0.4 < probability[1, 1]


@pytest.mark.parametrize(
    ("probability", "rate", "is_probable"),
    [(0.55, 0.9, True), (0.45, 0.9, False), (0.3, 0.25, True), (0.2, 0.25, False)],
)
def test_probable_is_more_than_not_or_than_what_was_asked(
    probability: float, rate: float, is_probable: bool
) -> None:
    feasibility = Feasibility([1.0, probability], numbers, rate, chained=True)
    assert feasibility.is_probable(["1", "2"]) == [is_probable] * 2


def test_what_is_good_enough_is_judged_by_what_probably_has_a_value() -> None:
    feasibility = learn(ledger())
    assert attainable(["2", "17", "3"], feasibility) == ["2", "3"]
    assert attainable(["17", "18"], feasibility) == ["17", "18"]
    assert attainable(["2", "17"], None) == ["2", "17"]


def test_where_nearly_all_failed_others_than_the_known_are_probable() -> None:
    # One in four has a value, here and there, so that nowhere it is more probable than not.
    asked = [answered(x, "high", fails=x % 4 > 0) for x in range(40)]
    feasibility = learn(asked)
    assert feasibility is not None
    fresh = [f"{x + 0.5:g}" for x in range(40)]
    assert feasibility(fresh)[:, 1].max() < 0.5
    assert any(feasibility.is_probable(fresh))


def test_a_batch_says_how_many_will_fail() -> None:
    def feasibility(keys: Sequence[str]) -> Tensor:
        return torch.tensor([[0.9, 0.5]], dtype=torch.float64).expand(len(keys), 2)

    queries = [Query("1", "low"), Query("2", "high"), Query("3", "high")]
    found = expected_failures(queries, LADDER, feasibility)
    assert found == pytest.approx({"low": 0.1, "high": 1.0})
    assert expected_failures(queries, LADDER, None) == {}
    assert expected_failures([], LADDER, feasibility) == {}


def test_where_all_failed_one_probability_is_left() -> None:
    feasibility = learn([answered(x, "high", fails=True) for x in range(3)])
    assert feasibility is not None
    assert feasibility(["0.5", "7"]).tolist() == [pytest.approx([1.0, 0.2])] * 2


def test_too_few_tell_no_candidates_apart(caplog: pytest.LogCaptureFixture) -> None:
    feasibility = learn([answered(0, "high", fails=False), answered(1, "high", fails=True)])
    assert feasibility is not None
    assert feasibility(["0.5", "1.5"])[:, 1].tolist() == [0.5, 0.5]
    assert "failures at high tell no candidates apart: 2 observations" in caplog.text
