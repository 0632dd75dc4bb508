"""The small campaigns that ship: a round of each, and what is in the ledger after it."""

from pathlib import Path

import pytest

from mfal.campaign import open_campaign
from mfal.config import load_config
from mfal.round import run_rounds
from tests.support import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("name", ["amp", "branin", "hartmann", "ehrlich"])
def test_a_round_of_the_smoke_campaign(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = load_config(ROOT / f"configs/smoke/{name}.yaml", [f"data_dir={tmp_path}"])
    with open_campaign(config, name) as campaign:
        assert run_rounds(campaign, 1) == [1]
        observations = campaign.store.observations()
        oracle = campaign.problem.oracle
        assert {o.round for o in observations} == {0, 1}
        assert {o.query.fidelity for o in observations if o.round == 0} == set(oracle.backends)
        design = sum(o.cost for o in observations if o.round == 0)
        batch = sum(o.cost for o in observations if o.round == 1)
        cheapest = min(f.cost for f in campaign.ladder)
        wanted = config.initial.queries or {}
        assert design == pytest.approx(sum(campaign.cost(f) * n for f, n in wanted.items()))
        assert 0 < batch <= (config.batch.cost or 0) + cheapest * 1e-9
        # What the worker answered is what the oracle says here.
        rungs = {f.name: f for f in campaign.ladder}
        for o in observations[::7]:
            again = oracle.evaluate([o.query.key], rungs[o.query.fidelity])[0]
            assert (o.outcome.values, o.outcome.error) == (again.values, None)
        assert not campaign.store.rounds()[-1].record["fallback"]
