import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from mfal.errors import LedgerError
from mfal.store import RoundInfo, Store
from mfal.tables import SCHEMA_VERSION, sqlite_url
from mfal.types import Observation, Outcome, Query

IDENTITY = {"problem": {"name": "motif", "options": {}}, "costs": {"low": 1.0}, "seed": 1}
A, B, C = Query("AA", "low"), Query("AA", "high"), Query("CC", "low")


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Opens the ledger of this test, as often as wanted."""
    opened: list[Store] = []

    def make(campaign: str = "test", identity: dict[str, Any] = IDENTITY) -> Store:
        opened.append(Store(sqlite_url(tmp_path), campaign, identity))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    return open_store()


def begin(store: Store, number: int, *asked: Query, cost: float = 1.0, **changes: Any) -> None:
    settings: dict[str, Any] = {
        "kind": "batch", "seed": 0, "config": {}, "versions": {}, "record": {}
    }  # fmt: skip
    store.begin_round(number, [(query, cost) for query in asked], **(settings | changes))


def answered(value: float = 1.0) -> Outcome:
    return Outcome((value,), None, 0.5)


def failed(error: str = "it broke") -> Outcome:
    return Outcome(None, error, 0.25)


def rows(tmp_path: Path, statement: str) -> list[Any]:
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        return connection.execute(statement).fetchall()


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
        store = Store(sqlite_url(tmp_path / name), "test", IDENTITY)
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


def test_a_round_is_finished_once(store: Store, tmp_path: Path) -> None:
    begin(store, 0)
    begin(store, 1)
    store.finish_round(0)
    first = rows(tmp_path, "SELECT finished_at FROM rounds ORDER BY number")
    store.finish_round(0)
    assert rows(tmp_path, "SELECT finished_at FROM rounds ORDER BY number") == first
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


def test_a_chunk_that_the_database_breaks_off_leaves_nothing(store: Store, tmp_path: Path) -> None:
    begin(store, 0, A, B, C)
    rows(
        tmp_path,
        "CREATE TRIGGER full BEFORE INSERT ON outcomes WHEN NEW.backend = 'no room' "
        "BEGIN SELECT RAISE(ABORT, 'no room'); END",
    )
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
    event.listen(store._engine, "commit", commits.append)
    store.record([(query, answered(), "engine") for query in asked])
    assert len(commits) == 1 and store.pending(0) == []


@pytest.mark.parametrize("table", ["queries", "outcomes"])
def test_rows_are_neither_changed_nor_deleted(store: Store, tmp_path: Path, table: str) -> None:
    begin(store, 0, A)
    store.record([(A, answered(), "engine")])
    before = rows(tmp_path, f"SELECT * FROM {table}")
    assert len(before) == 1
    for statement in (f"UPDATE {table} SET cost = 0", f"DELETE FROM {table}"):
        with pytest.raises(sqlite3.IntegrityError, match="the ledger is append-only"):
            rows(tmp_path, statement)
    assert rows(tmp_path, f"SELECT * FROM {table}") == before


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


def test_two_stores_on_one_file_see_each_others_commits(open_store: Callable[..., Store]) -> None:
    one, other = open_store(), open_store()
    begin(one, 0, A, B)
    assert other.pending(0) == [A, B]
    other.record([(A, answered(3), "engine")])
    assert one.pending(0) == [B]
    one.record([(A, answered(4), "late"), (B, answered(5), "engine")])
    assert one.observations() == other.observations()
    assert [o.outcome.values for o in other.observations()] == [(3.0,), (5.0,)]
    other.finish_round(0)
    assert one.rounds()[0].finished
    with pytest.raises(LedgerError, match="round 0 was begun before"):
        begin(other, 0, C)


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
) -> None:
    open_store()
    changed = IDENTITY | {"seed": 2, "costs": {"low": 2.0}, "initial": {"queries": 3}}
    with pytest.raises(LedgerError) as raised:
        open_store(identity=changed)
    message = raised.value.message
    assert "campaign 'test'" in message and "ledger.db" in message
    assert "seed was 1, is now 2" in message
    assert "costs was {'low': 1.0}, is now {'low': 2.0}" in message
    assert "initial was None, is now {'queries': 3}" in message
    assert "problem" not in message
    assert "name" in raised.value.hint
    open_store()  # the refusal changed nothing


def test_a_ledger_from_before_there_were_weights_goes_on(
    open_store: Callable[..., Store], tmp_path: Path
) -> None:
    first = open_store()
    begin(first, 0, A, B, record={"training": []})
    first.record([(A, answered(3), "engine")])
    first.close()
    rows(tmp_path, "ALTER TABLE rounds DROP COLUMN weights")
    rows(tmp_path, "UPDATE campaigns SET schema_version = 1")

    again = open_store()
    assert [o.outcome.values for o in again.observations()] == [(3.0,)]
    assert again.rounds() == [RoundInfo(0, "batch", 0, {}, {}, {"training": []}, finished=False)]
    assert again.pending(0) == [B] and again.weights() is None
    begin(again, 1, C, weights=b"new")
    assert again.weights() == b"new"
    assert rows(tmp_path, "SELECT schema_version FROM campaigns") == [(SCHEMA_VERSION,)]
    open_store()  # and a second time there is nothing left to do


def test_a_ledger_of_a_later_schema_is_refused(
    open_store: Callable[..., Store], tmp_path: Path
) -> None:
    open_store()
    rows(tmp_path, f"UPDATE campaigns SET schema_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(LedgerError, match=f"ledger is of schema {SCHEMA_VERSION + 1}, and"):
        open_store()


def test_commits_survive_a_power_cut(store: Store, tmp_path: Path) -> None:
    with store._engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    full = 2
    assert found == {
        "journal_mode": "wal", "synchronous": full, "foreign_keys": 1, "busy_timeout": 30000
    }  # fmt: skip
    assert rows(tmp_path, "PRAGMA journal_mode") == [("wal",)]


def test_a_killed_writer_leaves_whole_chunks(store: Store, tmp_path: Path) -> None:
    begin(store, 0, A, B)
    # The child writes, does not commit, and is gone without a word.
    code = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
connection.execute("INSERT INTO outcomes VALUES (1, '[1.0]', NULL, 0, 1.0, 'x', 'now')")
os._exit(9)
"""
    child = subprocess.run([sys.executable, "-c", code, str(tmp_path / "ledger.db")])
    assert child.returncode == 9
    assert store.observations() == [] and store.pending(0) == [A, B]
    store.record([(A, answered(), "engine")])
    assert store.pending(0) == [B]


