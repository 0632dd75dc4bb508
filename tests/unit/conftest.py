"""Ledgers for the tests of this folder, in each kind of database."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mfal.ledger.reading import Ledger, read_ledger
from mfal.ledger.store import Store
from tests.unit.ledgers import IDENTITY


@pytest.fixture
def open_store(ledger_url: str) -> Iterator[Callable[..., Store]]:
    """Opens the ledger of this test, for one campaign or several."""
    opened: list[Store] = []

    def make(campaign: str = "test", identity: dict[str, Any] = IDENTITY) -> Store:
        opened.append(Store(ledger_url, campaign, identity))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    return open_store()


@pytest.fixture
def beside(store: Store, ledger_url: str) -> Iterator[Ledger]:
    """The same ledger, for somebody who only looks."""
    with read_ledger(ledger_url, "test", IDENTITY) as opened:
        yield opened
