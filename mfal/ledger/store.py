"""The ledger's writer: what was asked, what was answered, what it cost.

The only state of a campaign. Queries and outcomes are append-only; of a round only the time of its
end is added later. A round's queries are written before the first of them is asked, and what
answers come in within a second or so are one commit. A process that is killed loses what was being
asked, and those answers that were still gathered for the next commit.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from mfal.errors import InvalidKeyError, LedgerError
from mfal.ledger.database import Database
from mfal.ledger.declared import Declared
from mfal.ledger.encoding import encode, encode_part
from mfal.ledger.finding import find_campaign, find_declared, has_identity
from mfal.ledger.lock import Lock
from mfal.ledger.reading import Ledger
from mfal.ledger.tables import (
    SCHEMA_VERSION,
    campaigns,
    declarations,
    locks,
    outcomes,
    queries,
    rounds,
)
from mfal.reasons import plain
from mfal.sections import LockConfig
from mfal.types import Observation, Outcome, Query

IMPORTED = "imported from "  # begins the backend of an answer that no oracle of ours gave
_AT_ONCE = 10_000  # keys of one statement: SQLite takes 32,766 variables, PostgreSQL 65,535
_NO_WAIT = LockConfig()


class Store(Ledger):
    """The ledger of one campaign, for the one process that may write to it until it is closed.

    Args:
        url: SQLAlchemy URL, e.g. ``sqlite:///data/dna/ledger.db``.
        campaign: Name of the campaign.
        identity: What the ledger's numbers mean (problem, costs, seed, initial design). Kept
            from the first round on; until then the one that comes takes the place of the last.
        lock: What to do while another process writes to it.

    Raises:
        LedgerError: if the database cannot be opened or written, is of a later schema, the
            campaign in it was begun with another identity, or another process writes to it.
            Every method raises it, too, once another process has taken the campaign over.
    """

    def __init__(
        self, url: str, campaign: str, identity: dict[str, Any], lock: LockConfig = _NO_WAIT
    ) -> None:
        database = Database(url)
        try:
            campaign_id = _enrolled(database, campaign, identity)
            super().__init__(database, campaign, campaign_id)
            self._lock = Lock(database, campaign_id, campaign, lock)
            self._lock.acquire()
        except BaseException:
            database.close()
            raise
        try:
            self._identify(identity)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let the next writer in, and let go of the database."""
        self._lock.release()
        super().close()

    def declare(self, declared: Declared) -> None:
        """Keep what the problem declares, for the time from the first round on.

        An older ledger, which holds rounds and no declaration, takes what it is given.

        Raises:
            LedgerError: if the campaign was begun with a problem that declared otherwise.
        """
        self.check_declared(declared)
        with self._write() as c:
            if find_declared(c, self._campaign_id) is None:
                mine = declarations.c.campaign_id == self._campaign_id
                c.execute(delete(declarations).where(mine))
                values = {"campaign_id": self._campaign_id, "declared": encode(declared)}
                c.execute(insert(declarations).values(values))

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
            LedgerError: if the round exists, one of the queries was asked before, or a figure of
                the record is not finite. Nothing is written then.
        """
        head = self._head(number, kind, seed, config, versions, record) | {"weights": weights}
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
        head = self._head(number, "imported", 0, config, versions, record)
        head |= {"finished_at": _now()}
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
            new = []
            for row in self._unanswered(c, list(dict.fromkeys(query.key for query in wanted))):
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

    def _identify(self, identity: dict[str, Any]) -> None:
        """Take this identity on, unless another process has begun with its own meanwhile."""
        with self._write() as c:
            if not has_identity(c, self._campaign_id, identity, self.url):
                mine = campaigns.c.id == self._campaign_id
                c.execute(update(campaigns).where(mine).values(identity=encode(identity)))

    def _head(
        self,
        number: int,
        kind: str,
        seed: int,
        config: dict[str, Any],
        versions: dict[str, str],
        record: dict[str, Any],
    ) -> dict[str, Any]:
        """A row of `rounds`, without its campaign."""
        where = f"{self.url}: round {number}"
        return {
            "number": number,
            "kind": kind,
            "seed": str(seed),
            "config": encode_part("config", config, where),
            "versions": encode_part("versions", versions, where),
            "record": encode_part("record", record, where),
            "begun_at": _now(),
        }

    def _insert_round(
        self, c: Connection, head: dict[str, Any], asked: Sequence[tuple[Query, float]]
    ) -> int:
        """Id of a new round with these queries."""
        odd = next((query.key for query, _ in asked if plain(query.key) != query.key), None)
        if odd is not None:
            raise InvalidKeyError(
                f"candidate {odd!r}: NUL and half a surrogate pair are kept by no database",
                "have the environment's keys() write them otherwise",
            )
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

    def _unanswered(self, c: Connection, keys: Sequence[str]) -> Iterator[Row[Any]]:
        """The queries of distinct candidates that have no outcome, at whatever fidelity."""
        statement = (
            select(queries.c.id, queries.c.key, queries.c.fidelity, queries.c.cost)
            .outerjoin(outcomes, outcomes.c.query_id == queries.c.id)
            .where(queries.c.campaign_id == self._campaign_id)
            .where(outcomes.c.query_id.is_(None))
        )
        for i in range(0, len(keys), _AT_ONCE):
            yield from c.execute(statement.where(queries.c.key.in_(keys[i : i + _AT_ONCE])))

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._database.write() as connection:
            self._lock.check(connection)
            yield connection


def _enrolled(database: Database, name: str, identity: dict[str, Any]) -> int:
    """Number of the campaign, entered on first use."""
    try:
        with database.write() as c:
            return _enrol(c, name, identity, database.name)
    except IntegrityError:  # another process has entered it since this one looked
        with database.write() as c:
            return _enrol(c, name, identity, database.name)


def _enrol(c: Connection, name: str, identity: dict[str, Any], url: str) -> int:
    """Number of the campaign, entered on first use; refuses one begun with another identity."""
    found = find_campaign(c, name, url)
    if found is not None:
        has_identity(c, found, identity, url)  # to refuse it before a lock is waited for
    else:
        values = {
            "name": name,
            "identity": encode(identity),
            "schema_version": SCHEMA_VERSION,
            "created_at": _now(),
        }
        entered = insert(campaigns).values(values).returning(campaigns.c.id)
        found = int(c.execute(entered).scalar_one())
    if not c.execute(select(locks.c.campaign_id).where(locks.c.campaign_id == found)).first():
        c.execute(insert(locks).values(campaign_id=found))
    return found


def _answer(query_id: int, outcome: Outcome, cost: float, backend: str) -> dict[str, Any]:
    """A row of `outcomes`."""
    return {
        "query_id": query_id,
        "values": None if outcome.values is None else encode(outcome.values),
        "error": outcome.error,
        "seconds": outcome.seconds,
        "cost": cost,
        "backend": backend,
        "recorded_at": _now(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
