"""The initial design: exact counts, never a unit too much, and nested."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfal.budget import exact
from mfal.campaign import check_money
from mfal.config import parse_config
from mfal.design import MOST, counts_by_share, initial_counts, missing_counts, nested_design
from mfal.errors import BudgetError, ConfigError
from mfal.types import Fidelity, Query
from tests.support import motif_settings

NAMES = ("low", "middle", "high")


def ladder(*costs: float) -> tuple[Fidelity, ...]:
    names = NAMES[-len(costs) :]
    return tuple(
        Fidelity(name, cost, (i + 1) / len(costs))
        for i, (name, cost) in enumerate(zip(names, costs, strict=True))
    )


@pytest.mark.parametrize(
    ("amount", "costs", "counts"),
    [
        # 11 for one of each; 109 are left, 36 1/3 each: 36, 12 and 5 more, which costs 118.
        # The last 2 buy no target and no middle, so two more at the lowest.
        (120, (1, 3, 7), (39, 13, 6)),
        # 111 for one of each, 39 left: 13, 1 and 0 more; 16 left: one middle, six low.
        (150, (1, 10, 100), (20, 3, 1)),
        (11, (1, 3, 7), (1, 1, 1)),
        (17, (1, 3, 7), (4, 2, 1)),
        # A dear low rung bounds the cheap one above it.
        (26, (10, 1), (2, 2)),
        (0.6, (0.1, 0.2), (2, 2)),
        (3.0, (0.1,), (30,)),
        (5, (7 / 8,), (5,)),
    ],
)
def test_counts_by_hand(amount: float, costs: tuple[float, ...], counts: tuple[int, ...]) -> None:
    rungs = ladder(*costs)
    assert tuple(counts_by_share(amount, rungs).values()) == counts
    assert list(counts_by_share(amount, rungs)) == [f.name for f in rungs]


@settings(max_examples=200, deadline=None)
@given(
    costs=st.lists(st.integers(1, 400).map(lambda n: n / 100), min_size=1, max_size=3),
    more=st.integers(0, 20000).map(lambda n: n / 100),
)
def test_counts_never_overspend_are_nested_and_leave_nothing_that_buys(
    costs: list[float], more: float
) -> None:
    rungs = ladder(*costs)
    amount = float(sum(map(exact, costs)) + exact(more))
    counts = list(counts_by_share(amount, rungs).values())
    left = exact(amount) - sum(n * exact(c) for n, c in zip(counts, costs, strict=True))
    assert left >= 0
    assert counts == sorted(counts, reverse=True) and counts[-1] >= 1
    for i, cost in enumerate(costs):
        assert exact(cost) > left or (i > 0 and counts[i] == counts[i - 1])


def test_a_share_is_of_the_whole_budget(tmp_path: Path) -> None:
    config = parse_config(motif_settings(tmp_path, initial={"share": 0.15}, budget__total=200))
    rungs = ladder(1, 3)
    # 30: 4 for one of each, 26 left, 13 each: 13 and 4 more cost 25; one more at the lower.
    assert initial_counts(config, rungs) == {"middle": 15, "high": 5}
    poor = parse_config(motif_settings(tmp_path, initial={"share": 0.01}, budget__total=200))
    with pytest.raises(BudgetError, match=r"c.yaml: initial.share: 0.01 of the budget is 2, and"):
        initial_counts(poor, rungs, "c.yaml")


def test_given_counts_are_taken_as_they_are(tmp_path: Path) -> None:
    config = parse_config(motif_settings(tmp_path, initial={"queries": {"high": 3, "middle": 9}}))
    assert list(initial_counts(config, ladder(1, 3)).items()) == [("middle", 9), ("high", 3)]


@pytest.mark.parametrize(
    ("initial", "costs", "field"),
    [
        ({"queries": {"middle": 100_000_000, "high": 6}}, (1, 3), "queries.middle"),
        ({"queries": {"middle": 1, "high": MOST + 1}}, (1, 3), "queries.high"),
        ({"share": 0.3}, (1e-9, 3), "share"),
        ({"share": 0.3}, (1e-30, 3), "share"),
        ({"share": 0.3}, (5e-324, 3), "share"),
        ({"share": 1}, (1000, 1e-30), "share"),  # bounded by the dear rung, and bought in turn
    ],
)
def test_a_design_that_nobody_could_draw_is_refused_at_once(
    tmp_path: Path, initial: dict[str, object], costs: tuple[float, ...], field: str
) -> None:
    config = parse_config(motif_settings(tmp_path, initial=initial, budget__total=1e12))
    with pytest.raises(ConfigError) as raised:
        initial_counts(config, ladder(*costs), "c.yaml")
    assert f"c.yaml: initial.{field}: makes a design of more than 100000" in raised.value.message
    assert "initial.queries" in raised.value.hint


@pytest.mark.parametrize("price", [1e-15, 1e-30, 5e-324])
@pytest.mark.parametrize("batch", [{"cost": 12}, {"queries": 3}])
def test_a_price_that_is_nothing_beside_a_round_is_refused(
    tmp_path: Path, batch: dict[str, object], price: float
) -> None:
    config = parse_config(motif_settings(tmp_path, batch=batch))
    check_money(config, ladder(1e-9, 3), "c.yaml")
    with pytest.raises(ConfigError, match=r"c.yaml: costs: a query at 'middle' costs") as raised:
        check_money(config, ladder(price, 3), "c.yaml")
    assert "costs.middle" in raised.value.hint


def test_the_largest_design_is_counted_and_no_larger_one(tmp_path: Path) -> None:
    rungs = ladder(0.001, 300)
    # 300.001 for one of each; the rest is no whole 300, and buys at the lower one by one.
    assert counts_by_share(300.001 + 99.999, rungs) == {"middle": MOST, "high": 1}
    config = parse_config(motif_settings(tmp_path, initial={"share": 1}, budget__total=400.001))
    with pytest.raises(ConfigError, match=r"initial\.share: makes a design of more than"):
        initial_counts(config, rungs)


def test_a_design_dearer_than_the_budget_by_its_last_digit_is_refused(tmp_path: Path) -> None:
    changes = {"initial": {"queries": {"middle": 3, "high": 1}}, "budget__total": 1.0}
    config = parse_config(motif_settings(tmp_path, **changes, batch__cost=0.5))
    check_money(config, ladder(0.3, 0.1), "c.yaml")
    with pytest.raises(BudgetError, match=r"costs 1\.0000000000000002, and budget\.total is 1\n"):
        check_money(config, ladder(0.30000000000000004, 0.0999999999999999), "c.yaml")


@pytest.mark.parametrize("initial", [{}, {"share": 0.1, "queries": {"half": 3}}])
def test_exactly_one_size_is_given(tmp_path: Path, initial: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"give either initial\.queries or initial\.share"):
        parse_config(motif_settings(tmp_path, initial=initial))


@pytest.mark.parametrize("initial", [{"queries": {}}, {"share": 0}, {"share": 1.5}])
def test_sizes_that_are_none_are_refused(tmp_path: Path, initial: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="initial"):
        parse_config(motif_settings(tmp_path, initial=initial))


def test_a_design_on_an_empty_ledger_is_nested() -> None:
    fresh = list("abcd")
    found = nested_design({"low": 4, "middle": 2, "high": 1}, ladder(1, 3, 7), [], fresh)
    assert found == [
        *(Query(key, "low") for key in "abcd"),
        *(Query(key, "middle") for key in "ab"),
        Query("a", "high"),
    ]


def test_what_is_missing_goes_first_to_candidates_that_are_known() -> None:
    asked = [Query("x", "high"), Query("y", "low"), Query("z", "low"), Query("y", "middle")]
    missing = missing_counts({"low": 4, "middle": 3, "high": 2}, asked)
    assert missing == {"low": 2, "middle": 2, "high": 1}
    found = nested_design(missing, ladder(1, 3, 7), asked, list("abc"))
    assert set(found) == {
        Query("y", "high"),  # known below, so it is comparable there
        Query("x", "middle"),  # asked above
        Query("z", "middle"),
        Query("x", "low"),  # asked above
        Query("a", "low"),
    }


def test_nothing_more_is_asked_of_what_has_failed() -> None:
    asked = [Query("x", "low"), Query("y", "low"), Query("z", "high")]
    missing = {"low": 2, "middle": 0, "high": 2}
    found = nested_design(missing, ladder(1, 3, 7), asked, list("abc"), failed={"x", "z"})
    assert found == [
        Query("a", "low"),
        Query("b", "low"),
        Query("y", "high"),
        Query("a", "high"),
    ]


def test_too_many_answers_leave_nothing_to_ask() -> None:
    asked = [Query(key, "high") for key in "abc"]
    assert missing_counts({"high": 2}, asked) == {"high": 0}
    assert nested_design({"high": 0}, ladder(1), asked, ["d"]) == []


def test_a_design_larger_than_the_space_is_refused() -> None:
    with pytest.raises(ConfigError, match="5 more candidates at high, and 2 different") as raised:
        nested_design({"high": 5}, ladder(1), [], ["a", "b"])
    assert "initial.queries" in raised.value.hint


def test_what_was_asked_above_comes_before_what_is_older() -> None:
    asked = [Query("a", "low"), Query("b", "high")]
    assert nested_design({"middle": 1}, ladder(1, 3, 7), asked, ["c"]) == [Query("b", "middle")]