def test_a_ledger_in_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("not a folder")
    with pytest.raises(LedgerError, match="taken/here: the campaign's folder cannot be made"):
        sqlite_url(tmp_path / "taken" / "here")


def test_a_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "data" / "dna")
    store = Store(url, "test", {})
    assert store.location == str(tmp_path / "data" / "dna" / "ledger.db")
    assert Path(store.location).is_file()
    store.close()


def corrupt(folder: Path) -> str:
    (folder / "ledger.db").write_bytes(b"These are random bytes \x00\xff\x17" * 400)
    return sqlite_url(folder)


def directory(folder: Path) -> str:
    (folder / "ledger.db").mkdir()
    return sqlite_url(folder)


def missing(folder: Path) -> str:
    return f"sqlite:///{folder}/nowhere/ledger.db"


def torn(folder: Path) -> str:
    """A good ledger of which a page was overwritten."""
    url = sqlite_url(folder)
    Store(url, "test", {}).close()
    with (folder / "ledger.db").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3996)
    return url


@pytest.mark.parametrize("ledger", [corrupt, directory, missing, torn])
def test_a_ledger_that_cannot_be_used_is_named(
    tmp_path: Path, ledger: Callable[[Path], str]
) -> None:
    url = ledger(tmp_path)
    with pytest.raises(LedgerError) as raised:
        Store(url, "test", {})
    assert raised.value.message.startswith(f"{url}: ")
    assert "data_dir" in raised.value.hint


def test_a_folder_that_cannot_be_made_is_named() -> None:
    with pytest.raises(LedgerError, match="cannot be made"):
        sqlite_url(Path("/proc/mfal"))  # not even by root


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
