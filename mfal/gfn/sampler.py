"""The GFlowNet as a round sees it: a reward goes in, proposals come out."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, nn

from mfal.envs.base import Environment
from mfal.envs.fidelity import FidelityEnvironment
from mfal.gfn.base import LogReward, Proposals, TrainMetrics
from mfal.gfn.losses import LossName
from mfal.gfn.policy import MLPPolicy
from mfal.gfn.rewards import Rewards
from mfal.gfn.rollout import sample_forward
from mfal.gfn.train import Trainer, TrainSettings
from mfal.types import Fidelity, Query

_CHUNK = 1024  # Queries sampled at once from a trained policy.


class GFlowNetSampler:
    """Trains a GFlowNet on the reward, from scratch, and samples from it.

    The proposals are what the trained policy draws and then the best queries that training
    ever scored: thousands are, and most are never drawn again.

    Args:
        environment: Builds candidates; the fidelity is added as its last step.
        fidelities: The ladder, in the order of the reward's columns.
        steps: Gradient steps.
        batch_size: Trajectories a step, fresh and replayed together.
        learning_rate: Of the policy.
        replay_share: Share of the batch that is replayed.
        epsilon: Probability with which a step of a fresh trajectory is uniform.
        guided_every: Steps between guided proposals (`mfal.gfn.guided`); 0 for none.
        guided_size: Offspring each time.
        guided_parents: How many of the best queries may be parents.
        loss: ``vargrad`` or ``tb`` (`mfal.gfn.losses`).
        hidden: Width of the policy's two hidden layers.
        keep: How many of the best queries scored in training to propose as well.
        capacity: Most queries in the replay buffer.
        device: Where to train: ``cpu``, ``cuda``.
    """

    def __init__(
        self,
        environment: Environment,
        fidelities: Sequence[Fidelity],
        *,
        steps: Annotated[int, Field(gt=0)] = 300,
        batch_size: Annotated[int, Field(gt=1)] = 128,
        learning_rate: Annotated[float, Field(gt=0)] = 3e-3,
        replay_share: Annotated[float, Field(ge=0, lt=1)] = 0.5,
        epsilon: Annotated[float, Field(ge=0, le=1)] = 0.05,
        guided_every: Annotated[int, Field(ge=0)] = 8,
        guided_size: Annotated[int, Field(gt=0)] = 256,
        guided_parents: Annotated[int, Field(gt=0)] = 200,
        loss: LossName = "vargrad",
        hidden: Annotated[int, Field(gt=0)] = 256,
        keep: Annotated[int, Field(ge=0)] = 1500,
        capacity: Annotated[int, Field(ge=8)] = 50_000,
        device: str = "cpu",
    ) -> None:
        self.environment = FidelityEnvironment(environment, len(fidelities))
        self.fidelities = tuple(fidelities)
        self.hidden = hidden
        self.keep = keep
        self.device = device
        self.settings = TrainSettings(
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            replay_share=replay_share,
            epsilon=epsilon,
            guided_every=guided_every,
            guided_size=guided_size,
            guided_parents=guided_parents,
            loss=loss,
            capacity=capacity,
        )

    def policy(self, generator: Generator) -> nn.Module:
        """An untrained policy; override it to plug in another network.

        Any module from observations ``n x n_features`` to logits ``n x n_actions`` of
        `self.environment` will do.

        Args:
            generator: Draws the initial weights.
        """
        width, n_actions = self.environment.n_features, self.environment.n_actions
        return MLPPolicy(width, n_actions, hidden=self.hidden, generator=generator)

    def sample(
        self,
        log_reward: LogReward,
        n: int,
        *,
        seed: int,
        start: Sequence[str] = (),
        on_step: Callable[[TrainMetrics], None] = lambda _: None,
    ) -> Proposals:
        """About n distinct proposals from the policy, and up to `keep` more.

        Args:
            log_reward: Keys of distinct candidates -> ``n x M``; asked once per candidate.
            n: How many queries to draw from the trained policy.
            seed: The same seed gives the same proposals.
            start: Keys of known candidates, the first content of the replay buffer.
            on_step: Called with metrics about thirty times in a run of 300 steps.
        """
        generator = Generator(self.device).manual_seed(seed)
        policy = self.policy(generator).to(self.device)
        rewards = Rewards(self.environment, log_reward, self.device)
        trainer = Trainer(
            self.environment, policy, rewards, self.settings, seed=seed, device=self.device
        )
        history = trainer.run(start=start, on_step=on_step)
        drawn = draw(self.environment, policy, n, generator)
        return Proposals(as_queries([*drawn, *rewards.best(self.keep)], self.fidelities), history)


@torch.no_grad()
def draw(
    environment: FidelityEnvironment, policy: nn.Module, n: int, generator: Generator
) -> list[tuple[str, int]]:
    """N queries drawn from the policy, with repetitions: key and index of the fidelity."""
    queries: list[tuple[str, int]] = []
    for size in [_CHUNK] * (n // _CHUNK) + [n % _CHUNK] * (n % _CHUNK > 0):
        start = environment.initial(size).to(generator.device)
        queries += environment.queries(sample_forward(environment, policy, start, generator).final)
    return queries


def as_queries(
    queries: Iterable[tuple[str, int]], fidelities: Sequence[Fidelity]
) -> tuple[Query, ...]:
    """Distinct queries in the order of their first appearance."""
    return tuple(Query(key, fidelities[index].name) for key, index in dict.fromkeys(queries))
