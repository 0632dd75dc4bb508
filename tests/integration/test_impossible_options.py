"""Options that no round could work with are refused when a campaign is opened."""

from pathlib import Path

import pytest

from mfal.campaign import open_campaign
from mfal.config import load_config
from mfal.errors import ConfigError
from tests.support import ROOT


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("sampler.options.policy.kind=gru", r"sampler: .*reads sequences, and HypergridEnv"),
        ("surrogate.options.precision=float32", r"surrogate: .*float32 and noise_floor 1e-07"),
    ],
)
def test_an_option_that_cannot_work_costs_nothing(override: str, said: str, tmp_path: Path) -> None:
    path = ROOT / "configs/smoke/branin.yaml"
    config = load_config(path, [override, f"data_dir={tmp_path}"])
    with pytest.raises(ConfigError, match=said), open_campaign(config, str(path)):
        pass
    assert not list(tmp_path.iterdir())
