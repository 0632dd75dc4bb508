"""What a ledger says of a campaign: rounds, queries, answers, cost. Reading only."""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from sqlalchemy import Row, Select, func, select

from mfal.budget import total_of_counted
from mfal.errors import NoLedgerError
from mfal.ledger.database import Database
from mfal.ledger.declared import Declared, check_declared
from mfal.ledger.finding import find_campaign, find_declared, has_identity
from mfal.ledger.lock import Holder, holder
from mfal.ledger.tables import outcomes, queries, rounds
from mfal.types import Observation, Outcome, Query


@dataclass(frozen=True, slots=True)
class RoundInfo:
    """What the ledger says of a round: its settings, and the record of how it was proposed."""

    number: int
    kind: str
    seed: int
    config: dict[str, Any]
    versions: dict[str, str]
    record: dict[str, Any]
    finished: bool


class RoundOutline(NamedTuple):
    """What a round is and whether it has ended, without its settings and its record."""

    number: int
    kind: str
    finished: bool


class Entry(NamedTuple):
    """A query as a ledger holds it, without what differs from run to run of the same campaign.

    The last four are None while it has no answer.
    """

    round: int
    kind: str
    seed: str
    position: int
    key: str
    fidelity: str
    price: float
    values: str | None
    error: str | None
    cost: float | None
    backend: str | None


