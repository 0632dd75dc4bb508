import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError

from mfal.errors import LedgerError, NoLedgerError
from mfal.ledger import Entry, Ledger, RoundInfo, read_ledger
from mfal.store import Store
from mfal.tables import SCHEMA_VERSION
from mfal.types import Observation, Outcome, Query

IDENTITY = {"problem": {"name": "motif", "options": {}}, "costs": {"low": 1.0}, "seed": 1}
A, B, C = Query("AA", "low"), Query("AA", "high"), Query("CC", "low")


@pytest.fixture
def open_store(ledger_url: str) -> Iterator[Callable[..., Store]]:
    """Opens the ledger of this test, for one campaign or several."""
    opened: list[Store] = []

    def make(campaign: str = "test", identity: dict[str, Any] = IDENTITY) -> Store:
        opened.append(Store(ledger_url, campaign, identity))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    return open_store()


@pytest.fixture
def beside(store: Store, ledger_url: str) -> Iterator[Ledger]:
    """The same ledger, for somebody who only looks."""
    with read_ledger(ledger_url, "test", IDENTITY) as opened:
        yield opened


def begin(store: Store, number: int, *asked: Query, cost: float = 1.0, **changes: Any) -> None:
    settings: dict[str, Any] = {
        "kind": "batch", "seed": 0, "config": {}, "versions": {}, "record": {}
    }  # fmt: skip
    store.begin_round(number, [(query, cost) for query in asked], **(settings | changes))


def answered(value: float = 1.0) -> Outcome:
    return Outcome((value,), None, 0.5)


def failed(error: str = "it broke") -> Outcome:
    return Outcome(None, error, 0.25)


def rows(url: str, statement: str) -> list[Any]:
    """What a statement of somebody else's finds, past the ledger's own code."""
    engine = create_engine(url)
    try:
        with engine.begin() as c:
            found = c.exec_driver_sql(statement)
            return [tuple(row) for row in found] if found.returns_rows else []
    finally:
        engine.dispose()


def test_what_is_written_comes_back(store: Store) -> None:
    store.begin_round(
        0, [(B, 7.0), (A, 1.0), (C, 1.0)], kind="initial", seed=0, config={}, versions={}, record={}
    )
    assert store.asked() == {A, B, C}
    assert store.pending(0) == [B, A, C]
    assert store.count(0) == 3
    assert store.observations() == [] and store.spent() == 0 and store.backends() == {}

    # Answers come in any order; they are read in the order in which they were chosen.
    store.record([(C, failed(), "small 1"), (B, Outcome((-1.5, 2e-300), None, 0.5), "big 1")])
    assert store.pending(0) == [A]
    assert store.observations() == [
        Observation(B, Outcome((-1.5, 2e-300), None, 0.5), 0, 7.0, "big 1"),
        Observation(C, Outcome(None, "it broke", 0.25), 0, 1.0, "small 1"),
    ]
    assert store.spent() == 8
    store.record([(A, answered(), "small 2")])
    assert store.pending(0) == [] and store.count(0) == 3
    assert [o.query for o in store.observations()] == [B, A, C]
    assert store.backends() == {"low": {"small 1", "small 2"}, "high": {"big 1"}}


def test_the_order_is_that_of_the_choice(store: Store) -> None:
    asked = [Query(key, at) for key in ("M", "Z", "A", "Y") for at in ("low", "high")]
    begin(store, 0, *asked)
    assert store.pending(0) == asked
    for query in sorted(asked):
        store.record([(query, answered(), "engine")])
    assert [o.query for o in store.observations()] == asked


def test_values_keep_every_digit(store: Store) -> None:
    values = (0.1 + 0.2, -1 / 3, 5e-324, 1.7976931348623157e308, -0.0)
    begin(store, 0, A)
    store.record([(A, Outcome(values, None, 0.0), "engine")])
    (observation,) = store.observations()
    found = observation.outcome.values
    assert found is not None and list(map(repr, found)) == list(map(repr, values))


def test_rounds_are_told_apart(store: Store) -> None:
    begin(store, 0, A)
    begin(store, 1, B, C)
    store.record([(C, answered(3), "engine"), (A, answered(1), "engine")])
    assert (store.count(0), store.count(1), store.count(2)) == (1, 2, 0)
    assert (store.pending(0), store.pending(1), store.pending(2)) == ([], [B], [])
    assert [o.round for o in store.observations()] == [0, 1]
    assert [o.query for o in store.observations(before_round=1)] == [A]
    assert store.observations(before_round=0) == []


def test_how_a_round_was_made_comes_back(store: Store) -> None:
    config = {"batch": {"cost": 0.1, "queries": None}, "features": [{"name": "Käfer"}]}
    made = {"fallback": None, "training": [{"step": 1, "loss": 0.30000000000000004}]}
    begin(store, 1, A, kind="batch", seed=3, config=config, versions={"mfal": "0"}, record=made)
    begin(store, 0, kind="initial")
    store.finish_round(1)
    assert store.rounds() == [
        RoundInfo(0, "initial", 0, {}, {}, {}, finished=False),
        RoundInfo(1, "batch", 3, config, {"mfal": "0"}, made, finished=True),
    ]


