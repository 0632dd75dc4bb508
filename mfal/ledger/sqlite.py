"""The file of an SQLite ledger: how it comes to be, and how it is opened."""

import os
import secrets
import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

PRAGMAS = (
    "busy_timeout=30000",
    "synchronous=FULL",  # answers are paid for: a commit survives a power cut
    "foreign_keys=ON",
    "recursive_triggers=ON",  # REPLACE is a deletion, too
)


def make_file(path: Path) -> None:
    """Put an empty database there unless there is a file, with its folder.

    It appears whole, already in the mode that lets readers work beside the writer. So a file
    without a byte is never one that another process is about to fill.

    Raises:
        OSError, sqlite3.Error: if that cannot be.
    """
    if path.exists():
        return
    if path.is_symlink():
        raise FileNotFoundError(f"it is a link to {path.readlink()}, which is not there")
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        connection = sqlite3.connect(made)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
        os.link(made, path)
    except FileExistsError:
        return  # another process was faster
    finally:
        made.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def open_file(path: Path, *, to_read: bool) -> Engine:
    """An engine on an SQLite database that exists."""
    engine = create_engine(
        "sqlite://", creator=lambda: _connect(path, to_read), poolclass=QueuePool
    )
    event.listen(engine, "begin", _begin)
    return engine


def damage(c: Connection, path: Path) -> str | None:
    """What is wrong with the pages of an SQLite file; None for a sound one."""
    found = str(c.exec_driver_sql("PRAGMA quick_check(1)").scalar_one())
    if found != "ok":
        return " ".join(found.split())
    page = int(c.exec_driver_sql("PRAGMA page_size").scalar_one())
    if _is_alone(path) and path.stat().st_size % page:  # SQLite reads zeros for what is cut off
        return "the last page is not whole"
    return None


def _is_alone(path: Path) -> bool:
    """Whether all that was committed is in the file itself, and not in its journal."""
    journal = path.with_name(f"{path.name}-wal")
    return not journal.exists() or not journal.stat().st_size


def _connect(path: Path, to_read: bool) -> sqlite3.Connection:
    if path.stat().st_size == 0:
        raise sqlite3.DatabaseError("malformed: the file is empty")
    mode = "rw"
    if to_read and not (os.access(path.parent, os.W_OK) and os.access(path, os.W_OK)):
        # Nothing changes what nobody may write, unless a writer is at work from elsewhere. And
        # whoever may write in the folder alone must not: its journal would shut the owner out.
        mode = "ro&immutable=1" if _is_alone(path) else "ro"
    # Transactions are SQLAlchemy's, not the driver's, as its documentation advises: a writer
    # locks at its start rather than fail half-way. The pool hands connections to other threads.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    # The mode stays with a file, but not with one that was rebuilt from a damaged one.
    for pragma in (*PRAGMAS, "query_only=ON" if to_read else "journal_mode=WAL"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("mfal_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
