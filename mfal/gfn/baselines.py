"""Samplers that a GFlowNet has to beat."""

from collections.abc import Callable, Sequence

from torch import Generator

from mfal.envs.base import Environment
from mfal.envs.fidelity import FidelityEnvironment
from mfal.gfn.base import LogReward, Proposals, TrainMetrics
from mfal.gfn.guided import random_states
from mfal.gfn.sampler import as_queries
from mfal.types import Fidelity


class RandomSampler:
    """Uniform over the candidates where the environment can draw them so, and over fidelities.

    Elsewhere uniform over the allowed actions at every step. Never asks for the reward.

    Args:
        environment: Builds candidates.
        fidelities: The ladder.
    """

    needs_reward = False

    def __init__(self, environment: Environment, fidelities: Sequence[Fidelity]) -> None:
        self.environment = FidelityEnvironment(environment, len(fidelities))
        self.fidelities = tuple(fidelities)

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
        """At most n distinct queries; n where the space is large."""
        generator = Generator().manual_seed(seed)
        states = random_states(self.environment, n, generator)
        return Proposals(as_queries(self.environment.queries(states), self.fidelities))
