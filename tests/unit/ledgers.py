"""What the tests of the ledger share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import create_engine, event

from mfal.ledger.reading import Ledger
from mfal.ledger.store import Store
from mfal.types import Outcome, Query

IDENTITY = {"problem": {"name": "motif", "options": {}}, "costs": {"low": 1.0}, "seed": 1}


A, B, C = Query("AA", "low"), Query("AA", "high"), Query("CC", "low")


def begin(store: Store, number: int, *asked: Query, cost: float = 1.0, **changes: Any) -> None:
    settings: dict[str, Any] = {
        "kind": "batch", "seed": 0, "config": {}, "versions": {}, "record": {}
    }  # fmt: skip
    store.begin_round(number, [(query, cost) for query in asked], **(settings | changes))


def answered(value: float = 1.0) -> Outcome:
    return Outcome((value,), None, 0.5)


def failed(error: str = "it broke") -> Outcome:
    return Outcome(None, error, 0.25)


def rows(url: str, statement: str) -> list[Any]:
    """What a statement of somebody else's finds, past the ledger's own code."""
    engine = create_engine(url)
    try:
        with engine.begin() as c:
            found = c.exec_driver_sql(statement)
            return [tuple(row) for row in found] if found.returns_rows else []
    finally:
        engine.dispose()


@contextmanager
def statements(store: Ledger) -> Iterator[list[str]]:
    """What is sent to the database of a ledger while the block lasts."""
    sent: list[str] = []

    def note(*arguments: Any) -> None:
        sent.append(arguments[2])

    engine = store._database._engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)
