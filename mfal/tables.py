"""The tables of a ledger, and how its database is opened.

Append-only: triggers refuse to change or delete a query or an outcome.
"""

from pathlib import Path
from typing import Any

from sqlalchemy import (
    DDL,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    func,
    inspect,
    select,
    update,
)
from sqlalchemy.pool import ConnectionPoolEntry

from mfal.errors import LedgerError

# 2: rounds.weights
SCHEMA_VERSION = 2

metadata = MetaData()

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("identity", Text, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("created_at", String(32), nullable=False),
)
rounds = Table(
    "rounds",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("campaign_id", ForeignKey("campaigns.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("seed", String(20), nullable=False),
    Column("config", Text, nullable=False),
    Column("versions", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("begun_at", String(32), nullable=False),
    Column("finished_at", String(32)),
    # What the next round's sampler may start from: bytes that only the sampler understands.
    Column("weights", LargeBinary),
    UniqueConstraint("campaign_id", "number"),
)
queries = Table(
    "queries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("campaign_id", ForeignKey("campaigns.id"), nullable=False),
    Column("round_id", ForeignKey("rounds.id"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("key", Text, nullable=False),
    Column("fidelity", String(64), nullable=False),
    Column("cost", Float, nullable=False),
    # Nothing is ever bought twice, whoever asks.
    UniqueConstraint("campaign_id", "key", "fidelity"),
)
outcomes = Table(
    "outcomes",
    metadata,
    Column("query_id", ForeignKey("queries.id"), primary_key=True),
    Column("values", Text),
    Column("error", Text),
    Column("seconds", Float, nullable=False),
    Column("cost", Float, nullable=False),
    Column("backend", Text, nullable=False),
    Column("recorded_at", String(32), nullable=False),
)

for table, change in [(t, c) for t in (queries, outcomes) for c in ("UPDATE", "DELETE")]:
    trigger = DDL(  # type: ignore[no-untyped-call]
        f"CREATE TRIGGER IF NOT EXISTS {table.name}_no_{change.lower()} BEFORE {change} ON "
        f"{table.name} BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    )
    event.listen(table, "after_create", trigger.execute_if(dialect="sqlite"))


def upgrade(c: Connection, url: str) -> None:
    """Bring the tables of an older ledger to this schema; all that they hold stays as it is.

    Raises:
        LedgerError: if the ledger is of a later schema than this.
    """
    found = c.execute(select(func.max(campaigns.c.schema_version))).scalar_one()
    if found is None or found == SCHEMA_VERSION:
        return
    if found > SCHEMA_VERSION:
        raise LedgerError(
            f"{url}: the ledger is of schema {found}, and this mfal knows up to {SCHEMA_VERSION}",
            "a later mfal has worked on it: use that one",
        )
    weights = rounds.c.weights
    if weights.name not in {column["name"] for column in inspect(c).get_columns(rounds.name)}:
        kind = weights.type.compile(c.dialect)
        c.exec_driver_sql(f"ALTER TABLE {rounds.name} ADD COLUMN {weights.name} {kind}")
    c.execute(update(campaigns).values(schema_version=SCHEMA_VERSION))


def sqlite_url(folder: Path) -> str:
    """URL of the ledger in a campaign's folder, which is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(
            f"{folder}: the campaign's folder cannot be made: {error}",
            "set data_dir to a folder that may be written",
        ) from error
    return f"sqlite:///{folder / 'ledger.db'}"


def open_database(url: str) -> Engine:
    """An engine on the database at an SQLAlchemy URL; SQLite in WAL mode, with full syncs."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _: ConnectionPoolEntry) -> None:  # noqa: ANN401
    # SQLAlchemy's documented recipe: take transaction control away from the driver, so that
    # a writer can lock at its start rather than fail half-way.
    connection.isolation_level = None
    for pragma in (
        "busy_timeout=30000",
        "journal_mode=WAL",
        "synchronous=FULL",  # answers are paid for: a commit survives a power cut
        "foreign_keys=ON",
        "recursive_triggers=ON",  # REPLACE is a deletion, too
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("mfal_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
