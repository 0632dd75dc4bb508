"""A ledger of half-answered queries, for the tests of what befalls it."""

from pathlib import Path

from mfal.ledger.store import Store
from mfal.types import Outcome, Query

ASKED = [Query(f"{i:030}", "low") for i in range(2000)]


ANSWER = Outcome((1.0,), None, 0.5)


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


def fill(url: str, answered: int = 1000) -> None:
    """A ledger of half-answered queries."""
    with Store(url, "test", {}) as store:
        store.begin_round(
            0, [(q, 1.0) for q in ASKED], kind="x", seed=0, config={}, versions={}, record={}
        )
        record(store, 0, answered)


def record(store: Store, start: int, end: int) -> None:
    store.record([(q, ANSWER, "engine") for q in ASKED[start:end]])
