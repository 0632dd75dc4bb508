"""Who may open a ledger: onlookers, several campaigns, other identities, other schemas."""

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from mfal.errors import LedgerError, NoLedgerError
from mfal.ledger.reading import Ledger, RoundInfo, read_ledger
from mfal.ledger.store import Store
from mfal.ledger.tables import SCHEMA_VERSION
from mfal.sections import LockConfig
from tests.unit.ledgers import IDENTITY, A, B, C, answered, begin, rows


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
    with open_store() as store:
        begin(store, 0, A)
    changed = IDENTITY | {"seed": 2, "costs": {"low": 2.0}, "initial": {"queries": 3}}
    with pytest.raises(LedgerError) as raised:
        open_store(identity=changed)
    message = raised.value.message
    assert "campaign 'test'" in message and message.startswith(ledger_url.partition("?")[0])
    assert "seed was 1, is now 2" in message
    assert "costs.low was 1, is now 2" in message
    assert "initial.queries was null, is now 3" in message
    assert "problem" not in message
    assert "name" in raised.value.hint
    with pytest.raises(LedgerError, match="seed was 1, is now 2"):
        read_ledger(ledger_url, "test", changed)
    open_store()  # the refusal changed nothing


def test_a_configuration_may_be_mended_until_the_first_round(
    open_store: Callable[..., Store], ledger_url: str
) -> None:
    mended = IDENTITY | {"seed": 2}
    open_store().close()
    with pytest.raises(NoLedgerError, match="there is no ledger of campaign 'test'"):
        read_ledger(ledger_url, "test", mended)
    with open_store(identity=mended) as store:
        read_ledger(ledger_url, "test", mended).close()
        begin(store, 0, A)
    open_store(identity=mended).close()
    for look in (open_store, lambda *given: read_ledger(ledger_url, *given)):
        with pytest.raises(LedgerError, match="seed was 2, is now 1"):
            look("test", IDENTITY)


def test_what_another_process_is_about_to_begin_is_left_as_it_is(
    open_store: Callable[..., Store], ledger_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    mended = IDENTITY | {"seed": 2}
    first = open_store()
    with pytest.raises(LedgerError, match="is working on campaign 'test'"):
        open_store(identity=mended)
    read_ledger(ledger_url, "test", IDENTITY).close()
    # Another one waits for the lock, and finds what was begun meanwhile.
    with ThreadPoolExecutor() as pool:
        second = pool.submit(Store, ledger_url, "test", mended, LockConfig(wait_seconds=60))
        while "waiting: this process" not in caplog.text:
            assert not second.done()
            time.sleep(0.01)
        begin(first, 0, A)
        first.close()
        with pytest.raises(LedgerError, match="seed was 1, is now 2"):
            second.result()
    with read_ledger(ledger_url, "test", IDENTITY) as ledger:
        assert ledger.pending(0) == [A] and ledger.holder() is None


def test_a_file_that_was_copied_for_another_campaign_is_refused(tmp_path: Path) -> None:
    first, second = (f"sqlite:///{tmp_path / name / 'ledger.db'}" for name in "ab")
    with Store(first, "a", IDENTITY) as store:
        begin(store, 0, A)
    (tmp_path / "b").mkdir()
    shutil.copy(tmp_path / "a" / "ledger.db", tmp_path / "b")
    for look in (Store, read_ledger):
        with pytest.raises(LedgerError, match="is the ledger of campaign 'a', and holds") as raised:
            look(second, "b", IDENTITY)
        assert not isinstance(raised.value, NoLedgerError)
        assert "set name to 'a'" in raised.value.hint and "move the file away" in raised.value.hint
    assert rows(second, "SELECT name FROM campaigns") == [("a",)]
    with Store(second, "a", IDENTITY) as store:
        assert store.pending(0) == [A]


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
