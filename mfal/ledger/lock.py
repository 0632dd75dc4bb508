"""One campaign, one writer: a lock that lies in the ledger itself.

No decision looks at a clock that can be set. Of a process on this machine the system says
whether it runs. Of any other, only its heartbeat does: a counter in the ledger that the writer
raises and that others watch for a while, by their own monotonic clock. Should a writer lose its
lock while it merely slept, its next commit finds another token there, and is refused.
"""

import logging
import os
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, inspect, select, update

from mfal import process
from mfal.errors import LedgerError
from mfal.ledger.database import Database
from mfal.ledger.tables import locks
from mfal.sections import LockConfig

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
_BEATS = 6  # in the time after which a silent writer counts as dead


@dataclass(frozen=True, slots=True)
class Holder:
    """Who writes to a campaign.

    Attributes:
        beat: How often its heart has beaten.
        host: Name of its machine.
        system: Whose process numbers `pid` is one of; None where that is not known.
        started: When the process began, in its system's own count.
        since: When it took the lock, by its machine's clock, for people.
    """

    token: str
    beat: int
    host: str
    system: str | None
    pid: int
    started: str | None
    since: str

    @property
    def alive(self) -> bool | None:
        """Whether the process runs; None where that cannot be seen from here."""
        if self.system is None or self.system != process.system():
            return None
        return process.runs(self.pid, self.started)

    def __str__(self) -> str:
        who = "this process" if self.alive and self.pid == os.getpid() else "another process"
        return f"{who} (number {self.pid} on {self.host}, since {self.since})"


def holder(c: Connection, campaign_id: int) -> Holder | None:
    """Who holds the lock of a campaign, dead or alive; None if it is free."""
    if not inspect(c).has_table(locks.name):
        return None  # an older ledger that is only looked at
    columns = [locks.c[name] for name in Holder.__slots__]
    found = c.execute(select(*columns).where(locks.c.campaign_id == campaign_id)).one_or_none()
    return None if found is None or found.token is None else Holder(*found)


class Lock:
    """The right to write to a campaign, from `acquire` to `release`.

    Args:
        campaign: Its name, for errors.
    """

    def __init__(
        self, database: Database, campaign_id: int, campaign: str, config: LockConfig
    ) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._campaign = campaign
        self._config = config
        self._token = secrets.token_hex(16)
        self._released = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="mfal-heartbeat", daemon=True)

    def acquire(self) -> None:
        """Take the lock as soon as it is free or its holder is dead.

        Raises:
            LedgerError: if a living process holds it for longer than the configuration waits.
        """
        deadline = time.monotonic() + self._config.wait_seconds
        seen, seen_at, waits = None, time.monotonic(), False
        while True:
            now = time.monotonic()
            with self._database.read() as c:
                found = holder(c, self._campaign_id)
            silent = found == seen and now - seen_at >= self._config.stale_seconds
            if found is None or found.alive is False or (found.alive is None and silent):
                if self._take(found):
                    self._heart.start()
                    return
                continue
            beats = seen is not None and found.token == seen.token and found.beat != seen.beat
            if (found.alive or beats) and now >= deadline:
                raise self._refusal(found)
            if not waits:
                log.warning("%s: waiting: %s is at work", self._campaign, found)
                waits = True
            if found != seen:
                seen, seen_at = found, now
            time.sleep(_POLL_SECONDS)

    def check(self, c: Connection) -> None:
        """Raise LedgerError unless the lock is held; nobody can take it until `c` commits."""
        statement = (
            select(locks.c.token).where(locks.c.campaign_id == self._campaign_id).with_for_update()
        )
        if c.execute(statement).scalar_one() == self._token:
            return
        found = holder(c, self._campaign_id)
        raise LedgerError(
            f"{self._database.name}: campaign {self._campaign!r} was taken over by "
            f"{found or 'a process that has ended since'}, as nothing was heard from this one",
            "let the other end; what was recorded is safe, and nothing was written since",
        )

    def release(self) -> None:
        """Let the lock go, if it is still held."""
        self._released.set()
        if self._heart.ident is not None:
            self._heart.join()
        free = {column.name: None for column in locks.c if not column.primary_key}
        try:
            with self._database.write() as c:
                c.execute(update(locks).where(*self._ours()).values(free))
        except LedgerError as error:
            # Whoever comes next sees that this process has ended.
            log.warning("the lock could not be let go: %s", error.message)

    def _take(self, found: Holder | None) -> bool:
        """Whether the lock passed from the one that was found there to this process."""
        token, beat = (found.token, found.beat) if found else (None, None)
        if found:
            log.warning("%s: taking over from %s, which is dead", self._campaign, found)
        own = {
            "token": self._token,
            "beat": 0,
            "host": process.host(),
            "system": process.system(),
            "pid": os.getpid(),
            "started": process.started(os.getpid()),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        as_found = (
            locks.c.campaign_id == self._campaign_id,
            locks.c.token.is_not_distinct_from(token),
            locks.c.beat.is_not_distinct_from(beat),
        )
        with self._database.write() as c:
            return c.execute(update(locks).where(*as_found).values(own)).rowcount == 1

    def _beat(self) -> None:
        while not self._released.wait(self._config.stale_seconds / _BEATS):
            try:
                with self._database.write() as c:
                    raised = update(locks).where(*self._ours()).values(beat=locks.c.beat + 1)
                    if not c.execute(raised).rowcount:
                        return  # the next commit says so
            except LedgerError as error:
                log.warning("%s: no heartbeat: %s", self._campaign, error.message)

    def _ours(self) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return locks.c.campaign_id == self._campaign_id, locks.c.token == self._token

    def _refusal(self, found: Holder) -> LedgerError:
        waited = f" after {self._config.wait_seconds:g} s" if self._config.wait_seconds else ""
        return LedgerError(
            f"{self._database.name}: {found} is working on campaign {self._campaign!r}{waited}",
            "wait until it ends, stop it, or set lock.wait_seconds; nothing was spent here",
        )
