"""What methods to compare with change in a round, on the motif problem."""

from collections import Counter
from collections.abc import Callable

import pytest

from mfal.campaign import open_campaign
from mfal.config import CampaignConfig
from mfal.errors import ConfigError
from mfal.propose import random_keys
from mfal.round import run_rounds
from mfal.similarity import EditSimilarity

MakeConfig = Callable[..., CampaignConfig]


def test_random_candidates_are_the_same_however_many_and_whatever_the_ladder(
    motif: MakeConfig,
) -> None:
    single = motif(name="single", fidelities=["whole"], initial__queries={"whole": 6})
    with open_campaign(motif()) as a, open_campaign(single) as b:
        many = random_keys(a, 400, seed=1)
        assert len(set(many)) == 400
        assert random_keys(a, 7, seed=1) == random_keys(b, 7, seed=1) == many[:7]
        assert random_keys(a, 5, seed=1, without=many[:3]) == many[3:8]
        assert random_keys(a, 7, seed=2) != many[:7]
        assert random_keys(a, 0, seed=1) == []


@pytest.mark.parametrize("whole", [3.0, 100.0])
def test_fidelities_by_lot_are_bought_whatever_they_cost(motif: MakeConfig, whole: float) -> None:
    config = motif(
        costs={"whole": whole},
        batch={"queries": 40, "fidelity": "random", "target_share": 0.0, "repulsion": 1.0},
        budget__total=10_000,
        sampler={"name": "evolution", "options": {"generations": 3}},
    )
    with open_campaign(config) as campaign:
        run_rounds(campaign, 1)
        batch = [o.query for o in campaign.store.observations() if o.round == 1]
    counts = Counter(query.fidelity for query in batch)
    assert len({query.key for query in batch}) == 40
    # Each is as likely: fewer than 10 of 40 would come about once in 3,500 times.
    assert min(counts["half"], counts["whole"]) >= 10


def test_a_batch_holds_no_candidates_that_are_alike(motif: MakeConfig) -> None:
    changes = {
        "batch": {"queries": 12},
        "budget__total": 1000,
        "sampler": {"name": "evolution", "options": {"generations": 3}},
    }
    alike = EditSimilarity()

    def highest(config: CampaignConfig) -> float:
        with open_campaign(config) as campaign:
            run_rounds(campaign, 1)
            keys = [o.query.key for o in campaign.store.observations() if o.round == 1]
        return max(alike(a, b) for i, a in enumerate(keys) for b in keys[:i])

    assert highest(motif(name="free", **changes)) > 0.5
    assert highest(motif(name="diverse", diversity={"at_most": 0.5}, **changes)) <= 0.5


def test_a_sampler_that_learns_needs_a_surrogate(motif: MakeConfig) -> None:
    with (
        pytest.raises(ConfigError, match="gflownet learns from a reward"),
        open_campaign(motif(surrogate=None)),
    ):
        pass
