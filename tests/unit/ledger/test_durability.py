"""What was acknowledged is on the disk, whoever is killed, reads, or locks the file meanwhile."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mfal.errors import LedgerError
from mfal.ledger.reading import read_ledger
from mfal.ledger.store import Store
from tests.unit.half_answered import fill, record, url_of


def test_a_ledger_that_was_rebuilt_goes_on_with_readers_beside_it(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    fill(url)
    old, new = (sqlite3.connect(tmp_path / name) for name in ("ledger.db", "rebuilt.db"))
    new.executescript("\n".join(old.iterdump()))
    assert new.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    old.close()
    new.close()
    (tmp_path / "rebuilt.db").replace(tmp_path / "ledger.db")
    with Store(url, "test", {}) as store, read_ledger(url, "test", {}) as beside:
        with beside._database.read() as c:
            c.exec_driver_sql("SELECT count(*) FROM outcomes").scalar_one()
            record(store, 1000, 1100)
        assert len(beside.observations()) == 1100


def test_commits_survive_a_power_cut(tmp_path: Path) -> None:
    with Store(url_of(tmp_path), "test", {}) as store, store._database.read() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    full = 2
    assert found == {
        "journal_mode": "wal", "synchronous": full, "foreign_keys": 1, "busy_timeout": 30000
    }  # fmt: skip


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[tuple[str, sqlite3.Connection]]:
    """A ledger, and a program of somebody else's that writes to it."""
    url = url_of(tmp_path)
    fill(url)
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None, check_same_thread=False)
    yield url, other
    other.close()


def test_a_writer_waits_for_another_programs_transaction(
    locked: tuple[str, sqlite3.Connection],
) -> None:
    url, other = locked
    with Store(url, "test", {}) as store:
        other.execute("BEGIN EXCLUSIVE")
        threading.Timer(0.5, lambda: other.execute("COMMIT")).start()
        record(store, 1000, 1100)
        assert len(store.observations()) == 1100


def test_a_ledger_that_stays_locked_is_named_and_loses_nothing(
    locked: tuple[str, sqlite3.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, other = locked
    monkeypatch.setattr("mfal.ledger.sqlite.PRAGMAS", ("busy_timeout=200",))  # of 30 seconds
    with Store(url, "test", {}) as store:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="cannot be written: database is locked") as raised:
            record(store, 1000, 1100)
        assert "end the program that holds the database" in raised.value.hint
        with pytest.raises(LedgerError, match="database is locked"):
            Store(url, "other", {})
        assert len(store.observations()) == 1000  # looking goes on meanwhile
        other.execute("ROLLBACK")
        record(store, 1000, 1100)
        assert len(store.observations()) == 1100


CHILD = """
import sys
from mfal.ledger.store import Store
from mfal.types import Outcome, Query

url, n, size = sys.argv[1], 20_000, 100
asked = [Query(f"{i:08}", "low") for i in range(n)]
with Store(url, "test", {}) as store:
    store.begin_round(
        0, [(q, 1.0) for q in asked], kind="x", seed=0, config={}, versions={}, record={}
    )
    for i in range(0, n, size):
        store.record([(q, Outcome((1.0,), None, 0.0), "engine") for q in asked[i : i + size]])
        print(i + size, flush=True)
"""


@pytest.mark.parametrize("after", [1, 17])
def test_every_chunk_that_was_acknowledged_outlives_kill_9(ledger_url: str, after: int) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, ledger_url], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for _ in range(after):
        child.stdout.readline()
    time.sleep(0.02)  # into the midst of a chunk
    child.send_signal(signal.SIGKILL)
    rest, _ = child.communicate()
    acknowledged = int(rest.split()[-1]) if rest else 100 * after
    assert 100 * after <= acknowledged < 20_000
    with Store(ledger_url, "test", {}) as store:  # at once: its lock died with it
        found = [int(o.query.key) for o in store.observations()]
        # The last chunk may have been committed and not yet acknowledged; none is there in part.
        assert found == list(range(len(found)))
        assert len(found) in (acknowledged, acknowledged + 100)
        assert len(store.pending(0)) == 20_000 - len(found)


def test_the_name_of_a_new_ledger_survives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    fsync = os.fsync

    def noted(file: int) -> None:
        synced.append(os.fstat(file).st_ino)
        fsync(file)

    monkeypatch.setattr("os.fsync", noted)
    with Store(url_of(tmp_path / "new"), "test", {}):
        assert (tmp_path / "new").stat().st_ino in synced
