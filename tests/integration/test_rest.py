"""Rounds whose cheap queries go to what is above the best that were asked."""

from collections.abc import Callable
from itertools import pairwise

import torch

from mfal.campaign import open_campaign
from mfal.config import CampaignConfig
from mfal.improvement import improvement_on_asked
from mfal.learn import fit
from mfal.rest import improvement, rest_by
from mfal.round import run_rounds
from mfal.types import Query

MakeConfig = Callable[..., CampaignConfig]

NEW = "ACGTACGTAC"


def test_a_query_adds_something_only_above_where_its_candidate_was_asked(
    motif: MakeConfig,
) -> None:
    with open_campaign(motif(batch={"cost": 12, "rest": "improvement"}, top_k=3)) as campaign:
        run_rounds(campaign, 1)
        fitted = fit(campaign, 0)
        assert fitted.surrogate is not None and fitted.reward is not None
        asked = campaign.store.asked()
        cheap = next(q.key for q in asked if Query(q.key, "whole") not in asked)
        dear = next(q.key for q in asked if q.fidelity == "whole")
        queries = [Query(key, at) for key in (NEW, cheap, dear) for at in ("half", "whole")]
        added = improvement(campaign, fitted, fitted.surrogate, fitted.reward, queries)
        data = fitted.data
        means = fitted.surrogate.joint(data.features, torch.arange(len(data.keys))).mean[:, -1]
        keys = [q.key for q in queries]
        moments = fitted.surrogate.joint(campaign.features(keys), fitted.candidate(keys))
    assert added is not None
    assert (added > -torch.inf).tolist() == [True, True, False, True, False, False]
    mean, deviation = moments.mean[:, -1].double(), moments.variance[:, -1].double().sqrt()
    expected = improvement_on_asked(mean, deviation, means.double(), 3)
    open_to = added > -torch.inf
    torch.testing.assert_close(added[open_to], expected[open_to])


def test_what_the_rest_asks_about_climbs_the_ladder(motif: MakeConfig) -> None:
    config = motif(batch={"cost": 12, "rest": "improvement"}, budget={"total": 150})
    with open_campaign(config) as campaign:
        run_rounds(campaign, None)
        cost = {f.name: f.cost for f in campaign.ladder}
        asked: dict[str, list[float]] = {}
        for number in range(1, len(campaign.store.rounds())):
            for o in campaign.store.observations():
                if o.round == number:
                    asked.setdefault(o.query.key, []).append(cost[o.query.fidelity])
    assert any(len(costs) > 1 for costs in asked.values())
    assert all(low < high for costs in asked.values() for low, high in pairwise(costs))


def test_random_fidelities_and_single_ones_go_by_the_acquisition(motif: MakeConfig) -> None:
    batch = {"cost": 12, "rest": "improvement"}
    for changes in (
        {"batch": batch | {"fidelity": "random"}},
        {
            "name": "single",
            "batch": batch,
            "fidelities": ["whole"],
            "initial": {"queries": {"whole": 6}},
        },
    ):
        with open_campaign(motif(**changes)) as campaign:
            assert rest_by(campaign) == "acquisition"
    with open_campaign(motif(batch=batch)) as campaign:
        assert rest_by(campaign) == "improvement"
