"""What the state of a run says of its end."""

from collections.abc import Callable

import pytest

from flows.ending import how_it_ended, how_resumed
from mfal.campaign import open_campaign
from mfal.cli.rounds import run_in_terminal
from mfal.cli.runner import Library
from mfal.config import CampaignConfig
from mfal.round import run_rounds


@pytest.fixture
def exhausted(motif: Callable[..., CampaignConfig]) -> CampaignConfig:
    """A campaign on a list of twenty candidates with more money than they cost."""
    sampler = {"name": "pool", "options": {"n": 20}}
    return motif(sampler=sampler, surrogate=None, budget__total=1000, batch={"queries": 100})


def test_a_run_says_why_there_was_no_further_round(
    exhausted: CampaignConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_campaign(exhausted) as campaign:
        ended = run_rounds(campaign, None)
        spent = campaign.store.spent()
        assert how_resumed(campaign, None) == "every round that was begun was finished"
        said = how_it_ended(campaign, ended, None)
        assert how_it_ended(campaign, ended, 1) == said.partition("; no further")[0]
    assert said == (
        f"rounds finished: 1; spent {spent:g} of 1000; no further round: all that was proposed was "
        "asked before, or costs too much"
    )
    run_in_terminal(exhausted, None, "motif.yaml", Library())
    assert "No further round: all that was proposed was asked before" in capsys.readouterr().out
