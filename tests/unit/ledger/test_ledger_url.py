"""Ledgers at a URL: their secrets, and servers that refuse, are away, or drop a connection."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import DBAPIError

from mfal.config import parse_config
from mfal.errors import ConfigError, LedgerError
from mfal.ledger.database import Database, resolve
from mfal.ledger.finding import find_campaign
from mfal.ledger.store import Store
from mfal.sections import LockConfig
from mfal.types import Query
from tests.postgres import Server
from tests.support import motif_settings
from tests.unit.half_answered import fill, record
from tests.unit.ledgers import A, answered, begin, rows


@pytest.mark.slow
def test_who_did_not_make_the_tables_works_with_them_if_let(postgres_server: Server) -> None:
    url = postgres_server.new_database()
    with Store(url, "one", {}):
        pass
    name = make_url(url).database
    assert name is not None
    if not rows(url, "SELECT 1 FROM pg_roles WHERE rolname = 'anna'"):
        rows(url, "CREATE ROLE anna LOGIN")
    with pytest.raises(LedgerError, match="permission denied for") as raised:
        Store(postgres_server.url(name, "anna"), "two", {})
    for grant in ("SELECT, INSERT, UPDATE, DELETE ON ALL TABLES", "USAGE ON ALL SEQUENCES"):
        assert f"GRANT {grant} IN SCHEMA public" in raised.value.hint
        rows(url, f"GRANT {grant} IN SCHEMA public TO anna")
    with Store(postgres_server.url(name, "anna"), "two", {}) as store:
        fill_round(store)
        assert len(store.observations()) == 1
    with pytest.raises(DBAPIError, match="append-only"):
        rows(url, "DELETE FROM outcomes")


def fill_round(store: Store) -> None:
    store.declare({"objective": [], "fidelity": []})
    begin(store, 0, A)
    store.record([(A, answered(), "engine")])
    store.finish_round(0)


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


LONG = "".join(random.Random(0).choices("ACDEFGHIKLMNPQRSTVWY", k=9000))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://host:abc/secret",
        "postgresql+psycopg://host:${PORT}/secret",
        "postgresql+psycopg://me:secret/db",
        "secret",
    ],
)
def test_a_url_that_cannot_be_read_is_named_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="ledger: its URL cannot be read") as raised:
        resolve(url)
    assert "the port in digits" in raised.value.hint
    assert "secret" not in str(raised.value) and raised.value.__suppress_context__


@pytest.mark.slow
@pytest.mark.parametrize("key", [LONG[:3000], LONG], ids=["key", "longer key"])
def test_a_key_that_is_too_long_for_a_server_is_named(postgres_server: Server, key: str) -> None:
    with Store(postgres_server.new_database(), "test", {}) as store:
        with pytest.raises(LedgerError, match="the ledger cannot be written") as raised:
            begin(store, 0, Query(key, "low"))
        assert "shorter keys" in raised.value.hint and store.outline() == []


@pytest.mark.slow
def test_two_that_begin_a_campaign_at_once_take_turns(
    postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_server.new_database()
    Database(url).close()  # makes the tables
    looked, both = find_campaign, threading.Barrier(2)

    def look_together(*arguments: Any) -> int | None:
        found = looked(*arguments)
        if found is None:
            both.wait(30)
        return found

    monkeypatch.setattr("mfal.ledger.store.find_campaign", look_together)

    def enter(i: int) -> None:
        with Store(url, "test", {}, LockConfig(wait_seconds=60)) as store:
            begin(store, i, Query(f"{i}", "low"))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(enter, range(2)))
    assert rows(url, "SELECT name FROM campaigns") == [("test",)]
    assert rows(url, "SELECT number FROM rounds ORDER BY number") == [(0,), (1,)]


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