class Ledger:
    """The ledger of one campaign, as it is now; whoever works on it may go on.

    Args:
        database: Where it lies; closed together with this.
        campaign: Name of the campaign.
        campaign_id: Its number there.
    """

    def __init__(self, database: Database, campaign: str, campaign_id: int) -> None:
        self._database = database
        self._campaign = campaign
        self._campaign_id = campaign_id

    @property
    def url(self) -> str:
        """URL of the database, without a password."""
        return self._database.name

    @property
    def location(self) -> str:
        """Where the ledger lies: its file, or the URL of its server without a password."""
        return str(self._database.path or self._database.name)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def holder(self) -> Holder | None:
        """Who writes to the campaign now, dead or alive."""
        with self._database.read() as c:
            return holder(c, self._campaign_id)

    def check_declared(self, declared: Declared) -> None:
        """Raise LedgerError if the campaign was begun with a problem that declared otherwise."""
        with self._database.read() as c:
            before = find_declared(c, self._campaign_id)
        if before is not None:
            check_declared(before, declared, f"{self.url}: campaign {self._campaign!r}")

    def rounds(self) -> list[RoundInfo]:
        """All rounds by number, imported data and the initial design first."""
        with self._database.read() as c:
            found = c.execute(self._rounds().order_by(rounds.c.number)).all()
        return [_round_info(row) for row in found]

    def last_round(self) -> RoundInfo | None:
        """The round that was begun last; None before the first."""
        with self._database.read() as c:
            row = c.execute(self._rounds().order_by(rounds.c.number.desc()).limit(1)).one_or_none()
        return None if row is None else _round_info(row)

    def _rounds(self) -> Select[Any]:
        # Without the weights, which are large where there are some.
        columns = [column for column in rounds.c if column is not rounds.c.weights]
        return select(*columns).where(rounds.c.campaign_id == self._campaign_id)

    def outline(self) -> list[RoundOutline]:
        """All rounds by number, as `rounds` has them, for who needs no record: those are long."""
        statement = (
            select(rounds.c.number, rounds.c.kind, rounds.c.finished_at.is_not(None))
            .where(rounds.c.campaign_id == self._campaign_id)
            .order_by(rounds.c.number)
        )
        with self._database.read() as c:
            return [RoundOutline(*row) for row in c.execute(statement)]

    def settings(self) -> list[dict[str, Any]]:
        """The configurations that batches were begun with, each once, by the first such batch."""
        statement = (
            select(rounds.c.config)
            .where(rounds.c.campaign_id == self._campaign_id, rounds.c.kind == "batch")
            .group_by(rounds.c.config)
            .order_by(func.min(rounds.c.number))
        )
        with self._database.read() as c:
            return [json.loads(text) for text in c.execute(statement).scalars()]

    def open_round(self) -> RoundOutline | None:
        """The first round that was begun and is not finished; None where all are."""
        return next((r for r in self.outline() if not r.finished), None)

    def batches(self) -> list[RoundOutline]:
        """The rounds that a sampler proposed, by number."""
        return [r for r in self.outline() if r.kind == "batch"]

    def has_asked(self) -> bool:
        """Whether the campaign has begun a round of its own, beyond what was imported."""
        return any(r.kind != "imported" for r in self.outline())

    def weights(self) -> bytes | None:
        """What the last round left for the next one's sampler; None where that starts anew."""
        statement = (
            select(rounds.c.weights)
            .where(rounds.c.campaign_id == self._campaign_id)
            .order_by(rounds.c.number.desc())
            .limit(1)
        )
        with self._database.read() as c:
            return c.execute(statement).scalar_one_or_none()

    def pending(self, number: int) -> list[Query]:
        """Queries of a round that have no outcome yet, in the order they were chosen."""
        with self._database.read() as c:
            found = c.execute(
                select(queries.c.key, queries.c.fidelity)
                .join(rounds, rounds.c.id == queries.c.round_id)
                .outerjoin(outcomes, outcomes.c.query_id == queries.c.id)
                .where(rounds.c.campaign_id == self._campaign_id, rounds.c.number == number)
                .where(outcomes.c.query_id.is_(None))
                .order_by(queries.c.position)
            ).all()
        return [Query(r.key, r.fidelity) for r in found]

    def count(self, number: int) -> int:
        """How many queries a round has."""
        statement = (
            select(func.count(queries.c.id))
            .join(rounds, rounds.c.id == queries.c.round_id)
            .where(rounds.c.campaign_id == self._campaign_id, rounds.c.number == number)
        )
        with self._database.read() as c:
            return c.execute(statement).scalar_one()

    def asked(self) -> set[Query]:
        """Every query that was ever begun, answered or not."""
        with self._database.read() as c:
            found = c.execute(
                select(queries.c.key, queries.c.fidelity).where(
                    queries.c.campaign_id == self._campaign_id
                )
            ).all()
        return {Query(r.key, r.fidelity) for r in found}

    def observations(self) -> list[Observation]:
        """Every answered query by round and position."""
        statement = (
            select(
                queries.c.key,
                queries.c.fidelity,
                rounds.c.number,
                outcomes.c["values"].label("answer"),  # Row.values is a method
                outcomes.c.error,
                outcomes.c.seconds,
                outcomes.c.cost,
                outcomes.c.backend,
            )
            .join(rounds, rounds.c.id == queries.c.round_id)
            .join(outcomes, outcomes.c.query_id == queries.c.id)
            .where(rounds.c.campaign_id == self._campaign_id)
            .order_by(rounds.c.number, queries.c.position)
        )
        with self._database.read() as c:
            found = c.execute(statement).all()
        # One text for all is parsed faster than a text for each.
        answers = json.loads(f"[{','.join(row[3] or 'null' for row in found)}]")
        return [
            Observation(
                query=Query(key, fidelity),
                outcome=Outcome(None if values is None else tuple(values), error, seconds),
                round=number,
                cost=cost,
                backend=backend,
            )
            for (key, fidelity, number, _, error, seconds, cost, backend), values in zip(
                found, answers, strict=True
            )
        ]

    def spent(self) -> float:
        """Sum of what the answers cost."""
        statement = (
            select(outcomes.c.cost, func.count())
            .join(queries, queries.c.id == outcomes.c.query_id)
            .where(queries.c.campaign_id == self._campaign_id)
            .group_by(outcomes.c.cost)
        )
        return self._total(statement)

    def promised(self) -> float:
        """Sum of what the queries without an outcome will cost, as it was when they were begun."""
        statement = (
            select(queries.c.cost, func.count())
            .outerjoin(outcomes, outcomes.c.query_id == queries.c.id)
            .where(queries.c.campaign_id == self._campaign_id)
            .where(outcomes.c.query_id.is_(None))
            .group_by(queries.c.cost)
        )
        return self._total(statement)

    def _total(self, statement: Select[tuple[float, int]]) -> float:
        # Costs are told apart by the database, but never added by it: its sums are not exact.
        with self._database.read() as c:
            return total_of_counted(map(tuple, c.execute(statement)))

    def backends(self) -> dict[str, set[str]]:
        """Fidelity -> the engines that answered at it so far."""
        with self._database.read() as c:
            found = c.execute(
                select(queries.c.fidelity, outcomes.c.backend)
                .join(queries, queries.c.id == outcomes.c.query_id)
                .where(queries.c.campaign_id == self._campaign_id)
                .distinct()
            ).all()
        engines: dict[str, set[str]] = {}
        for row in found:
            engines.setdefault(row.fidelity, set()).add(row.backend)
        return engines

    def entries(self) -> list[Entry]:
        """Every query by round and position, answered or not."""
        statement = (
            select(
                rounds.c.number,
                rounds.c.kind,
                rounds.c.seed,
                queries.c.position,
                queries.c.key,
                queries.c.fidelity,
                queries.c.cost,
                outcomes.c["values"],
                outcomes.c.error,
                outcomes.c.cost,
                outcomes.c.backend,
            )
            .join(rounds, rounds.c.id == queries.c.round_id)
            .outerjoin(outcomes, outcomes.c.query_id == queries.c.id)
            .where(rounds.c.campaign_id == self._campaign_id)
            .order_by(rounds.c.number, queries.c.position)
        )
        with self._database.read() as c:
            return [Entry(*row) for row in c.execute(statement)]


def _round_info(row: Row[Any]) -> RoundInfo:
    return RoundInfo(
        number=row.number,
        kind=row.kind,
        seed=int(row.seed),
        config=json.loads(row.config),
        versions=json.loads(row.versions),
        record=json.loads(row.record),
        finished=row.finished_at is not None,
    )


def read_ledger(url: str, campaign: str, identity: dict[str, Any]) -> Ledger:
    """The ledger of a campaign that exists, to be read beside whoever works on it.

    Raises:
        LedgerError: if it cannot be read or was begun with another identity; NoLedgerError if
            it has not begun, and is kept with another identity or not at all.
    """
    first = f"run a round first: mfal round {campaign}, or mfal round with its YAML file"
    try:
        database = Database(url, to_read=True)
    except NoLedgerError as error:
        raise NoLedgerError(error.message, first) from error
    try:
        with database.read() as c:
            found = find_campaign(c, campaign, database.name)
            is_this = found is not None and has_identity(c, found, identity, database.name)
    except BaseException:
        database.close()
        raise
    if found is None or not is_this:
        database.close()
        raise NoLedgerError(f"{database.name}: there is no ledger of campaign {campaign!r}", first)
    return Ledger(database, campaign, found)