def test_weights_come_back_byte_by_byte_to_the_round_after(store: Store) -> None:
    assert store.weights() is None
    every = bytes(range(256)) * 3
    for number, weights in enumerate((None, every, b"\x00", None)):
        begin(store, number, Query(f"{number}", "low"), weights=weights)
    left = [store.weights(before_round=number) for number in range(5)]
    assert left == [None, None, every, b"\x00", None]
    assert store.weights() is None  # the last round left none: the next one starts anew
    begin(store, 4, weights=every)
    assert store.weights() == every
    store.finish_round(4)
    assert store.weights() == every
    assert [r.number for r in store.rounds()] == [0, 1, 2, 3, 4]


def test_a_refused_round_leaves_no_weights(store: Store) -> None:
    begin(store, 0, A)
    with pytest.raises(LedgerError, match="round 1 was begun before, or asks something"):
        begin(store, 1, A, weights=b"new")
    assert store.weights() is None


def test_a_ledger_grows_by_weights_and_only_where_there_are_some(tmp_path: Path) -> None:
    def size(name: str, weights: bytes | None) -> int:
        store = Store(f"sqlite:///{tmp_path / name / 'ledger.db'}", "test", IDENTITY)
        for number in range(10):
            begin(store, number, Query(f"{number}", "low"), weights=weights)
            store.finish_round(number)
        store.close()
        return (tmp_path / name / "ledger.db").stat().st_size

    without, weights = size("without", None), bytes(100_000)
    assert without < 100_000
    # Nothing is kept but one copy a round; SQLite leaves the room of one more.
    assert 10 * len(weights) < size("with", weights) - without < 12 * len(weights)


@pytest.mark.parametrize("seed", [0, 2**53 + 1, 2**63 - 1])
def test_seeds_keep_every_digit(store: Store, seed: int) -> None:
    begin(store, 0, seed=seed)
    assert store.rounds()[0].seed == seed


def test_a_round_is_finished_once(store: Store, ledger_url: str) -> None:
    begin(store, 0)
    begin(store, 1)
    store.finish_round(0)
    first = rows(ledger_url, "SELECT finished_at FROM rounds ORDER BY number")
    store.finish_round(0)
    assert rows(ledger_url, "SELECT finished_at FROM rounds ORDER BY number") == first
    assert [r.finished for r in store.rounds()] == [True, False]


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


def test_who_looks_sees_every_commit_at_once(store: Store, beside: Ledger) -> None:
    begin(store, 0, A, B)
    assert beside.pending(0) == [A, B] and beside.asked() == {A, B} and beside.count(0) == 2
    store.record([(A, answered(3), "engine")])
    assert beside.pending(0) == [B] and beside.spent() == 1
    assert beside.observations() == store.observations()
    store.finish_round(0)
    assert beside.rounds() == store.rounds() and beside.rounds()[0].finished
    assert beside.location == store.location and beside.url == store.url


def test_a_reader_half_way_keeps_no_writer_waiting(store: Store, beside: Ledger) -> None:
    begin(store, 0, A, B)
    with beside._database.read() as c:
        before = c.exec_driver_sql("SELECT count(*) FROM outcomes").scalar_one()
        started = time.monotonic()
        store.record([(A, answered(), "engine")])
        assert time.monotonic() - started < 5  # a locked database is waited for for 30 s
    assert before == 0 and beside.pending(0) == [B]


def test_who_looks_cannot_write(beside: Ledger) -> None:
    with pytest.raises(LedgerError, match=r"read-?only"), beside._database.write() as c:
        c.exec_driver_sql("UPDATE rounds SET seed = 3")


def test_there_is_nothing_to_look_at_before_the_first_round(
    open_store: Callable[..., Store], ledger_url: str
) -> None:
    with pytest.raises(NoLedgerError, match="there is no ledger"):
        read_ledger(ledger_url, "test", IDENTITY)
    open_store("other")
    with pytest.raises(NoLedgerError, match="there is no ledger of campaign 'test'"):
        read_ledger(ledger_url, "test", IDENTITY)


def test_entries_are_all_that_does_not_differ_from_run_to_run(store: Store) -> None:
    begin(store, 0, A, kind="initial", seed=2**63 - 1)
    begin(store, 1, B, C, cost=3.0, seed=5)
    store.record([(A, answered(0.5), "low 1"), (C, failed(), "low 1")])
    start, batch = ("initial", str(2**63 - 1)), ("batch", "5")
    assert store.entries() == [
        Entry(0, *start, 0, "AA", "low", 1.0, "[0.5]", None, 1.0, "low 1"),
        Entry(1, *batch, 0, "AA", "high", 3.0, None, None, None, None),
        Entry(1, *batch, 1, "CC", "low", 3.0, None, "it broke", 3.0, "low 1"),
    ]


