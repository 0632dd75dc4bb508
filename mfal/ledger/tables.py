"""The tables of a ledger, and how those of an older one are brought to this schema.

Append-only: triggers refuse to change or delete a query or an outcome.
"""

from sqlalchemy import (
    DDL,
    Column,
    Connection,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    func,
    inspect,
    select,
    update,
)

from mfal.errors import LedgerError
from mfal.types import LONGEST_NAME

# 2: rounds.weights; 3: locks; 4: declarations
SCHEMA_VERSION = 4

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
    Column("fidelity", String(LONGEST_NAME), nullable=False),
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

# One row for each campaign: who writes to it. All but the campaign is empty while nobody does.
locks = Table(
    "locks",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.id"), primary_key=True),
    Column("token", String(32)),  # of one writer, checked by every one of its commits
    Column("beat", Integer),  # goes up while the writer lives
    Column("host", Text),
    Column("system", Text),  # whose process numbers these are
    Column("pid", Integer),
    Column("started", Text),  # tells the process from a later one of its number
    Column("since", String(32)),
)

# What the problem of a campaign declares; see `mfal.ledger.declared`.
declarations = Table(
    "declarations",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.id"), primary_key=True),
    Column("declared", Text, nullable=False),
)

_REFUSAL = "the ledger is append-only"
_REFUSE = DDL(  # type: ignore[no-untyped-call]
    "CREATE OR REPLACE FUNCTION mfal_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
)
for table in (queries, outcomes):  # with the tables alone: only its owner may replace a function
    event.listen(table, "before_create", _REFUSE.execute_if(dialect="postgresql"))

for table, change in [(t, c) for t in (queries, outcomes) for c in ("UPDATE", "DELETE")]:
    name, when = f"{table.name}_no_{change.lower()}", f"BEFORE {change} ON {table.name}"
    for dialect, statement in (
        (
            "sqlite",
            f"CREATE TRIGGER IF NOT EXISTS {name} {when} "
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END",
        ),
        (
            "postgresql",
            f"CREATE TRIGGER {name} {when} FOR EACH ROW EXECUTE FUNCTION mfal_append_only()",
        ),
    ):
        trigger = DDL(statement)  # type: ignore[no-untyped-call]
        event.listen(table, "after_create", trigger.execute_if(dialect=dialect))


def check_schema(c: Connection, name: str) -> None:
    """Raise LedgerError if the ledger called `name` is of a later schema than this."""
    if not inspect(c).has_table(campaigns.name):
        return
    found = c.execute(select(func.max(campaigns.c.schema_version))).scalar_one()
    if found is not None and found > SCHEMA_VERSION:
        raise LedgerError(
            f"{name}: the ledger is of schema {found}, and this mfal knows up to {SCHEMA_VERSION}",
            "a later mfal has worked on it: use that one",
        )


def make_tables(c: Connection) -> None:
    """Make what tables are missing; all that an older ledger holds stays as it is."""
    metadata.create_all(c)
    weights = rounds.c.weights
    if weights.name not in {column["name"] for column in inspect(c).get_columns(rounds.name)}:
        kind = weights.type.compile(c.dialect)
        c.exec_driver_sql(f"ALTER TABLE {rounds.name} ADD COLUMN {weights.name} {kind}")
    older = campaigns.c.schema_version < SCHEMA_VERSION
    c.execute(update(campaigns).where(older).values(schema_version=SCHEMA_VERSION))
