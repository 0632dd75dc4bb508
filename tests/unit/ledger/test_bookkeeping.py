"""What the ledger knows of a campaign without reading its records: rounds, and money."""

from collections.abc import Callable

import pytest

from mfal.ledger.reading import Ledger
from mfal.ledger.store import Store
from mfal.types import Query
from tests.unit.ledgers import A, B, C, answered, begin, failed, rows, statements


def test_what_is_promised_is_the_price_of_what_has_no_outcome(store: Store, beside: Ledger) -> None:
    assert store.promised() == 0
    begin(store, 0, A, B, cost=2.5, kind="initial")
    assert store.promised() == beside.promised() == 5
    store.record([(A, failed(), "engine")], charge_failures=False)
    begin(store, 1, C, cost=0.1)
    assert (store.promised(), store.spent()) == (2.6, 0)
    store.record([(B, answered(), "engine"), (C, answered(), "engine")])
    assert (store.promised(), store.spent()) == (0, 2.6)
    assert beside.promised() == 0


def test_what_is_promised_adds_up_to_the_last_digit(store: Store) -> None:
    for number in range(10):
        asked = [Query(f"{number}{i}", "low") for i in range(3)]
        begin(store, number, *asked[:2], cost=0.1)
        begin(store, 10 + number, *asked[2:], cost=0.7)
    assert store.promised() == 9.0 != sum([0.1, 0.1, 0.7] * 10)


def test_campaigns_of_a_database_pay_for_themselves(open_store: Callable[..., Store]) -> None:
    one, other = open_store("one"), open_store("other")
    begin(one, 0, A, B)
    begin(other, 0, A, cost=4.0)
    begin(other, 1, kind="imported")
    assert (one.promised(), other.promised()) == (2, 4)
    assert [tuple(r) for r in one.outline()] == [(0, "batch", False)]
    assert [tuple(r) for r in other.outline()] == [(0, "batch", False), (1, "imported", False)]


def test_rounds_are_outlined_as_they_are(store: Store) -> None:
    assert store.outline() == []
    begin(store, 1, A, kind="batch", record={"proposed": ["A"]})
    begin(store, 0, kind="initial")
    store.finish_round(0)
    found = store.outline()
    assert found == [(r.number, r.kind, r.finished) for r in store.rounds()]
    assert [r.finished for r in found] == [True, False]
    assert all(type(r.finished) is bool for r in found)


def test_rounds_are_told_by_their_kind_and_their_end(store: Store) -> None:
    assert (store.open_round(), store.batches(), store.has_asked()) == (None, [], False)
    begin(store, 0, kind="imported")
    assert store.open_round() == (0, "imported", False) and not store.has_asked()
    store.finish_round(0)
    begin(store, 1, A, kind="initial")
    assert store.open_round() == (1, "initial", False) and store.has_asked()
    assert store.batches() == []
    store.finish_round(1)
    begin(store, 2, B)
    store.finish_round(2)
    assert store.open_round() is None and store.batches() == [(2, "batch", True)]


def test_the_last_round_is_that_of_the_highest_number(store: Store) -> None:
    assert store.last_round() is None
    for number in (2, 0, 1):
        begin(store, number, kind="batch", record={"proposed": [f"{number}"]})
    assert store.last_round() == store.rounds()[-1]
    assert store.rounds()[-1].record == {"proposed": ["2"]}


def test_an_outline_reads_no_record(store: Store, ledger_url: str) -> None:
    begin(store, 0, A)
    rows(ledger_url, "UPDATE rounds SET record = 'torn', config = 'torn'")
    assert [r.number for r in store.outline()] == [0]
    with pytest.raises(ValueError, match="Expecting value"):
        store.rounds()


def test_money_and_outline_are_a_query_each_however_many_rounds(store: Store) -> None:
    seen = []
    for number in range(6):
        begin(store, number, Query(f"{number}", "low"), Query(f"{number}", "high"))
        store.record([(Query(f"{number}", "low"), answered(), "engine")])
        with statements(store) as sent:
            store.promised(), store.spent(), store.outline()
        seen.append(len(sent))
    assert len(set(seen)) == 1 and sum("SELECT" in statement for statement in sent) == 3
