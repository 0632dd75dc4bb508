"""The database of a ledger: an SQLite file or a PostgreSQL server, and what to do if it refuses."""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError

from mfal.errors import ConfigError, LedgerError, MissingDependencyError, NoLedgerError
from mfal.ledger.damage import damaged_row
from mfal.ledger.sqlite import damage, make_file, open_file
from mfal.ledger.tables import campaigns, check_schema, make_tables

_MAKING = 5_462_151  # names the advisory lock under which tables are made

_IDLE_SECONDS = 60.0
"""After which a server gives up a transaction whose machine has vanished, and others may write."""

_SAFE = "what was recorded before is safe, and the same command goes on"
# A pattern in what was said, and what to do then; the first that fits.
_FULL = "full|no space|i/o error", f"make room on that disk, or set data_dir to another; {_SAFE}"
_LOCKED = "locked", f"end the program that holds the database for so long; {_SAFE}"
_ANYTHING = (
    "",
    "check that the folder exists, may be written and has space, or set data_dir to one that "
    f"does; {_SAFE}",
)
_OF_A_FILE = (
    # First, since what is damaged is named.
    (
        "malformed|not a database|damaged",
        "keep a copy of the file; bring a backup back, or what `sqlite3 ledger.db .recover` saves "
        "of it; or set data_dir to another folder to begin anew",
    ),
    _FULL,
    _LOCKED,
    _ANYTHING,
)
_OF_A_SERVER = (
    # First, since the server goes on about full text indexes.
    (
        "index row (size|requires)",
        "a candidate's key is too long for PostgreSQL, which holds about 2,700 bytes of it after "
        "compression: have the environment write shorter keys, or keep the ledger in SQLite, "
        "without `ledger`; nothing was asked",
    ),
    (
        "permission denied for|must be owner",
        "have the owner of the tables let this user work with them: GRANT SELECT, INSERT, UPDATE, "
        "DELETE ON ALL TABLES IN SCHEMA public, and GRANT USAGE ON ALL SEQUENCES IN SCHEMA public; "
        "who is to make them needs GRANT CREATE ON SCHEMA public",
    ),
    _FULL,
    _LOCKED,
    (
        "connect|server|authentication|ssl",
        "check that the server runs and knows you; a password comes from ~/.pgpass, from "
        f"PGPASSWORD, or from the environment by ${{NAME}} in `ledger`; {_SAFE}",
    ),
    _ANYTHING,
)


class Database:
    """Short transactions on the database at an SQLAlchemy URL.

    Args:
        url: Of SQLite or PostgreSQL; see `resolve`.
        to_read: Change nothing, not even to bring an older ledger to the schema of today.

    Attributes:
        name: The URL without a password.

    Raises:
        LedgerError: if the database cannot be opened, is damaged or is of a later schema;
            NoLedgerError if it is to be read and there is none.
    """

    def __init__(self, url: str, *, to_read: bool = False) -> None:
        self._url = resolve(url)
        self.name = self._url.render_as_string(hide_password=True)
        sqlite = self._url.get_backend_name() == "sqlite"
        self.path = Path(self._url.database or "") if sqlite else None
        self._engine = self._open(to_read)
        try:
            self._prepare(to_read)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that changes nothing."""
        with self._explained("read"), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block, or leaves nothing.

        Raises:
            IntegrityError: if a row is there already; the caller knows what that means.
            LedgerError: for any other refusal of the database.
        """
        engine = self._engine.execution_options(mfal_write=True)
        with self._explained("written"), engine.begin() as connection:
            yield connection

    def _open(self, to_read: bool) -> Engine:
        if self.path is None:
            engine = create_engine(
                self._url,
                pool_pre_ping=True,  # a connection that the server has dropped is made anew
                # A plan made while a table is empty would be kept while it grows.
                connect_args={"prepare_threshold": None},
                execution_options={"postgresql_readonly": to_read},
            )
            event.listen(engine, "connect", _limit_idleness)
            return engine
        try:
            if to_read and not _is_there(self.path):
                raise _no_ledger(self.name)
        except OSError as error:
            raise self._explain("read", error) from error
        try:
            make_file(self.path)
        except (OSError, sqlite3.Error) as error:
            raise self._explain("made", error) from error
        return open_file(self.path, to_read=to_read)

    def _prepare(self, to_read: bool) -> None:
        if to_read:
            with self.read() as c:
                if not inspect(c).has_table(campaigns.name):
                    raise _no_ledger(self.name)
                check_schema(c, self.name)
                self._check_rows(c)
            return
        with self.write() as c:
            if self.path is None:
                c.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _MAKING})
            elif (found := damage(c, self.path)) is not None:
                raise self._explain("read", f"damaged: {found}")
            check_schema(c, self.name)
            self._check_rows(c)
            make_tables(c)

    def _check_rows(self, c: Connection) -> None:
        found = None if self.path is None else damaged_row(c)
        if found is not None:
            raise self._explain("read", f"damaged: {found}")

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise self._explain(done, error.orig) from error

    def _explain(self, done: str, reason: object) -> LedgerError:
        """What the database said, without a password, and what to do about it."""
        said = " ".join(str(reason).split())
        if self._url.password:
            said = said.replace(self._url.password, "***")
        remedies = _OF_A_SERVER if self.path is None else _OF_A_FILE
        # Without the path, which may hold any of the words.
        why = reason.strerror or "" if isinstance(reason, OSError) else said
        hint = next(h for pattern, h in remedies if re.search(pattern, why, re.IGNORECASE))
        return LedgerError(f"{self.name}: the ledger cannot be {done}: {said}", hint)


def resolve(url: str) -> URL:
    """The URL with each ``${NAME}`` in its user, password, host and database filled in.

    Raises:
        ConfigError: if it is no URL, or the environment has no such variable.
        MissingDependencyError: for PostgreSQL without psycopg.
    """
    kind, _, path = url.partition(":///")
    if kind == "sqlite":
        return URL.create("sqlite", database=path)  # whatever letters the path has
    parsed = _parsed(url)
    parsed = parsed.set(
        username=_filled(parsed.username, "user"),
        password=_filled(parsed.password, "password"),
        host=_filled(parsed.host, "host"),
        database=_filled(parsed.database, "database"),
    )
    if parsed.get_backend_name() == "postgresql" and find_spec("psycopg") is None:
        raise MissingDependencyError(
            "a ledger in PostgreSQL needs the package psycopg, which is not installed",
            "in the checkout of mfal: make setup, or pip install -e '.[postgres]'",
        )
    return parsed


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        # Without the text, and without what was raised: either may hold a password.
        raise ConfigError(
            "ledger: its URL cannot be read",
            "write postgresql+psycopg://user:${PASSWORD}@host:5432/database, the port in digits; "
            "${NAME} is filled in for the user, the password, the host and the database",
        ) from None


def _filled(text: str | None, part: str) -> str | None:
    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise ConfigError(
                f"ledger: the {part} is to come from ${{{match[1]}}}, which is not set",
                f"export {match[1]} before the command",
            )
        return found

    return None if text is None else re.sub(r"\$\{(\w+)\}", value, text)


def _limit_idleness(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    limit = f"{_IDLE_SECONDS * 1000:.0f}"  # in milliseconds
    cursor.execute(f"SET idle_in_transaction_session_timeout = {limit}")
    cursor.close()
    connection.commit()  # else it would be forgotten with the first transaction that is


def _is_there(path: Path) -> bool:
    """Whether there is a file, or a link to nothing; OSError where that cannot be seen."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _no_ledger(name: str) -> NoLedgerError:
    return NoLedgerError(f"{name}: there is no ledger", "run a round first: mfal round")
