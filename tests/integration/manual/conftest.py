"""A campaign on the bench of `tests.integration.manual.bench`."""

from pathlib import Path
from typing import Any

import pytest

from mfal.config import CampaignConfig, parse_config
from tests.integration.manual.bench import BENCH
from tests.support import motif_settings


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "bench.py").write_text(BENCH)
    return motif_settings(
        tmp_path,
        name="bench",
        problem={
            "name": f"{tmp_path / 'bench.py'}:problem",
            "options": {"calls": str(tmp_path / "calls.txt")},
        },
        initial={"queries": {"model": 12, "assay": 6}},
        batch={"cost": 15, "target_share": 0.9},
        sampler="random",
        scoring__runner="threads",
    )


@pytest.fixture
def config(settings: dict[str, Any]) -> CampaignConfig:
    return parse_config(settings)
