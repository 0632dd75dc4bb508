"""What a round learns: a surrogate of the ledger, and a sampler of what is worth asking."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from mfal import registry
from mfal.acquisition.reward import AcquisitionReward
from mfal.campaign import Campaign
from mfal.dataset import Dataset, build_dataset
from mfal.errors import SurrogateError
from mfal.gfn.base import Proposals, Sampler, TrainMetrics
from mfal.gfn.sampler import RandomSampler
from mfal.surrogate.base import Surrogate
from mfal.types import Observation

log = logging.getLogger(__name__)

START = 200  # how many of the ledger's best a sampler starts from


@dataclass(frozen=True)
class Fitted:
    """What a round has learnt from the ledger.

    Attributes:
        surrogate: None where the data do not allow one.
        reward: Acquisition per cost as a log reward; None without a surrogate.
        fallback: Why there is none, for the record.
    """

    data: Dataset
    surrogate: Surrogate | None = None
    reward: AcquisitionReward | None = None
    fallback: str = ""
    diagnostics: dict[str, float] = field(default_factory=dict)

    @property
    def reward_statistics(self) -> dict[str, Any]:
        """Figures of the reward for the record."""
        return {} if self.reward is None else self.reward.statistics()

    def candidate(self, keys: list[str]) -> torch.Tensor:
        """Index of each key among the data's candidates, -1 for a new one, ``n``."""
        index = {key: i for i, key in enumerate(self.data.keys)}
        return torch.tensor([index.get(key, -1) for key in keys], dtype=torch.long)


def fit(campaign: Campaign, seed: int) -> Fitted:
    """Fit the surrogate to the ledger and make the reward of the round from it.

    Where that cannot be done (too few answers, constant values), says so and leaves the
    round to random proposals.
    """
    observations = campaign.store.observations()
    data = build_dataset(observations, campaign.ladder, campaign.objective, campaign.features)
    surrogate: Surrogate = registry.build(
        "surrogate",
        campaign.config.surrogate,
        n_fidelities=len(campaign.ladder),
        linear_columns=campaign.features.linear_columns,
    )
    try:
        surrogate = surrogate.fit(data, seed=seed)
    except SurrogateError as error:
        log.warning("no surrogate this round, the batch is random: %s", error.message)
        return Fitted(data, fallback=error.message)
    reward = AcquisitionReward.build(campaign.config.acquisition)
    return Fitted(data, surrogate, reward, diagnostics=surrogate.diagnostics())


def train(
    campaign: Campaign,
    fitted: Fitted,
    seed: int,
    on_step: Callable[[TrainMetrics], None],
) -> Proposals:
    """Train the sampler on the reward and draw proposals from it."""
    given = {"environment": campaign.environment, "fidelities": campaign.ladder}
    if fitted.reward is None:
        sampler: Sampler = RandomSampler(**given)
        return sampler.sample(_constant, campaign.config.proposals, seed=seed)
    sampler = registry.build("sampler", campaign.config.sampler, **given)
    return sampler.sample(
        fitted.reward,
        campaign.config.proposals,
        seed=seed,
        start=best_keys(campaign.store.observations(), campaign.objective.sign),
        on_step=on_step,
    )
