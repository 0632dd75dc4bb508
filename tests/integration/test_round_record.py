"""A round whose record cannot be written down: what is said, and what it costs."""

from typing import Any

import pytest

from mfal.errors import LedgerError
from tests.integration.rounds import MakeConfig, ReadCalls, ledger, run
from tests.support import ROOT

PARTS = f"{ROOT}/tests/problems/unknown_figures.py"


@pytest.mark.parametrize(
    ("part", "figure"),
    [
        ({"surrogate": f"{PARTS}:Unsure"}, r"record\.surrogate\.evidence is nan"),
        ({"sampler": f"{PARTS}:Diverging"}, r"record\.training\[2\]\.validation_loss is inf"),
    ],
    ids=["surrogate", "sampler"],
)
def test_a_part_whose_figures_are_not_finite_loses_nothing_that_was_bought(
    motif: MakeConfig, calls: ReadCalls, part: dict[str, Any], figure: str
) -> None:
    broken, mended = motif(**part), motif(sampler={"name": "random"})
    for _ in range(2):  # the second time, the initial design is there already
        with pytest.raises(LedgerError, match=rf"round 1 cannot be written down: {figure}, and"):
            run(broken)
        bought, asked = ledger(broken), calls()
        assert len(bought) == len(asked) == 18
        assert all(row[0] == 0 and row[7] is not None for row in bought)
    assert run(mended) == [1]
    assert ledger(mended)[:18] == bought
    assert calls()[:18] == asked and len(set(calls())) == len(calls()) == len(ledger(mended))
