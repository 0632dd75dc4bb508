"""A look at a campaign while another process works on it."""

from collections.abc import Callable

import pytest

from mfal.campaign import Campaign, open_campaign
from mfal.config import CampaignConfig
from mfal.ledger.reading import RoundInfo
from mfal.report.campaign_page import campaign_page
from mfal.report.snapshot import take
from mfal.types import Outcome, Query
from tests.unit.ledgers import begin


def test_a_round_that_is_answered_during_the_look_breaks_no_report(
    motif: Callable[..., CampaignConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_campaign(motif()) as campaign:
        answered(campaign, 0, "ACGTACGT", 1.0)
        read = campaign.store.rounds

        def rounds() -> list[RoundInfo]:
            found = read()
            answered(campaign, 1, "GGGGCCCC", 2.0)  # before the look goes on
            return found

        monkeypatch.setattr(campaign.store, "rounds", rounds)
        snapshot = take(campaign)
    assert {o.round for o in snapshot.observations} <= {r.number for r in snapshot.rounds}
    assert campaign_page(snapshot).lead


def answered(campaign: Campaign, number: int, key: str, value: float) -> None:
    """Begin a round of one query, answer it, and end it."""
    query, store = Query(key, campaign.target.name), campaign.writer
    begin(store, number, query, kind="batch" if number else "initial")
    store.record([(query, Outcome((value,), None, 0.5), "motif")])
    store.finish_round(number)
