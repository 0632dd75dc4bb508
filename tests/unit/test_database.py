"""What happens to a ledger when its disk, its file, its server or its neighbours misbehave."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from mfal.config import parse_config
from mfal.database import Database, resolve
from mfal.errors import ConfigError, LedgerError
from mfal.ledger import read_ledger
from mfal.store import Store
from mfal.types import Outcome, Query
from tests.postgres import Server
from tests.support import motif_settings

ASKED = [Query(f"{i:030}", "low") for i in range(2000)]
ANSWER = Outcome((1.0,), None, 0.5)


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


def fill(url: str, answered: int = 1000) -> None:
    """A ledger of half-answered queries."""
    with Store(url, "test", {}) as store:
        store.begin_round(
            0, [(q, 1.0) for q in ASKED], kind="x", seed=0, config={}, versions={}, record={}
        )
        record(store, 0, answered)


def record(store: Store, start: int, end: int) -> None:
    store.record([(q, ANSWER, "engine") for q in ASKED[start:end]])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk, and not everywhere")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_loses_nothing_and_the_ledger_goes_on_when_there_is_room(
    small_disk: Path,
) -> None:
    url = url_of(small_disk)
    fill(url, answered=100)
    ballast = small_disk / "ballast"
    with Store(url, "test", {}) as store:
        free = shutil.disk_usage(small_disk).free
        ballast.write_bytes(bytes(free - 50_000))
        done = 100
        with pytest.raises(LedgerError) as raised:
            for done in range(100, 2000, 10):
                record(store, done, done + 10)
        assert 100 < done < 1990  # some had room still
        assert "disk is full" in raised.value.message or "I/O" in raised.value.message
        assert "make room on that disk" in raised.value.hint
        assert [o.query for o in store.observations()] == ASKED[:done]
        ballast.unlink()
        record(store, done, 2000)
        assert store.pending(0) == []
    with read_ledger(url, "test", {}) as ledger:
        assert len(ledger.observations()) == 2000 and ledger.holder() is None


def test_a_full_disk_at_the_very_start_leaves_no_half_ledger(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(shutil.disk_usage(small_disk).free))
    with pytest.raises(LedgerError, match="cannot be made") as raised:
        Store(url_of(small_disk / "data"), "test", {})
    assert "room" in raised.value.hint
    assert not list(small_disk.glob("data/*"))


def test_a_folder_that_may_only_be_read_can_be_looked_at_and_not_written(
    small_disk: Path,
) -> None:
    url = url_of(small_disk)
    fill(url)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(LedgerError) as raised:
        Store(url, "test", {})
    assert raised.value.message.startswith(f"{url}: the ledger cannot be written")
    assert "data_dir" in raised.value.hint
    with read_ledger(url, "test", {}) as ledger:
        assert len(ledger.observations()) == 1000
    with pytest.raises(LedgerError, match="cannot be made"):
        Store(url_of(small_disk / "new"), "test", {})


def overwritten(path: Path) -> None:
    path.write_bytes(b"These are random bytes \x00\xff\x17" * 400)


def torn(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3996)


def torn_within(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 4096)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def cut_to(share: float) -> Callable[[Path], None]:
    def cut(path: Path) -> None:
        size = path.stat().st_size
        os.truncate(path, int(share * size) if share < 1 else size - 1)

    return cut


@pytest.mark.parametrize(
    "harm",
    [overwritten, torn, torn_within, a_folder, cut_to(0), cut_to(0.01), cut_to(0.5), cut_to(1)],
    ids=["overwritten", "torn", "torn within", "a folder", "empty", "one page", "half", "a byte"],
)
def test_a_damaged_ledger_is_named_and_left_as_it_is(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    url, path = url_of(tmp_path), tmp_path / "ledger.db"
    fill(url)
    harm(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(LedgerError) as raised:
        Store(url, "test", {})
    assert raised.value.message.startswith(f"{url}: the ledger cannot be ")
    assert "data_dir" in raised.value.hint
    if before is not None:
        assert "bring a backup back" in raised.value.hint
        assert path.read_bytes() == before


def test_a_ledger_that_is_damaged_under_a_reader_is_named(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    fill(url)
    torn_within(tmp_path / "ledger.db")
    with (
        pytest.raises(LedgerError, match=r"the ledger cannot be read: .*malformed"),
        read_ledger(url, "test", {}) as ledger,
    ):
        ledger.asked()
        ledger.entries()


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("not a folder")
    with pytest.raises(LedgerError, match=r"taken/here/ledger\.db: the ledger cannot be made"):
        Store(url_of(tmp_path / "taken" / "here"), "test", {})


def test_a_folder_that_cannot_be_made_is_named() -> None:
    with pytest.raises(LedgerError, match=r"/proc/mfal/ledger\.db: the ledger cannot be made"):
        Store(url_of(Path("/proc/mfal")), "test", {})  # not even by root


def test_a_folder_is_made_with_its_parents_and_nothing_else_is_left_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "da ta" / "100% dna?"  # no letter of a path means anything more
    with Store(url_of(folder), "test", {}) as store:
        assert store.location == str(folder / "ledger.db")
    assert [path.name for path in folder.iterdir()] == ["ledger.db"]


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
    monkeypatch.setattr("mfal.sqlite.PRAGMAS", ("busy_timeout=200",))  # of 30 seconds
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
from mfal.store import Store
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


def test_a_ledger_at_a_url_takes_its_secrets_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MFAL_TEST_PW", "p@ss/w:rd%")
    monkeypatch.setenv("MFAL_TEST_DB", "campaigns")
    found = resolve("postgresql+psycopg://me:${MFAL_TEST_PW}@host:5433/${MFAL_TEST_DB}?a=b")
    assert (found.username, found.password, found.host, found.port, found.database) == (
        "me", "p@ss/w:rd%", "host", 5433, "campaigns"
    )  # fmt: skip
    assert "p@ss" not in repr(found)
    with pytest.raises(ConfigError, match=r"the password is to come from \$\{MFAL_NONE\}"):
        resolve("postgresql+psycopg://me:${MFAL_NONE}@host/db")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:secret@host/db",
        "postgresql+psycopg://me:${PW}secret@host/db",
        "postgresql+psycopg://me@host/db?password=secret",
        "postgresql+psycopg://host/db?SSLPassword=secret",
        "postgresql+psycopg://me:se@cret@host/db",
        "sqlite:///secret",
        "mysql://secret@host",
        "secret",
    ],
)
def test_a_configuration_holds_no_password_and_an_error_repeats_none(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_config(motif_settings(tmp_path, ledger=url))
    assert "ledger: " in raised.value.message and "never here" in raised.value.message
    assert "cret" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:${PW}@host:5432/db?sslmode=require",
        "postgresql+psycopg://me@host/db",
        "postgresql+psycopg://localhost/db",
        "postgresql+psycopg:///db?host=/run/postgresql",
    ],
)
def test_a_url_without_a_secret_is_a_ledger(tmp_path: Path, url: str) -> None:
    config = parse_config(motif_settings(tmp_path, ledger=url))
    assert config.ledger_url == url
    assert config.identity() == parse_config(motif_settings(tmp_path)).identity()


@pytest.mark.slow
def test_a_server_that_refuses_is_named_without_the_password(
    postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = create_engine(postgres_server.url("postgres"))
    with admin.begin() as c:
        c.exec_driver_sql("CREATE ROLE asked LOGIN PASSWORD 'right-one'")
    admin.dispose()
    database = make_url(postgres_server.new_database()).database or ""
    monkeypatch.setenv("MFAL_TEST_PW", "wrong-one")
    with pytest.raises(LedgerError, match="password authentication failed") as raised:
        Database(postgres_server.url(database, "asked:${MFAL_TEST_PW}"))
    assert "wrong-one" not in str(raised.value) and "asked:***@" in raised.value.message
    assert "~/.pgpass" in raised.value.hint
    monkeypatch.setenv("PGPASSWORD", "right-one")
    with pytest.raises(LedgerError, match="permission denied for schema public"):
        Database(postgres_server.url(database, "asked"))  # let in, by libpq's own variable


@pytest.mark.slow
def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(LedgerError, match="connection") as raised:
        Database("postgresql+psycopg://me@127.0.0.1:9/db")
    assert "check that the server runs" in raised.value.hint


@pytest.mark.slow
def test_a_connection_that_the_server_dropped_between_rounds_is_made_anew(
    postgres_server: Server,
) -> None:
    url = postgres_server.new_database()
    fill(url)
    admin = create_engine(postgres_server.url("postgres"))
    with Store(url, "test", {}) as store:
        with admin.begin() as c:
            c.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE datname = '{make_url(url).database}'"
            )
        record(store, 1000, 1100)
        assert len(store.observations()) == 1100
    admin.dispose()
