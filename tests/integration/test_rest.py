"""Rounds whose cheap queries go to what is above the best that were asked."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from mfal.batch.improvement import improvement_on_asked
from mfal.campaign import Campaign, open_campaign
from mfal.config import CampaignConfig, parse_config
from mfal.features.points import parse_point
from mfal.learn import Fitted, fit
from mfal.rest import improvement, rest_by
from mfal.round import run_rounds
from mfal.types import Query
from oracles.branin import branin as branin_function

MakeConfig = Callable[..., CampaignConfig]

NEW = "31,47"
LADDER = ("low", "mid", "branin")


@pytest.fixture
def branin(tmp_path: Path) -> CampaignConfig:
    """Three rungs, of which the lower two screen what is promising."""
    return parse_config(
        {
            "name": "screening",
            "problem": "branin",
            "budget": {"total": 16},
            "initial": {"queries": {"low": 30, "mid": 10, "branin": 4}},
            "batch": {"cost": 2, "queries": 20, "rest": "improvement"},
            "features": [{"name": "coordinates", "options": {"dimensions": 2, "side": 100}}],
            "surrogate": {"name": "gp", "options": {"kernel": "rbf", "structure": "ar1"}},
            "sampler": {"name": "evolution", "options": {"generations": 10}},
            "proposals": 100,
            "top_k": 3,
            "data_dir": str(tmp_path / "data"),
        }
    )


def test_a_query_adds_something_only_above_where_its_candidate_was_asked(
    branin: CampaignConfig,
) -> None:
    with open_campaign(branin) as campaign:
        run_rounds(campaign, 1)
        fitted = fit(campaign, 0)
        assert fitted.surrogate is not None and fitted.reward is not None
        asked = campaign.store.asked()
        highest = {q.key: q.fidelity for q in sorted(asked, key=lambda q: LADDER.index(q.fidelity))}
        keys = [NEW, *(next(k for k, at in highest.items() if at == rung) for rung in LADDER)]
        queries = [Query(key, rung) for key in keys for rung in LADDER]
        added = improvement(campaign, fitted, fitted.surrogate, fitted.reward, queries)
        data = fitted.data
        means = fitted.surrogate.joint(data.features, torch.arange(len(data.keys))).mean[:, -1]
        each = [q.key for q in queries]
        moments = fitted.surrogate.joint(campaign.features(each), fitted.candidate(each))
    assert added is not None
    is_open = added > -torch.inf
    assert is_open.view(4, 3).tolist() == [
        [True, True, False],  # the target has its share
        [False, True, False],
        [False, False, False],
        [False, False, False],
    ]
    mean, deviation = moments.mean[:, -1].double(), moments.variance[:, -1].double().sqrt()
    expected = improvement_on_asked(mean, deviation, means.double(), 3)
    torch.testing.assert_close(added[is_open], expected[is_open])


def improvement_of_new(campaign: Campaign, fitted: Fitted, mean: torch.Tensor) -> torch.Tensor:
    """What a new candidate adds to the third best of these posterior means."""
    assert fitted.surrogate is not None
    moments = fitted.surrogate.joint(campaign.features([NEW]), fitted.candidate([NEW]))
    expected, variance = moments.mean[:, -1].double(), moments.variance[:, -1].double()
    return improvement_on_asked(expected, variance.sqrt(), mean, 3)


def test_what_failed_at_the_target_sets_no_mark(branin: CampaignConfig) -> None:
    with open_campaign(branin) as campaign:
        run_rounds(campaign, 1)
        fitted = fit(campaign, 0)
        surrogate, reward, data = fitted.surrogate, fitted.reward, fitted.data
        assert surrogate is not None and reward is not None
        queries = [Query(NEW, "low")]
        mean = surrogate.joint(data.features, torch.arange(len(data.keys))).mean[:, -1].double()
        best = mean.argsort(descending=True)[:5].tolist()
        lost = replace(data, failed=frozenset(data.keys[i] for i in best))
        added = improvement(campaign, replace(fitted, data=lost), surrogate, reward, queries)
        mean[best] = -torch.inf
        assert added is not None
        torch.testing.assert_close(added, improvement_of_new(campaign, fitted, mean))
        # Where all have failed, their means are all there is to go by.
        everything = replace(data, failed=frozenset(data.keys))
        found = improvement(campaign, replace(fitted, data=everything), surrogate, reward, queries)
        known = improvement(campaign, fitted, surrogate, reward, queries)
        assert found is not None and known is not None
        torch.testing.assert_close(found, known)


def test_what_will_probably_fail_at_the_target_sets_no_mark(
    branin: CampaignConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_campaign(branin) as campaign:
        run_rounds(campaign, 1)
        fitted = fit(campaign, 0)
        surrogate, reward, data = fitted.surrogate, fitted.reward, fitted.data
        assert surrogate is not None and reward is not None
        mean = surrogate.joint(data.features, torch.arange(len(data.keys))).mean[:, -1].double()
        best = mean.argsort(descending=True)[:5].tolist()
        doubtful = {data.keys[i] for i in best}

        def feasibility(keys: Sequence[str]) -> torch.Tensor:
            at_target = [0.4 if key in doubtful else 1.0 for key in keys]
            return torch.tensor([[1.0, 1.0, p] for p in at_target], dtype=torch.float64)

        monkeypatch.setattr(reward, "feasibility", feasibility)
        queries = [Query(NEW, "low")]
        added = improvement(campaign, fitted, surrogate, reward, queries)
        mean[best] = -torch.inf
        assert added is not None
        torch.testing.assert_close(added, improvement_of_new(campaign, fitted, mean))


def test_what_is_screened_is_above_what_was_asked_and_climbs_the_ladder(
    branin: CampaignConfig,
) -> None:
    with open_campaign(branin) as campaign:
        run_rounds(campaign, None)
        observations = campaign.store.observations()
    value = {key: point_value(key) for key in {o.query.key for o in observations}}
    design = {o.query.key for o in observations if o.round == 0}
    screened = {o.query.key for o in observations if o.round > 0 and o.query.fidelity == "low"}
    best = sorted(value[key] for key in design)[2]
    # Of random points one in ten is as good as the third best of thirty.
    assert sum(value[key] < best for key in screened) > len(screened) / 2
    rungs: dict[str, list[int]] = {}
    for o in observations:
        if o.round > 0:
            rungs.setdefault(o.query.key, []).append(LADDER.index(o.query.fidelity))
    assert any(len(climbed) > 1 for climbed in rungs.values())
    assert all(low < high for climbed in rungs.values() for low, high in pairwise(climbed))


def point_value(key: str) -> float:
    return branin_function(parse_point(key, 2, 100), 1.0)


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


def test_what_may_fail_counts_by_how_probably_it_has_a_value(
    branin: CampaignConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_campaign(branin) as campaign:
        run_rounds(campaign, 1)
        fitted = fit(campaign, 0)
        surrogate, reward = fitted.surrogate, fitted.reward
        assert surrogate is not None and reward is not None
        queries = [Query(key, "low") for key in (NEW, "80,20")]

        def added() -> torch.Tensor:
            found = improvement(campaign, fitted, surrogate, reward, queries)
            assert found is not None
            return found

        before = added()
        doubtful = torch.tensor([[1.0, 1.0, 0.25], [1.0, 1.0, 1.0]], dtype=torch.float64)
        monkeypatch.setattr(reward, "probability", lambda keys: doubtful)
        change = added() - before
    assert change.tolist() == pytest.approx([-math.log(4), 0.0])
