"""What is written into a ledger comes back as it was."""

import sqlite3
from pathlib import Path

import pytest

from mfal.errors import InvalidKeyError, LedgerError
from mfal.ledger.reading import Entry, RoundInfo
from mfal.ledger.store import Store
from mfal.types import Observation, Outcome, Query
from tests.unit.ledgers import IDENTITY, A, B, C, answered, begin, failed, rows


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


@pytest.mark.parametrize("key", ["A\0", "A\ud800"])
def test_a_key_that_no_database_keeps_is_refused(store: Store, key: str) -> None:
    with pytest.raises(InvalidKeyError, match="candidate 'A"):
        begin(store, 0, Query(key, "low"))
    assert store.outline() == []


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


def test_settings_are_those_of_batches_each_once(store: Store) -> None:
    settings = {"cost": 1}, {"cost": 9}, {"cost": 3}, {"cost": 9}
    for number, config in enumerate(settings):
        begin(store, number, kind="batch" if number else "initial", config=config)
    assert store.settings() == [{"cost": 9}, {"cost": 3}]


def test_weights_come_back_byte_by_byte_to_the_round_after(store: Store) -> None:
    assert store.weights() is None
    every = bytes(range(256)) * 3
    for number, weights in enumerate((None, every, b"\x00", None)):
        begin(store, number, Query(f"{number}", "low"), weights=weights)
        assert store.weights() == weights  # none: the next round starts anew
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


def test_a_large_chunk_goes_in_at_once(store: Store) -> None:
    if store._database.path is not None:  # as SQLite is built where nobody raised it
        with store._database.read() as c:
            driver = c.connection.driver_connection
            assert driver is not None
            driver.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)
    asked = [Query(f"{i}", "low") for i in range(35_000)]
    asked.append(Query("0", "high"))
    begin(store, 0, *asked)
    store.record([(query, answered(), "engine") for query in asked])
    assert store.pending(0) == [] and store.spent() == 35_001


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
