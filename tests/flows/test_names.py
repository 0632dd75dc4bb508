"""What runs of flows are called: by the batches that they choose, whatever was done before."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from flows.names import run_name
from mfal.campaign import Campaign, open_campaign
from mfal.config import CampaignConfig, parse_config
from mfal.importing.observations import import_frame
from mfal.progress import Progress
from mfal.round import Steps, begin_round, run_rounds
from tests.support import motif_settings


@pytest.fixture
def config(tmp_path: Path) -> CampaignConfig:
    return parse_config(motif_settings(tmp_path, sampler={"name": "random"}, surrogate=None))


def bring(campaign: Campaign, half: int, whole: int) -> None:
    """Import the values of so many candidates."""
    keys = [a + b + "A" * 6 for a in "ACGT" for b in "ACGT"]
    rows = [
        {"candidate": key, "fidelity": fidelity, "agreement": float(i)}
        for fidelity, n in (("half", half), ("whole", whole))
        for i, key in enumerate(keys[:n])
    ]
    import_frame(campaign, pd.DataFrame(rows))


def begin(campaign: Campaign, number: int, kind: str) -> None:
    """Begin a round and leave it there."""
    assert begin_round(campaign, number, Steps(), Progress(), kind)


def nothing(campaign: Campaign) -> None:
    """A campaign that was opened."""


def part_of_the_design(campaign: Campaign) -> None:
    bring(campaign, 4, 2)


def all_of_the_design(campaign: Campaign) -> None:
    bring(campaign, 12, 6)


def a_design_after_an_import(campaign: Campaign) -> None:
    bring(campaign, 4, 2)
    begin(campaign, 1, "initial")


def a_design(campaign: Campaign) -> None:
    begin(campaign, 0, "initial")


def a_batch(campaign: Campaign) -> None:
    run_rounds(campaign, 1)
    begin(campaign, 2, "batch")


@pytest.mark.parametrize(
    ("before", "number"),
    [
        (nothing, 1),
        (part_of_the_design, 2),
        (all_of_the_design, 1),
        (a_design, 1),
        (a_design_after_an_import, 2),
        (a_batch, 2),
    ],
)
def test_a_run_is_named_by_the_batches_it_chooses(
    config: CampaignConfig, before: Callable[[Campaign], None], number: int
) -> None:
    with open_campaign(config) as campaign:
        before(campaign)
        assert run_name(config, 1) == f"motif round {number}"
        assert run_name(config, 3) == f"motif rounds {number} to {number + 2}"
        assert run_rounds(campaign, 1) == [number]


def test_a_campaign_that_has_no_ledger_begins_with_round_1(config: CampaignConfig) -> None:
    assert run_name(config, None) == "motif rounds 1 to the end"