def test_campaigns_in_one_database_do_not_mix(open_store: Callable[..., Store]) -> None:
    one, other = open_store("one"), open_store("other", {"seed": 2})
    begin(one, 0, A)
    begin(other, 0, A, B)
    one.record([(A, answered(), "engine"), (B, answered(), "engine")])
    assert (one.spent(), other.spent()) == (1, 0)
    assert other.pending(0) == [A, B] and other.observations() == []
    assert one.asked() == {A} and one.count(0) == 1
    one.finish_round(0)
    assert not other.rounds()[0].finished
    assert other.backends() == {}


def test_a_ledger_is_opened_again_by_the_same_identity(open_store: Callable[..., Store]) -> None:
    first = open_store()
    begin(first, 0, A)
    first.close()
    again = open_store(identity=dict(reversed(IDENTITY.items())))
    assert again.pending(0) == [A]


def test_another_identity_is_refused_and_what_changed_is_named(
    open_store: Callable[..., Store],
    ledger_url: str,
) -> None:
    open_store().close()
    changed = IDENTITY | {"seed": 2, "costs": {"low": 2.0}, "initial": {"queries": 3}}
    with pytest.raises(LedgerError) as raised:
        open_store(identity=changed)
    message = raised.value.message
    assert "campaign 'test'" in message and message.startswith(ledger_url.partition("?")[0])
    assert "seed was 1, is now 2" in message
    assert "costs was {'low': 1.0}, is now {'low': 2.0}" in message
    assert "initial was None, is now {'queries': 3}" in message
    assert "problem" not in message
    assert "name" in raised.value.hint
    with pytest.raises(LedgerError, match="seed was 1, is now 2"):
        read_ledger(ledger_url, "test", changed)
    open_store()  # the refusal changed nothing


def test_a_ledger_from_before_there_were_weights_and_locks_goes_on(
    open_store: Callable[..., Store], ledger_url: str
) -> None:
    first = open_store()
    begin(first, 0, A, B, record={"training": []})
    first.record([(A, answered(3), "engine")])
    first.close()
    rows(ledger_url, "ALTER TABLE rounds DROP COLUMN weights")
    rows(ledger_url, "DROP TABLE locks")
    rows(ledger_url, "UPDATE campaigns SET schema_version = 1")

    with read_ledger(ledger_url, "test", IDENTITY) as looked_at:
        assert looked_at.pending(0) == [B] and looked_at.holder() is None
    assert rows(ledger_url, "SELECT schema_version FROM campaigns") == [(1,)]
    again = open_store()
    assert [o.outcome.values for o in again.observations()] == [(3.0,)]
    assert again.rounds() == [RoundInfo(0, "batch", 0, {}, {}, {"training": []}, finished=False)]
    assert again.pending(0) == [B] and again.weights() is None
    begin(again, 1, C, weights=b"new")
    assert again.weights() == b"new"
    assert rows(ledger_url, "SELECT schema_version FROM campaigns") == [(SCHEMA_VERSION,)]
    again.close()
    open_store()  # and a second time there is nothing left to do


def test_a_ledger_of_a_later_schema_is_refused(
    open_store: Callable[..., Store], ledger_url: str
) -> None:
    open_store().close()
    rows(ledger_url, f"UPDATE campaigns SET schema_version = {SCHEMA_VERSION + 1}")
    rows(ledger_url, "DROP TABLE locks")
    refusal = pytest.raises(LedgerError, match=f"ledger is of schema {SCHEMA_VERSION + 1}, and")
    with refusal as raised:
        open_store()
    assert "later mfal" in raised.value.hint
    with refusal:
        read_ledger(ledger_url, "test", IDENTITY)
    with pytest.raises(DBAPIError):  # it was left as it is
        rows(ledger_url, "SELECT * FROM locks")


def test_a_large_chunk_goes_in_at_once(store: Store) -> None:
    asked = [Query(f"{i}", "low") for i in range(5000)]
    begin(store, 0, *asked)
    store.record([(query, answered(), "engine") for query in asked])
    assert store.pending(0) == [] and store.spent() == 5000


@pytest.mark.parametrize("key", ["", "  ", "C1=CC'\";--", "[C][=O]", "日本", "A" * 5000, "%_\\"])
def test_keys_come_back_letter_by_letter(store: Store, key: str) -> None:
    query = Query(key, "low")
    begin(store, 0, query)
    store.record([(query, answered(), "engine")])
    assert [o.query for o in store.observations()] == [query]
    assert store.asked() == {query}


def test_keys_that_differ_in_case_are_different(store: Store) -> None:
    lower, upper = Query("c", "low"), Query("C", "low")
    begin(store, 0, lower, upper)
    store.record([(upper, answered(2), "engine")])
    assert store.pending(0) == [lower]
