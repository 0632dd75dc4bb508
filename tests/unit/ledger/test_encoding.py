"""What a ledger refuses to write down of a round, and how it says so."""

from typing import Any

import pytest
import torch

from mfal.errors import LedgerError
from mfal.ledger.store import Store
from tests.unit.ledgers import A, B, answered, begin

NAN = float("nan")


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"held_out": {"low": {"n": 3, "rmse": NAN}}}, "record.held_out.low.rmse is nan"),
        ({"a": 0.5, "training": [{"loss": 1.0}, {"loss": -float("inf")}]},
         "record.training[1].loss is -inf"),
        ({"parity": {"low": [(0.5, 1.0, 2.0), (0.5, NAN, 2.0)]}}, "record.parity.low[1][1] is nan"),
        ({"surrogate": {"length": torch.tensor(1.0)}}, "record.surrogate.length is tensor(1.)"),
        ({"surrogate": {("a", "b"): 1.0}}, "record.surrogate is {('a', 'b'): 1.0}"),
    ],
    ids=["nan", "infinite", "in a row", "no number", "no name"],
)  # fmt: skip
def test_a_figure_that_cannot_be_written_is_named_and_leaves_no_round(
    store: Store, record: dict[str, Any], said: str
) -> None:
    begin(store, 0, A)
    store.record([(A, answered(), "engine")])
    before = store.rounds(), store.observations()
    with pytest.raises(LedgerError) as refused:
        begin(store, 1, B, record=record, weights=b"new")
    assert refused.value.message == (
        f"{store.url}: round 1 cannot be written down: {said}, and a ledger holds text and finite "
        "numbers"
    )
    assert "give a finite number or leave it out" in refused.value.hint
    assert (store.rounds(), store.observations()) == before
    assert store.asked() == {A} and store.weights() is None
    # And the ledger is still good for the round that is mended.
    begin(store, 1, B, record={"surrogate": {"length": 1.0, "evidence": None}})
    assert store.pending(1) == [B]


def test_settings_are_named_as_well(store: Store) -> None:
    with pytest.raises(LedgerError, match=r"round 0 .*: config\.batch\.cost is nan, and"):
        begin(store, 0, A, config={"batch": {"cost": NAN}})
    assert store.outline() == []
