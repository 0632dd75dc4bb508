"""The GFlowNet as a round sees it: a reward goes in, proposals come out."""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

from pydantic import Field
from torch import Generator, Tensor, nn

from mfal.envs.base import Environment
from mfal.envs.fidelity import FidelityEnvironment
from mfal.gfn.agent import Agent
from mfal.gfn.base import LogReward, Proposals, TrainMetrics
from mfal.gfn.checkpoint import check_shapes, from_bytes, to_bytes
from mfal.gfn.heads import Heads
from mfal.gfn.losses import Loss
from mfal.gfn.objectives import make_loss
from mfal.gfn.policy import PolicySettings, make_policy
from mfal.gfn.products import has_bfloat16
from mfal.gfn.recurrent import sequence_shape
from mfal.gfn.rewards import Rewards
from mfal.gfn.rollout import finished
from mfal.gfn.settings import TrainSettings
from mfal.gfn.train import Trainer
from mfal.types import Fidelity, Query

log = logging.getLogger(__name__)

_LEFT = "what the last round left for a warm start"
_REMEDY = (
    "restore the last round's sampler and policy (its options policy, train.loss and "
    "train.backward), or train anew with sampler.options.warm_start: false for one round"
)


class GFlowNetSampler:
    """Trains a GFlowNet on the reward and samples from it.

    The proposals are what the trained policy draws and then the best queries that training
    ever scored: thousands are, and most are never drawn again.

    Args:
        environment: Builds candidates; the fidelity is added as its last step.
        fidelities: The ladder, in the order of the reward's columns.
        train: How to train (`TrainSettings`).
        policy: Which network (`PolicySettings`).
        warm_start: Whether to start from the last round's weights instead of from scratch.
        keep: How many of the best queries scored in training to propose as well.
        device: Where to train: ``cpu``, ``cuda``.

    Raises:
        ConfigError: if the policy is recurrent and the environment builds no sequences.
    """

    def __init__(
        self,
        environment: Environment,
        fidelities: Sequence[Fidelity],
        *,
        train: TrainSettings = TrainSettings(),
        policy: PolicySettings = PolicySettings(),
        warm_start: bool = False,
        keep: Annotated[int, Field(ge=0)] = 1500,
        device: str = "cpu",
    ) -> None:
        if policy.kind == "gru":
            sequence_shape(environment)  # refuses what it cannot read
        self.environment = FidelityEnvironment(environment, len(fidelities))
        self.fidelities = tuple(fidelities)
        self.train = train
        self.policy_settings = policy
        self.warm_start = warm_start
        self.keep = keep
        self.device = device
        if policy.precision == "bfloat16" and not has_bfloat16(device):
            log.warning(
                "this processor has no bfloat16 and takes ten times as long for it as for float32: "
                "set sampler.options.policy.precision to float32"
            )

    def policy(self, heads: Heads, generator: Generator) -> nn.Module:
        """An untrained policy; override it to plug in another network.

        Any module from observations ``n x n_features`` of `self.environment` to outputs
        ``n x heads.n_outputs`` will do.

        Args:
            heads: What the outputs mean.
            generator: Draws the initial weights.
        """
        return make_policy(self.policy_settings, self.environment, heads, generator)

    def loss(self, agent: Agent) -> Loss:
        """What training makes small; override it to plug in another loss.

        Where that needs the log flow through states, name a `train.loss` that does, too: the
        policy has the heads for it then.

        Args:
            agent: The policy in its environment.
        """
        return make_loss(self.train.loss, agent, decay=self.train.decay)

    def sample(
        self,
        log_reward: LogReward,
        n: int,
        *,
        seed: int,
        start: Sequence[str] = (),
        weights: bytes | None = None,
        on_step: Callable[[TrainMetrics], None] = lambda _: None,
    ) -> Proposals:
        """About n distinct proposals from the policy, and up to `keep` more.

        Args:
            log_reward: Keys of distinct candidates -> ``n x M``; asked once per candidate.
            n: How many queries to draw from the trained policy.
            seed: The same seed gives the same proposals.
            start: Keys of known candidates, the first content of the replay buffer.
            weights: Of the last round, for a warm start.
            on_step: Called with metrics about thirty times in a run of 300 steps.
        """
        # Weights are drawn on the CPU, so that they do not depend on the device.
        heads = self.train.heads(self.environment)
        policy = self.policy(heads, Generator().manual_seed(seed)).to(self.device)
        if self.warm_start and weights is not None:
            known = from_bytes(weights, _LEFT, _REMEDY)
            check_shapes(known, policy.state_dict(), _LEFT, _REMEDY)
            policy.load_state_dict(known)
        agent = Agent(self.environment, policy, heads, self.device)
        rewards = Rewards(self.environment, log_reward, self.device)
        trainer = Trainer(agent, rewards, self.train, seed=seed, loss=self.loss(agent))
        generator = Generator(self.device).manual_seed(seed)
        known_states = self._at_fidelities(rewards, start, generator)
        history = trainer.run(start=known_states, on_step=on_step)
        drawn = draw(agent, n, generator)
        return Proposals(
            as_queries([*drawn, *self._best(rewards)], self.fidelities),
            history,
            to_bytes(policy.state_dict()) if self.warm_start else None,
        )

    def _best(self, rewards: Rewards) -> list[tuple[str, int]]:
        if self.train.guided_apart == 0:
            return rewards.best(self.keep)
        return rewards.best_apart(self.keep, self.train.guided_apart)

    def _at_fidelities(self, rewards: Rewards, keys: Sequence[str], generator: Generator) -> Tensor:
        """Finished states of distinct candidates, each at a fidelity drawn by its reward."""
        distinct = list(dict.fromkeys(keys))
        if not distinct:
            return self.environment.initial(0)
        ladder = rewards.ladder(distinct).softmax(dim=1)
        chosen = ladder.multinomial(1, generator=generator)[:, 0].tolist()
        return self.environment.states(distinct, chosen)


def draw(agent: Agent, n: int, generator: Generator) -> list[tuple[str, int]]:
    """N queries drawn from the policy, with repetitions: key and index of the fidelity."""
    environment = agent.environment
    if not isinstance(environment, FidelityEnvironment):
        raise TypeError(f"{type(environment).__name__} has no fidelities")
    return environment.queries(finished(agent, n, generator))


def as_queries(
    queries: Iterable[tuple[str, int]], fidelities: Sequence[Fidelity]
) -> tuple[Query, ...]:
    """Distinct queries in the order of their first appearance."""
    return tuple(Query(key, fidelities[index].name) for key, index in dict.fromkeys(queries))
