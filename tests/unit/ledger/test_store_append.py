"""What the ledger refuses and charges: nothing changed, entered twice, or entered in part."""

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from mfal.errors import LedgerError
from mfal.ledger.store import Store
from mfal.types import Query
from tests.unit.ledgers import A, B, C, answered, begin, failed, rows


def test_a_second_answer_leaves_the_first(store: Store) -> None:
    begin(store, 0, A, B)
    store.record([(A, answered(1), "first")])
    before = store.observations()
    store.record([(A, answered(2), "second")])
    store.record([(A, failed(), "third"), (B, answered(4), "third")])
    assert store.observations()[:1] == before
    assert [o.backend for o in store.observations()] == ["first", "third"]
    assert store.spent() == 2


def test_an_answer_nobody_asked_for_is_not_entered(store: Store) -> None:
    begin(store, 0, A)
    store.record([(B, answered(), "engine"), (A, answered(), "engine")])
    assert [o.query for o in store.observations()] == [A]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_chunk_with_a_bad_answer_is_refused_as_a_whole(store: Store, bad: float) -> None:
    begin(store, 0, A, B, C)
    chunk = [(A, answered(), "engine"), (B, answered(bad), "engine"), (C, answered(), "engine")]
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.record(chunk)
    assert store.observations() == [] and store.pending(0) == [A, B, C]


NO_ROOM = {
    "sqlite": [
        "CREATE TRIGGER full_disk BEFORE INSERT ON outcomes WHEN NEW.backend = 'no room' "
        "BEGIN SELECT RAISE(ABORT, 'no room'); END"
    ],
    "postgresql+psycopg": [
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no room'; END $$",
        "CREATE TRIGGER full_disk BEFORE INSERT ON outcomes FOR EACH ROW "
        "WHEN (NEW.backend = 'no room') EXECUTE FUNCTION no_room()",
    ],
}


def test_a_chunk_that_the_database_breaks_off_leaves_nothing(store: Store, ledger_url: str) -> None:
    begin(store, 0, A, B, C)
    for statement in NO_ROOM[ledger_url.partition(":")[0]]:
        rows(ledger_url, statement)
    chunk = [(A, answered(), "engine"), (B, answered(), "no room"), (C, answered(), "engine")]
    with pytest.raises((DBAPIError, LedgerError), match="no room"):
        store.record(chunk)
    assert store.observations() == [] and store.pending(0) == [A, B, C]
    # And the ledger is still good for what comes next.
    store.record(chunk[:1])
    assert store.pending(0) == [B, C]


@pytest.mark.parametrize("n", [2, 40])
def test_a_chunk_is_one_commit(store: Store, n: int) -> None:
    asked = [Query(f"{i}", "low") for i in range(n)]
    begin(store, 0, *asked)
    commits: list[object] = []
    event.listen(store._database._engine, "commit", commits.append)
    store.record([(query, answered(), "engine") for query in asked])
    assert len(commits) == 1 and store.pending(0) == []


@pytest.mark.parametrize("table", ["queries", "outcomes"])
def test_rows_are_neither_changed_nor_deleted(store: Store, ledger_url: str, table: str) -> None:
    begin(store, 0, A)
    store.record([(A, answered(), "engine")])
    before = rows(ledger_url, f"SELECT * FROM {table}")
    assert len(before) == 1
    for statement in (f"UPDATE {table} SET cost = 0", f"DELETE FROM {table}"):
        with pytest.raises(DBAPIError, match="the ledger is append-only"):
            rows(ledger_url, statement)
    assert rows(ledger_url, f"SELECT * FROM {table}") == before


@pytest.mark.parametrize(
    ("number", "asked"),
    [(1, [C, A]), (1, [C, C]), (0, [C]), (0, [])],
    ids=["asked in another round", "twice in a round", "round twice", "empty round twice"],
)
def test_nothing_is_begun_twice_and_a_refused_round_leaves_nothing(
    store: Store, number: int, asked: list[Query]
) -> None:
    begin(store, 0, A, B)
    with pytest.raises(LedgerError, match=f"round {number} was begun before, or asks something"):
        begin(store, number, *asked)
    assert store.asked() == {A, B}
    assert [r.number for r in store.rounds()] == [0]
    assert store.count(0) == 2


def test_a_candidate_may_be_asked_at_every_fidelity(store: Store) -> None:
    begin(store, 0, A)
    begin(store, 1, B)
    assert store.asked() == {A, B}


@pytest.mark.parametrize(("charge", "spent"), [(True, 8.0), (False, 1.0)])
def test_failures_are_charged_or_not(store: Store, charge: bool, spent: float) -> None:
    store.begin_round(
        0, [(A, 1.0), (B, 7.0)], kind="initial", seed=0, config={}, versions={}, record={}
    )
    store.record([(A, answered(), "low 1"), (B, failed(), "high 1")], charge_failures=charge)
    assert [o.cost for o in store.observations()] == [1.0, spent - 1]
    assert store.spent() == spent
    assert store.pending(0) == []


def test_ten_times_a_tenth_is_one(store: Store) -> None:
    asked = [Query(f"{i}", "low") for i in range(10)]
    begin(store, 0, *asked, cost=0.1)
    for query in asked:
        store.record([(query, answered(), "engine")])
    assert store.spent() == 1.0 != sum([0.1] * 10)
