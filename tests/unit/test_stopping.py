from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from mfal.campaign import open_campaign
from mfal.config import CampaignConfig, parse_config
from mfal.errors import ConfigError
from mfal.importing.observations import import_frame
from mfal.metrics import measured
from mfal.registry import resolve
from mfal.round import run_rounds
from mfal.stopping import stop_reason, why_no_further
from mfal.types import Objective
from tests.support import MOTIF

RANDOM: dict[str, Any] = {"sampler": "random", "surrogate": None}  # quick rounds


def test_a_campaign_goes_on_until_its_budget_buys_nothing(
    motif: Callable[..., CampaignConfig],
) -> None:
    with open_campaign(motif(budget__total=54.5)) as campaign:
        assert stop_reason(campaign) is None
        assert run_rounds(campaign, None) == [1, 2]
        assert campaign.store.spent() == 54
        why = "the budget is spent: 0.5 of 54.5 is left, which buys no further query"
        assert stop_reason(campaign) == why  # in a comparison, too, where the field is another
        assert why_no_further(campaign) == f"{why}; raise budget.total to go on"


def test_a_campaign_ends_after_its_rounds(motif: Callable[..., CampaignConfig]) -> None:
    with open_campaign(motif(stop__rounds=2, **RANDOM)) as campaign:
        assert run_rounds(campaign, 5) == [1, 2]
        assert stop_reason(campaign) == "2 rounds are done, and stop.rounds is 2"
        assert run_rounds(campaign, 5) == []


def test_a_campaign_ends_when_its_top_k_is_good_enough(
    motif: Callable[..., CampaignConfig],
) -> None:
    config = motif(stop__value=4.0, top_k=2)
    with open_campaign(config) as campaign:
        ended = run_rounds(campaign, None)
        why = stop_reason(campaign)
        seen = campaign.store.observations()
        target, objective = campaign.target.name, campaign.objective
    assert why is not None and why.endswith("places, and stop.value is 4")
    before = [o for o in seen if o.round < ended[-1]]
    reached, short = (measured(o, target, objective).top(2).mean() for o in (seen, before))
    assert reached is not None and short is not None
    assert short < 4 <= reached


def test_a_value_to_be_minimised_is_reached_from_above(
    motif: Callable[..., CampaignConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The very class that the campaign has its oracle from.
    oracle = resolve("problem", f"{MOTIF.partition(':')[0]}:MotifOracle")
    monkeypatch.setattr(oracle, "objectives", (Objective("agreement", "places", "min"),))
    short = {"top_k": 2, "budget__total": 54, **RANDOM}
    with open_campaign(motif(stop__value=-1.0, **short)) as campaign:
        run_rounds(campaign, 1)
        assert stop_reason(campaign) is None  # no value lies below zero
    with open_campaign(motif(stop__value=8.0, **short)) as campaign:
        why = stop_reason(campaign)
    assert why is not None and why.endswith("places, and stop.value is 8")


def test_a_schedule_has_one_rhythm(motif: Callable[..., CampaignConfig]) -> None:
    settings = motif().model_dump(mode="json")
    for schedule in ({}, {"cron": "0 3 * * *", "interval_minutes": 5}):
        with pytest.raises(ConfigError, match=r"schedule\.cron or schedule\.interval_minutes"):
            parse_config(settings | {"schedule": schedule})
    assert parse_config(settings | {"schedule": {"interval_minutes": 90}}).schedule


def test_fewer_than_top_k_are_no_end_however_good(motif: Callable[..., CampaignConfig]) -> None:
    with open_campaign(motif(stop__value=0.0, top_k=50, **RANDOM)) as campaign:
        run_rounds(campaign, 1)
        assert stop_reason(campaign) is None


def test_what_was_imported_is_no_round(motif: Callable[..., CampaignConfig]) -> None:
    row = {"candidate": ["CCCCCCCC"], "fidelity": ["half"], "agreement": [1.0]}
    with open_campaign(motif(stop__rounds=1, **RANDOM)) as campaign:
        import_frame(campaign, pd.DataFrame(row))
        assert stop_reason(campaign) is None
        assert len(run_rounds(campaign, 5)) == 1
        assert stop_reason(campaign) == "1 round is done, and stop.rounds is 1"
