"""Files whose rows somebody has edited: said at once, and left as they are."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from mfal.errors import LedgerError
from mfal.ledger.reading import read_ledger
from mfal.ledger.store import Store
from tests.unit.ledgers import IDENTITY, A, B, C, answered, begin, failed, rows

HELD = ("queries_no_update", "outcomes_no_update", "outcomes_no_delete")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A ledger with a finished round of an answer and a failure, and one that is not finished."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with Store(url, "test", IDENTITY) as store:
        store.declare({"objective": [], "fidelity": []})
        begin(store, 0, A, B, record={"training": []})
        store.record([(A, answered(-3.5), "engine"), (B, failed(), "engine")])
        store.finish_round(0)
        begin(store, 1, C)
    return url


def edit(url: str, statements: Sequence[str]) -> None:
    for trigger in HELD:
        rows(url, f"DROP TRIGGER {trigger}")
    for statement in statements:
        rows(url, statement)


AT_A, AT_B = "'AA' at low, asked in round 0", "'AA' at high, asked in round 0"
FIRST = "WHERE query_id = 1"
NULL_COST = (  # the column itself allows none
    "ALTER TABLE outcomes RENAME COLUMN cost TO was",
    "ALTER TABLE outcomes ADD COLUMN cost FLOAT",
)


@pytest.mark.parametrize(
    ("statements", "place", "what"),
    [
        (["UPDATE rounds SET record = '{' WHERE number = 1"], "round 1", "is no JSON"),
        (["UPDATE rounds SET versions = '[]' WHERE number = 0"], "round 0", "is no JSON"),
        (["UPDATE campaigns SET identity = '?'"], "the identity of campaign test", "is no JSON"),
        (["UPDATE declarations SET declared = '?'"], "declared of campaign 1", "is no JSON"),
        ([f"UPDATE outcomes SET cost = 'abc' {FIRST}"], AT_A, "what is no cost"),
        ([f"UPDATE outcomes SET cost = -1000 {FIRST}"], AT_A, "what is no cost"),
        ([f"UPDATE outcomes SET cost = 9e999 {FIRST}"], AT_A, "what is no cost"),
        (NULL_COST, AT_A, "what is no cost"),
        (["UPDATE queries SET cost = -1 WHERE id = 3"], "'CC' at low, asked in round 1", "price"),
        ([f'UPDATE outcomes SET "values" = "hello" {FIRST}'], AT_A, "an answer that is no number"),
        ([f'UPDATE outcomes SET "values" = "[1e999]" {FIRST}'], AT_A, "answer that is no number"),
        ([f'UPDATE outcomes SET "values" = "[]" {FIRST}'], AT_A, "an answer that is no number"),
        ([f'UPDATE outcomes SET "values" = NULL {FIRST}'], AT_A, "neither a value nor a failure"),
        (["UPDATE outcomes SET \"values\" = '[1.0]' WHERE query_id = 2"], AT_B, "neither"),
        (["DELETE FROM outcomes WHERE query_id = 2"], AT_B, "no answer, and that round is"),
    ],
)  # fmt: skip
def test_rows_that_no_mfal_wrote_are_named_and_left_as_they_are(
    url: str, tmp_path: Path, statements: Sequence[str], place: str, what: str
) -> None:
    edit(url, statements)
    before = (tmp_path / "ledger.db").read_bytes()
    for look in (Store, read_ledger):
        with pytest.raises(LedgerError) as raised:
            look(url, "test", IDENTITY)
        assert raised.value.message.startswith(f"{url}: the ledger cannot be read: damaged: ")
        assert place in raised.value.message and what in raised.value.message
        assert "bring a backup back" in raised.value.hint
    assert (tmp_path / "ledger.db").read_bytes() == before


def test_a_sound_ledger_is_opened_though_its_triggers_are_gone(url: str) -> None:
    edit(url, ["UPDATE outcomes SET cost = 0 WHERE query_id = 2"])  # failures may be free
    with read_ledger(url, "test", IDENTITY) as ledger:
        assert ledger.spent() == 1 and ledger.promised() == 1
    with Store(url, "test", IDENTITY) as store:
        assert [o.outcome for o in store.observations()] == [answered(-3.5), failed()]
