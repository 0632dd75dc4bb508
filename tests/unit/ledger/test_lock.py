"""One campaign, one writer: who gets the lock, who waits, who is told to stop."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from mfal import process
from mfal.errors import LedgerError
from mfal.ledger.database import Database
from mfal.ledger.lock import Holder, Lock
from mfal.ledger.reading import read_ledger
from mfal.ledger.store import Store
from mfal.ledger.tables import locks
from mfal.sections import LockConfig
from mfal.types import Outcome, Query
from tests.postgres import Server

A, B = Query("AA", "low"), Query("CC", "low")
ANSWER = Outcome((1.0,), None, 0.5)
QUICK = LockConfig(stale_seconds=0.6)  # a beat each 0.1 s


@contextmanager
def opened(url: str, lock: LockConfig = QUICK, campaign: str = "test") -> Iterator[Store]:
    with Store(url, campaign, {}, lock) as store:
        yield store


def holder(url: str) -> Holder | None:
    with read_ledger(url, "test", {}) as ledger:
        return ledger.holder()


def pretend(url: str, **changes: Any) -> None:
    """Make the lock look as if another process held it."""
    database = Database(url)
    with database.write() as c:
        c.execute(update(locks).values(changes))
    database.close()


def left_behind(url: str, **changes: Any) -> None:
    """A lock of a process that is no more: of this machine's, unless changed."""
    with opened(url) as store:
        store.begin_round(
            0, [(A, 1.0), (B, 1.0)], kind="batch", seed=0, config={}, versions={}, record={}
        )
    dead = subprocess.Popen(["true"])
    dead.wait()
    mark: dict[str, Any] = {
        "token": "left", "beat": 3, "host": "here", "system": process.system(), "pid": dead.pid,
        "started": "1", "since": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    pretend(url, **(mark | changes))


@pytest.mark.slow
def test_a_machine_that_vanishes_within_a_commit_is_taken_over_from(
    postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mfal.ledger.database._IDLE_SECONDS", 2.0)
    url = postgres_server.new_database()
    with opened(url) as store:
        store._lock._released.set()  # its heart stands still
        with store._database._engine.connect() as vanished:
            store._lock.check(vanished)  # the beginning of a commit that never ends
            monkeypatch.setattr(process, "system", lambda: "another machine")
            taken: list[str] = []

            def take() -> None:
                with opened(url) as other:
                    taken.append(other.url)

            taker = threading.Thread(target=take, daemon=True)
            taker.start()
            taker.join(60)
            assert taken == [store.url]
            with pytest.raises(DBAPIError, match="idle-in-transaction timeout"):
                vanished.exec_driver_sql("SELECT 1")
        with pytest.raises(LedgerError, match="was taken over"):
            store.finish_round(0)


def test_the_lock_says_who_holds_it_and_is_free_again_afterwards(ledger_url: str) -> None:
    with opened(ledger_url):
        found = holder(ledger_url)
        assert found is not None and found.alive is True
        assert (found.pid, found.host, found.system) == (
            os.getpid(), process.host(), process.system()
        )  # fmt: skip
        assert found.started == process.started(os.getpid())
    assert holder(ledger_url) is None


def test_a_second_writer_is_told_who_is_at_work(ledger_url: str) -> None:
    with opened(ledger_url):
        with pytest.raises(LedgerError) as raised, opened(ledger_url):
            pass
        message = raised.value.message
        assert f"this process (number {os.getpid()} on {process.host()}, since 2" in message
        assert "is working on campaign 'test'" in message
        assert "lock.wait_seconds" in raised.value.hint
        with opened(ledger_url, campaign="other"):
            pass  # a campaign beside it in the same database is free
    with opened(ledger_url):
        pass


def test_a_second_writer_waits_as_long_as_it_is_told_to(ledger_url: str) -> None:
    with opened(ledger_url):
        started = time.monotonic()
        with (
            pytest.raises(LedgerError, match=r"is working on campaign 'test' after 0.5 s"),
            opened(ledger_url, LockConfig(wait_seconds=0.5)),
        ):
            pass
        assert time.monotonic() - started >= 0.5


def test_a_second_writer_goes_on_when_the_first_has_ended(ledger_url: str) -> None:
    first = Store(ledger_url, "test", {}, QUICK)
    started = time.monotonic()
    threading.Timer(0.6, first.close).start()
    with opened(ledger_url, LockConfig(wait_seconds=60)):
        assert 0.5 < time.monotonic() - started < 20


@pytest.mark.parametrize(
    "changes",
    [{}, {"pid": os.getpid()}, {"pid": os.getpid(), "started": None}],
    ids=["no such process", "a later process of that number", "start unknown"],
)
def test_a_dead_process_of_this_machine_leaves_no_lock(
    ledger_url: str, changes: dict[str, Any]
) -> None:
    left_behind(ledger_url, **changes)
    with opened(ledger_url, LockConfig(stale_seconds=3600)) as store:  # at once
        store.record([(A, ANSWER, "engine")])
        assert store.pending(0) == [B]


def test_a_process_that_nobody_has_buried_is_dead(ledger_url: str) -> None:
    child = subprocess.Popen(["sleep", "60"])
    left_behind(ledger_url, pid=child.pid, started=process.started(child.pid))
    assert process.runs(child.pid, process.started(child.pid))
    child.kill()
    while process.started(child.pid) is not None:  # until it is a zombie
        time.sleep(0.01)
    with opened(ledger_url, LockConfig(stale_seconds=3600)):
        pass
    child.wait()


def test_a_stopped_process_of_this_machine_keeps_its_lock(ledger_url: str) -> None:
    child = subprocess.Popen(["sleep", "60"])
    left_behind(ledger_url, pid=child.pid, started=process.started(child.pid))
    config = LockConfig(wait_seconds=0.5, stale_seconds=0.1)  # silent for longer than that
    with (
        pytest.raises(LedgerError, match=f"number {child.pid} on here"),
        opened(ledger_url, config),
    ):
        pass
    child.kill()
    child.wait()


@pytest.mark.parametrize("system", ["another machine", None])
def test_another_machine_that_is_silent_is_dead_after_a_while(
    ledger_url: str, system: str | None
) -> None:
    left_behind(ledger_url, system=system, pid=1)
    started = time.monotonic()
    with opened(ledger_url, QUICK) as store:
        assert QUICK.stale_seconds <= time.monotonic() - started < 10
        store.record([(A, ANSWER, "engine")])


@contextmanager
def heart(url: str, seconds: float) -> Iterator[None]:
    """A heart on another machine."""
    stop = threading.Event()
    database = Database(url)

    def beat() -> None:
        while not stop.wait(seconds):
            with database.write() as c:
                c.execute(update(locks).values(beat=locks.c.beat + 1))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        database.close()


def test_another_machine_whose_heart_beats_is_let_be(ledger_url: str) -> None:
    left_behind(ledger_url, system="another machine", host="there")
    started = time.monotonic()
    config = LockConfig(stale_seconds=60)
    with heart(ledger_url, 0.3):
        with pytest.raises(LedgerError, match="on there"), opened(ledger_url, config):
            pass
        assert time.monotonic() - started < 20  # as soon as a beat was seen
    found = holder(ledger_url)
    assert found is not None and found.token == "left"


def test_the_heart_of_a_writer_beats(ledger_url: str) -> None:
    with opened(ledger_url):
        deadline = time.monotonic() + 20
        while (found := holder(ledger_url)) is None or found.beat < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)


Write = Callable[[Store], object]


@pytest.mark.parametrize(
    "write",
    [
        lambda s: s.record([(A, ANSWER, "late")]),
        lambda s: s.finish_round(0),
        lambda s: s.begin_round(1, [], kind="x", seed=0, config={}, versions={}, record={}),
        lambda s: s.import_round(1, [], config={}, versions={}, record={}),
    ],
    ids=["record", "finish_round", "begin_round", "import_round"],
)
def test_who_lost_the_lock_in_its_sleep_writes_nothing_more(ledger_url: str, write: Write) -> None:
    left_behind(ledger_url)
    sleeper = Store(ledger_url, "test", {}, LockConfig(stale_seconds=3600))  # no beat in this test
    pretend(ledger_url, system="another machine", host="there")  # as the next one sees it
    with opened(ledger_url, QUICK) as successor:
        with pytest.raises(LedgerError, match="'test' was taken over by this process") as raised:
            write(sleeper)
        assert "nothing was written since" in raised.value.hint
        sleeper.close()  # which does not take the lock from its successor
        successor.record([(B, ANSWER, "engine")])
        assert [r.number for r in successor.rounds()] == [0]
        assert [(o.query, o.backend) for o in successor.observations()] == [(B, "engine")]
    assert holder(ledger_url) is None
    with pytest.raises(LedgerError, match="taken over by a process that has ended since"):
        write(sleeper)
    sleeper.close()


@pytest.mark.parametrize("step", [-86_400.0, 86_400.0], ids=["back", "forward"])
def test_clocks_that_jump_take_no_lock_and_keep_none(
    ledger_url: str, step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All of the ledger's own times are text for people; none of them decides.
    left_behind(ledger_url, system="another machine", host="there")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + step)
    with (
        heart(ledger_url, 0.2),
        pytest.raises(LedgerError, match="on there"),
        opened(ledger_url, LockConfig(wait_seconds=1.5, stale_seconds=1.2)),
    ):
        pass
    with opened(ledger_url, QUICK):  # and without a heart it passes on, as ever
        pass


CHILD = """
import sys
from mfal.errors import LedgerError
from mfal.ledger.store import Store
from mfal.types import Outcome, Query

print("ready", flush=True)
sys.stdin.readline()
try:
    with Store(sys.argv[1], "test", {}) as store:
        asked = [Query(f"{i}", "low") for i in range(40)]
        store.begin_round(
            0, [(q, 1.0) for q in asked], kind="x", seed=0, config={}, versions={}, record={}
        )
        sys.stdin.readline()
        for query in asked:
            store.record([(query, Outcome((1.0,), None, 0.0), "engine")])
        store.finish_round(0)
except LedgerError as error:
    sys.exit(error.message)
"""


@pytest.mark.slow
def test_of_twenty_that_start_at_once_one_runs_and_the_rest_say_why(ledger_url: str) -> None:
    pipe = subprocess.PIPE
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, ledger_url],
            stdin=pipe, stdout=pipe, stderr=pipe, text=True,
        )
        for _ in range(20)
    ]  # fmt: skip
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    deadline = time.monotonic() + 120
    while sum(child.poll() is None for child in children) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (winner,) = (child for child in children if child.poll() is None)
    _, complaint = winner.communicate("finish\n", timeout=120)
    assert (winner.returncode, complaint) == (0, "")
    for loser in (child for child in children if child is not winner):
        assert loser.returncode == 1 and loser.stderr is not None
        assert f"another process (number {winner.pid} on " in loser.stderr.read()
    with read_ledger(ledger_url, "test", {}) as ledger:
        assert [(r.number, r.finished) for r in ledger.rounds()] == [(0, True)]
        assert len(ledger.observations()) == 40 and ledger.holder() is None


def test_a_heart_that_beats_while_its_lock_is_taken_keeps_it(ledger_url: str) -> None:
    left_behind(ledger_url, system="another machine", beat=3)
    found, database = holder(ledger_url), Database(ledger_url)
    lock = Lock(database, 1, "test", QUICK)
    pretend(ledger_url, beat=4)  # after it was found silent
    assert not lock._take(found)
    assert holder(ledger_url) == replace(found, beat=4) if found else False
    assert lock._take(holder(ledger_url))
    database.close()
