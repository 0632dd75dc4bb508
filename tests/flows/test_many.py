"""Many campaigns at once on one server."""

from pathlib import Path
from typing import Any

import pytest

from mfal.campaign import open_campaign
from mfal.config import parse_config
from mfal.differences import compare
from mfal.round import run_rounds
from tests.flows.servers import call, create_run, end_of, serving, wait_for
from tests.support import motif_settings


def begin(api: str, name: str) -> Any:
    asked = {"parameters": {"campaign": name, "rounds": 1}}
    return wait_for(f"run of {name}", lambda: call(create_run(api, name), asked))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_eight_campaigns_at_once_finish(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    campaigns = [
        motif_settings(
            tmp_path,
            name=f"motif-{seed}",
            seed=seed,
            problem__options={"gate": str(gate)},
            scoring={"workers": 1, "timeout_seconds": 600.0},
        )
        for seed in range(8)
    ]
    with serving(tmp_path, *campaigns) as api:
        names = [str(settings["name"]) for settings in campaigns]
        begun = [begin(api, name) for name in names]

        def at_once() -> bool:
            runs = [call(f"{api}/flow_runs/{run['id']}") for run in begun]
            return all(run["state_type"] == "RUNNING" for run in runs)

        wait_for("eight runs at once", at_once, 400)  # each of them waits for its oracle
        gate.touch()
        ended = [end_of(api, run, 400) for run in begun]
    assert [run["state_type"] for run in ended] == ["COMPLETED"] * 8
    assert [run["name"] for run in ended] == [f"{name} round 1" for name in names]
    for settings in campaigns:
        config = parse_config(settings)
        alone = parse_config(settings | {"data_dir": str(tmp_path / "alone")})
        with open_campaign(alone) as campaign:
            run_rounds(campaign, 1)
            assert campaign.store.spent() == 42
        assert compare(config, alone).first is None
        with open_campaign(config, to_read=True) as campaign:
            assert [r.number for r in campaign.store.rounds() if r.finished] == [0, 1]
            assert campaign.store.spent() == 42
