"""What a problem declares of its numbers stays what it was when the campaign began."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mfal.errors import LedgerError
from mfal.ledger.declared import declared
from mfal.ledger.reading import Ledger, read_ledger
from mfal.ledger.store import Store
from mfal.types import Fidelity, Objective
from tests.unit.ledgers import IDENTITY, A, answered, begin, rows

LADDER = (Fidelity("low", 1, 0.5), Fidelity("high", 20, 1.0))
ENERGY, SIZE = Objective("energy", "eV", "min"), Objective("size", "1", "max")
BEFORE = declared([ENERGY, SIZE], LADDER)


@pytest.mark.parametrize(
    ("objectives", "ladder", "said"),
    [
        ([replace(ENERGY, goal="max"), SIZE], LADDER, "objective energy: goal was min, is now max"),
        ([replace(ENERGY, unit="meV"), SIZE], LADDER, "objective energy: unit was eV, is now meV"),
        ([ENERGY], LADDER, "objective was energy, size, is now energy"),
        ([SIZE, ENERGY], LADDER, "objective was energy, size, is now size, energy"),
        ([replace(ENERGY, name="e"), SIZE], LADDER, "objective was energy, size, is now e, size"),
        (
            [replace(ENERGY, goal="max", unit="meV"), SIZE],
            (replace(LADDER[0], cost=9, level=0.25), LADDER[1]),
            "objective energy: unit was eV, is now meV; objective energy: goal was min, is now "
            "max; fidelity low: cost was 1.0, is now 9.0; fidelity low: level was 0.5, is now 0.25",
        ),
        ([ENERGY, SIZE], LADDER[1:], "fidelity was low, high, is now high"),
    ],
)
def test_another_declaration_is_refused_and_what_changed_is_named(
    store: Store,
    beside: Ledger,
    objectives: list[Objective],
    ladder: tuple[Fidelity, ...],
    said: str,
) -> None:
    store.declare(BEFORE)
    begin(store, 0, A)
    now = declared(objectives, ladder)
    for check in (store.declare, beside.check_declared):
        with pytest.raises(LedgerError) as raised:
            check(now)
        where = f"{store.url}: campaign 'test' was begun with another problem: "
        assert raised.value.message == where + said
        assert "`name`" in raised.value.hint
    store.declare(declared([ENERGY, SIZE], LADDER))
    beside.check_declared(BEFORE)


def test_a_problem_may_be_mended_until_the_first_round(store: Store, beside: Ledger) -> None:
    store.declare(BEFORE)
    mended = declared([replace(ENERGY, goal="max"), SIZE], LADDER)
    beside.check_declared(mended)
    store.declare(mended)
    begin(store, 0, A)
    store.declare(mended)
    with pytest.raises(LedgerError, match="goal was max, is now min"):
        store.declare(BEFORE)


def test_campaigns_in_one_database_declare_each_their_own(open_store: Callable[..., Store]) -> None:
    one, other = open_store("one"), open_store("other")
    fewer = declared([ENERGY], LADDER)
    for store, declaration in ((one, BEFORE), (other, fewer)):
        store.declare(declaration)
        begin(store, 0, A)
    one.declare(BEFORE)
    other.declare(fewer)


def test_a_ledger_from_before_there_were_declarations_takes_the_next(
    open_store: Callable[..., Store], ledger_url: str
) -> None:
    first = open_store()
    begin(first, 0, A)
    first.record([(A, answered(), "engine")])
    first.close()
    rows(ledger_url, "DROP TABLE declarations")
    rows(ledger_url, "UPDATE campaigns SET schema_version = 3")
    with read_ledger(ledger_url, "test", IDENTITY) as looked_at:
        looked_at.check_declared(BEFORE)
    again = open_store()
    again.declare(BEFORE)
    with pytest.raises(LedgerError, match="objective was energy, size, is now energy"):
        again.declare(declared([ENERGY], LADDER))
