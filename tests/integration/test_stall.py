"""Rounds whose acquisition does not tell candidates apart, and how that is kept from happening."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mfal.acquisition.gibbon import Gibbon
from mfal.acquisition.mes import MaxValueEntropy
from mfal.acquisition.reward import AcquisitionReward
from mfal.campaign import Campaign, open_campaign
from mfal.config import CampaignConfig, parse_config
from mfal.dataset import Dataset, build_dataset
from mfal.learn import make_reward
from mfal.reference import last_proposed, reference_keys
from mfal.round import run_rounds
from mfal.sections import Component
from mfal.surrogate.gp import MultiFidelityGP
from tests.unit.surrogate.data import folded, strands

MakeConfig = Callable[..., CampaignConfig]

CONSTANT = """
import torch
from torch import Tensor


class Constant:
    def __init__(self, worth: float = 0.1) -> None:
        self.worth = worth

    def log(self, features, candidate=None):
        return torch.full((len(features), 2), self.worth, dtype=torch.float64).log()
"""


@pytest.fixture
def constant(tmp_path: Path) -> str:
    path = tmp_path / "constant.py"
    path.write_text(CONSTANT)
    return f"{path}:Constant"


def fallback_of(config: CampaignConfig) -> tuple[str, dict[str, float]]:
    with open_campaign(config) as campaign:
        assert run_rounds(campaign, 1) == [1]
        record = campaign.store.rounds()[1].record
        return record["fallback"], record["reward"]


def test_a_round_that_stalls_follows_an_upper_bound_and_says_so(
    motif: MakeConfig, constant: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = motif(acquisition={"name": constant}, temperature=7.0)
    with caplog.at_level(logging.WARNING, "mfal"):
        fallback, reward = fallback_of(config)
    assert fallback == f"ucb: {constant} did not tell candidates apart"
    assert f"this round follows {fallback}" in [r.getMessage() for r in caplog.records]
    # What the record says of the reward is of the one that was followed.
    assert reward["is_flat"] == 0
    assert reward["maximum"] - reward["median"] > 0.05
    assert reward["temperature"] == 7.0


def test_a_fallback_that_stalls_is_followed_by_another(
    motif: MakeConfig, constant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = (Component(name=constant, options={"worth": 0.5}), Component(name="thompson"))
    monkeypatch.setattr("mfal.learn.FALLBACKS", others)
    fallback, reward = fallback_of(motif(acquisition={"name": "gibbon"}, name="plain"))
    assert fallback == ""
    assert reward["is_flat"] == 0
    monkeypatch.setattr("mfal.learn.FALLBACKS", (Component(name="ei"), *others[1:]))
    # An acquisition is no fallback of its own.
    monkeypatch.setattr(AcquisitionReward, "is_flat", True)
    fallback, _ = fallback_of(motif(acquisition={"name": "ei"}, name="stalled"))
    assert fallback == "thompson: ei did not tell candidates apart, nor does thompson"


def test_a_deep_kernel_that_is_refused_is_on_the_record(
    motif: MakeConfig, constant: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Five steps teach a network nothing.
    deep = {"name": "deep-kernel", "options": {"steps": 5}}
    config = motif(surrogate=deep, acquisition={"name": constant})
    with caplog.at_level(logging.WARNING, "mfal"):
        fallback, _ = fallback_of(config)
    # A round may have two reasons.
    first, second = fallback.split("; ")
    assert first.startswith("gp instead of deep-kernel: ")
    assert second == f"ucb: {constant} did not tell candidates apart"
    logged = [r.getMessage() for r in caplog.records]
    assert {f"this round follows {reason}" for reason in (first, second)} <= {*logged}
    with open_campaign(config) as campaign:
        record = campaign.store.rounds()[1].record
    assert record["surrogate"].keys() >= {"gate_coverage_90", "gate_nlpd", "gate_nlpd_exact"}
    assert record["held_out"].keys() == {"half", "whole"}


@pytest.mark.parametrize("name", ["mes", "ei", "ucb", "thompson"])
def test_every_acquisition_drives_a_round(motif: MakeConfig, name: str) -> None:
    fallback, reward = fallback_of(motif(acquisition=name))
    assert fallback == ""
    assert reward["is_flat"] == 0


def test_the_last_rounds_proposals_belong_to_the_reference(motif: MakeConfig) -> None:
    config = motif()
    with open_campaign(config) as campaign:
        run_rounds(campaign, 1)
        proposed = last_proposed(campaign)
        assert len(proposed) == len(set(proposed)) > 10
        observations = campaign.store.observations()
        data = build_dataset(observations, campaign.ladder, campaign.objective, campaign.features)
        surrogate = MultiFidelityGP(linear_columns=()).fit(data, seed=0)
        reference = reference_keys(campaign, surrogate, data, 3)
        assert reference == reference_keys(campaign, surrogate, data, 3)
    assert len(set(reference)) == len(reference)
    assert set(data.keys) | set(proposed) < set(reference)
    assert set(proposed) - set(data.keys)


@pytest.fixture
def dna(tmp_path: Path) -> Iterator[Campaign]:
    settings = {
        "name": "dna",
        "problem": "dna",
        "budget": {"total": 1000},
        "initial": {"queries": {"transformer": 20, "folding": 5}},
        "batch": {"cost": 10},
        "features": [{"name": "kmers", "options": {"alphabet": "ACGT"}}, "stems"],
        "top_k": 1,  # the best itself is sought
        "data_dir": str(tmp_path),
    }
    with open_campaign(parse_config(settings)) as campaign:
        yield campaign


def best_found(
    campaign: Campaign, surrogate: MultiFidelityGP, data: Dataset, known: set[str]
) -> list[str]:
    """What a search of its own finds: 300 candidates that are not in the reference."""
    found = [k for k in reference_keys(campaign, surrogate, data, 2) if k not in known]
    mean = surrogate.joint(campaign.features(found)).mean[:, -1]
    return [found[i] for i in mean.argsort(descending=True)[:300].tolist()]


def test_max_values_of_the_ledger_alone_make_good_candidates_equal(dna: Campaign) -> None:
    keys = strands(60, seed=1)
    data = folded(keys, keys[:30], dna.features)
    surrogate = MultiFidelityGP(linear_columns=dna.features.linear_columns).fit(data, seed=0)
    ledger = list(data.keys)
    wide = reference_keys(dna, surrogate, data, 1)
    good = best_found(dna, surrogate, data, set(wide))
    mean = surrogate.joint(dna.features(good)).mean[:, -1]
    for kind in (Gibbon, MaxValueEntropy):
        narrow, broad = (
            kind(surrogate, dna.features(keys), data.places(keys), seed=0)
            for keys in (ledger, wide)
        )
        # The ledger's maximum lies below what the search finds, the wide one's above.
        assert narrow.max_values.max() < mean.median()
        assert broad.max_values.median() > mean.max()
        # Candidates whose means span 5 kcal/mol are worth the same to within a factor of 2.
        assert mean.max() - mean.min() > 4
        spreads = [float(a.log(dna.features(good))[:, -1].std()) for a in (narrow, broad)]
        assert spreads[0] < 0.2
        assert spreads[1] > 10 * spreads[0]
    rewards = [
        make_reward(dna, Component(name="gibbon"), surrogate, data, reference, 0)(good)[:, -1]
        for reference in (ledger, wide)
    ]
    assert rewards[0].std() < 0.2 < 1 < rewards[1].std()
    ranks = torch.stack([x.argsort().argsort().double() for x in (rewards[1], mean)])
    assert torch.corrcoef(ranks)[0, 1] > 0.8


def test_a_family_that_mostly_fails_sets_no_mark_for_others(dna: Campaign) -> None:
    keys = strands(60, seed=1)
    data = folded(keys, keys[:30], dna.features)
    surrogate = MultiFidelityGP(linear_columns=dna.features.linear_columns).fit(data, seed=0)
    reference = reference_keys(dna, surrogate, data, 1)
    known = set(data.keys)

    def feasibility(keys: Sequence[str]) -> Tensor:
        """What is known has a value; all that a search would find mostly fails."""
        probability = torch.tensor([0.9 if key in known else 0.1 for key in keys])
        return probability[:, None].expand(len(keys), 2).double()

    roomy = replace(dna, config=dna.config.model_copy(update={"top_k": 100}))
    acquisition = make_reward(
        roomy,
        Component(name="gibbon"),
        surrogate,
        data,
        reference,
        0,
        feasibility,  # type: ignore[arg-type]
    ).acquisition
    assert isinstance(acquisition, Gibbon)
    mean = surrogate.joint(data.features, torch.arange(len(data.keys))).mean[:, -1]
    # The seventh best of sixty, not the hundredth of thousands; what is found lies beyond.
    assert acquisition.max_values.min() >= mean.topk(7).values[-1]
    found = best_found(dna, surrogate, data, known)
    beyond = surrogate.joint(dna.features(found)).mean[:, -1]
    assert acquisition.max_values.max() < beyond.median()
