"""The ledger: what was asked, what was answered, what it cost. The only state of a campaign.

Append-only. A round's queries are written before the first of them is asked, and every chunk
of answers is one commit, so that a process killed at any point loses at most the chunk that
was being answered.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from mfal.budget import total_cost
from mfal.errors import LedgerError
from mfal.tables import (
    SCHEMA_VERSION,
    campaigns,
    metadata,
    open_database,
    outcomes,
    queries,
    rounds,
    upgrade,
)
from mfal.types import Observation, Outcome, Query

IMPORTED = "imported from "  # begins the backend of an answer that no oracle of ours gave


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


class Store:
    """The ledger of one campaign in an SQL database.

    Args:
        url: SQLAlchemy URL, e.g. ``sqlite:///data/dna/ledger.db``.
        campaign: Name of the campaign.
        identity: What the ledger's numbers mean (problem, costs, seed, initial design).

    Raises:
        LedgerError: if the database cannot be opened or written, is of a later schema, or the
            campaign in it was begun with another identity.
    """

    def __init__(self, url: str, campaign: str, identity: dict[str, Any]) -> None:
        self.url = url
        self._engine = open_database(url)
        with self._write() as c:
            metadata.create_all(c)
            upgrade(c, url)
            self._campaign_id = _enrol(c, campaign, identity, url)

    @property
    def location(self) -> str:
        """Where the ledger lies, without a password."""
        url = self._engine.url
        return url.database or "" if url.drivername == "sqlite" else url.render_as_string()

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def begin_round(
        self,
        number: int,
        asked: Sequence[tuple[Query, float]],
        *,
        kind: str,
        seed: int,
        config: dict[str, Any],
        versions: dict[str, str],
        record: dict[str, Any],
        weights: bytes | None = None,
    ) -> None:
        """Write down a round's queries, each with its cost, before any of them is asked.

        Args:
            weights: What the sampler wants the next round to start from.

        Raises:
            LedgerError: if the round exists, or one of the queries was asked before.
        """
        head = _head(number, kind, seed, config, versions, record) | {"weights": weights}
        try:
            with self._write() as c:
                self._insert_round(c, head, asked)
        except IntegrityError as error:
            raise LedgerError(
                f"{self.url}: round {number} was begun before, or asks something that was "
                f"asked before: {error.orig}",
                "another process works on this campaign; run again when it has ended",
            ) from error

    def import_round(
        self,
        number: int,
        found: Sequence[Observation],
        *,
        config: dict[str, Any],
        versions: dict[str, str],
        record: dict[str, Any],
    ) -> None:
        """Write down a finished round of observations that others made, in one commit.

        Raises:
            LedgerError: if the round exists, or one of the queries was asked before.
        """
        head = _head(number, "imported", 0, config, versions, record) | {"finished_at": _now()}
        try:
            with self._write() as c:
                round_id = self._insert_round(c, head, [(o.query, o.cost) for o in found])
                ids = c.execute(
                    select(queries.c.id)
                    .where(queries.c.round_id == round_id)
                    .order_by(queries.c.position)
                ).scalars()
                rows = [
                    _answer(query_id, o.outcome, o.cost, o.backend)
                    for query_id, o in zip(ids, found, strict=True)
                ]
                c.execute(insert(outcomes), rows)
        except IntegrityError as error:
            raise LedgerError(
                f"{self.url}: round {number} was begun before, or holds something that was "
                f"asked before: {error.orig}",
                "another process works on this campaign; import again when it has ended",
            ) from error

    def record(
        self, answers: Sequence[tuple[Query, Outcome, str]], *, charge_failures: bool = True
    ) -> None:
        """Append a chunk of answers, each with the engine that gave it, in one commit.

        Idempotent: an answer that is there already stays as it is.
        """
        with self._write() as c:
            wanted = {query: (outcome, backend) for query, outcome, backend in answers}
            rows = c.execute(
                select(queries.c.id, queries.c.key, queries.c.fidelity, queries.c.cost)
                .outerjoin(outcomes, outcomes.c.query_id == queries.c.id)
                .where(queries.c.campaign_id == self._campaign_id)
                .where(queries.c.key.in_([q.key for q in wanted]))
                .where(outcomes.c.query_id.is_(None))
            ).all()
            new = []
            for row in rows:
                found = wanted.get(Query(row.key, row.fidelity))
                if found is None:
                    continue
                outcome, backend = found
                cost = row.cost if outcome.error is None or charge_failures else 0.0
                new.append(_answer(row.id, outcome, cost, backend))
            if new:
                c.execute(insert(outcomes), new)

    def finish_round(self, number: int) -> None:
        """Mark a round whose queries all have outcomes."""
        with self._write() as c:
            c.execute(
                update(rounds)
                .where(rounds.c.campaign_id == self._campaign_id, rounds.c.number == number)
                .where(rounds.c.finished_at.is_(None))
                .values(finished_at=_now())
            )

    def rounds(self) -> list[RoundInfo]:
        """All rounds by number, imported data and the initial design first."""
        # Without the weights, which are large where there are some.
        columns = [column for column in rounds.c if column is not rounds.c.weights]
        with self._engine.connect() as c:
            found = c.execute(
                select(*columns)
                .where(rounds.c.campaign_id == self._campaign_id)
                .order_by(rounds.c.number)
            ).all()
        return [
            RoundInfo(
                number=r.number,
                kind=r.kind,
                seed=int(r.seed),
                config=json.loads(r.config),
                versions=json.loads(r.versions),
                record=json.loads(r.record),
                finished=r.finished_at is not None,
            )
            for r in found
        ]

    def weights(self, before_round: int | None = None) -> bytes | None:
        """What the last round left for the next one's sampler; None where that starts anew.

        The last is the one below `before_round` if given.
        """
        statement = (
            select(rounds.c.weights)
            .where(rounds.c.campaign_id == self._campaign_id)
            .order_by(rounds.c.number.desc())
            .limit(1)
        )
        if before_round is not None:
            statement = statement.where(rounds.c.number < before_round)
        with self._engine.connect() as c:
            return c.execute(statement).scalar_one_or_none()

    def pending(self, number: int) -> list[Query]:
        """Queries of a round that have no outcome yet, in the order they were chosen."""
        with self._engine.connect() as c:
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
        with self._engine.connect() as c:
            return c.execute(statement).scalar_one()

    def asked(self) -> set[Query]:
        """Every query that was ever begun, answered or not."""
        with self._engine.connect() as c:
            found = c.execute(
                select(queries.c.key, queries.c.fidelity).where(
                    queries.c.campaign_id == self._campaign_id
                )
            ).all()
        return {Query(r.key, r.fidelity) for r in found}

    def observations(self, before_round: int | None = None) -> list[Observation]:
        """Every answered query by round and position, of rounds below `before_round` if given."""
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
        if before_round is not None:
            statement = statement.where(rounds.c.number < before_round)
        with self._engine.connect() as c:
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
        """Sum of the cost column."""
        with self._engine.connect() as c:
            costs = c.execute(
                select(outcomes.c.cost)
                .join(queries, queries.c.id == outcomes.c.query_id)
                .where(queries.c.campaign_id == self._campaign_id)
            ).scalars()
            return total_cost(costs)

    def backends(self) -> dict[str, set[str]]:
        """Fidelity -> the engines that answered at it so far."""
        with self._engine.connect() as c:
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

    def _insert_round(
        self, c: Connection, head: dict[str, Any], asked: Sequence[tuple[Query, float]]
    ) -> int:
        """Id of a new round with these queries."""
        values = head | {"campaign_id": self._campaign_id}
        round_id = c.execute(insert(rounds).returning(rounds.c.id), values).scalar_one()
        rows = [
            {
                "campaign_id": self._campaign_id,
                "round_id": round_id,
                "position": i,
                "key": query.key,
                "fidelity": query.fidelity,
                "cost": cost,
            }
            for i, (query, cost) in enumerate(asked)
        ]
        if rows:
            c.execute(insert(queries), rows)
        return int(round_id)

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        try:
            with self._engine.execution_options(mfal_write=True).begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise LedgerError(
                f"{self.url}: the ledger cannot be written: {error.orig}",
                "check that the folder exists, may be written and has space, or set data_dir to "
                "one that does; what was recorded before is safe, and the same command goes on",
            ) from error


def _enrol(c: Connection, name: str, identity: dict[str, Any], url: str) -> int:
    """Id of the campaign, entered on first use; refuses one begun with another identity."""
    found = c.execute(select(campaigns).where(campaigns.c.name == name)).one_or_none()
    if found is None:
        values = {
            "name": name,
            "identity": _dump(identity),
            "schema_version": SCHEMA_VERSION,
            "created_at": _now(),
        }
        entered = insert(campaigns).values(values).returning(campaigns.c.id)
        return int(c.execute(entered).scalar_one())
    before = json.loads(found.identity)
    if before != identity:
        changed = [k for k in sorted(before | identity) if before.get(k) != identity.get(k)]
        raise LedgerError(
            f"{url}: campaign {name!r} was begun with another configuration: "
            + "; ".join(f"{k} was {before.get(k)}, is now {identity.get(k)}" for k in changed),
            "its numbers would not mean the same; change `name` to begin a new campaign",
        )
    return int(found.id)


def _head(
    number: int,
    kind: str,
    seed: int,
    config: dict[str, Any],
    versions: dict[str, str],
    record: dict[str, Any],
) -> dict[str, Any]:
    """A row of `rounds`, without its campaign."""
    return {
        "number": number,
        "kind": kind,
        "seed": str(seed),
        "config": _dump(config),
        "versions": _dump(versions),
        "record": _dump(record),
        "begun_at": _now(),
    }


def _answer(query_id: int, outcome: Outcome, cost: float, backend: str) -> dict[str, Any]:
    """A row of `outcomes`."""
    return {
        "query_id": query_id,
        "values": None if outcome.values is None else _dump(outcome.values),
        "error": outcome.error,
        "seconds": outcome.seconds,
        "cost": cost,
        "backend": backend,
        "recorded_at": _now(),
    }


def _dump(value: object) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
