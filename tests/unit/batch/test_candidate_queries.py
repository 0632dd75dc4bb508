"""Which queries compete for a place in the batch."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfal.batch.select import candidate_queries
from mfal.types import Query

LADDER = ("low", "middle", "high")


def test_proposals_compete_as_proposed_and_at_the_target() -> None:
    proposed = [Query("a", "low"), Query("b", "high"), Query("c", "middle"), Query("a", "low")]
    assert candidate_queries(proposed, [], LADDER, set()) == [
        Query("a", "low"),
        Query("a", "high"),
        Query("b", "high"),
        Query("c", "middle"),
        Query("c", "high"),
    ]


def test_nothing_competes_that_was_asked() -> None:
    asked = {Query("a", "low"), Query("b", "high"), Query("c", "high")}
    proposed = [Query("a", "low"), Query("b", "high"), Query("c", "low")]
    assert candidate_queries(proposed, [], LADDER, asked) == [Query("a", "high"), Query("c", "low")]


@pytest.mark.parametrize(
    ("asked", "rungs"),
    [
        (["low"], ["middle", "high"]),
        (["middle"], ["high"]),
        (["low", "middle"], ["high"]),
        (["low", "high"], ["middle"]),
        (["high"], []),
        (["low", "middle", "high"], []),
    ],
)
def test_promotions_only_go_up(asked: list[str], rungs: list[str]) -> None:
    ledger = {Query("a", name) for name in asked} | {Query("other", "low")}
    found = candidate_queries([], ["a"], LADDER, ledger)
    assert found == [Query("a", name) for name in rungs]


def test_a_promotion_that_was_proposed_as_well_competes_once() -> None:
    found = candidate_queries([Query("a", "middle")], ["a"], LADDER, {Query("a", "low")})
    assert sorted(found) == [Query("a", "high"), Query("a", "middle")]


@settings(max_examples=100, deadline=None)
@given(
    proposed=st.lists(st.builds(Query, st.sampled_from("abcde"), st.sampled_from(LADDER))),
    asked=st.sets(st.builds(Query, st.sampled_from("abcde"), st.sampled_from(LADDER))),
    data=st.data(),
)
def test_candidates_are_new_and_distinct(
    proposed: list[Query], asked: set[Query], data: st.DataObject
) -> None:
    known = sorted({query.key for query in asked})
    promoted = data.draw(st.lists(st.sampled_from(known), unique=True)) if known else []
    found = candidate_queries(proposed, promoted, LADDER, asked)
    assert len(set(found)) == len(found)
    assert not set(found) & asked
    wanted = set(proposed) | {Query(query.key, "high") for query in proposed}
    assert wanted - asked <= set(found)
    for query in set(found) - wanted:
        assert query.key in promoted
        below = LADDER[: LADDER.index(query.fidelity)]
        assert any(Query(query.key, name) in asked for name in below)
