"""Evolutionary search, beside which a GFlowNet is measured: under the same reward, and without."""

from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Generator

from mfal.envs.base import Environment
from mfal.envs.fidelity import FidelityEnvironment
from mfal.gfn.base import LogReward, Proposals, TrainMetrics
from mfal.gfn.guided import offspring, random_states
from mfal.gfn.rewards import Rewards
from mfal.gfn.sampler import as_queries
from mfal.types import Fidelity


class EvolutionSampler:
    """Breeds queries whose fitness is the reward, and proposes the best it ever scored.

    Its mutation and crossover are those that guide the GFlowNet's training, and by default it
    asks for about as many rewards as that does: 128 generations of 300.

    Args:
        environment: Builds candidates; the fidelity is bred with them.
        fidelities: The ladder, in the order of the reward's columns.
        generations: How often offspring replace what is worse.
        brood: Offspring of a generation, and random queries at the start.
        parents: How many of the best queries may be parents.
        keep: How many of the best queries to propose beyond those asked for.
    """

    def __init__(
        self,
        environment: Environment,
        fidelities: Sequence[Fidelity],
        *,
        generations: Annotated[int, Field(gt=0)] = 128,
        brood: Annotated[int, Field(gt=1)] = 300,
        parents: Annotated[int, Field(gt=1)] = 200,
        keep: Annotated[int, Field(ge=0)] = 1500,
    ) -> None:
        self.environment = FidelityEnvironment(environment, len(fidelities))
        self.fidelities = tuple(fidelities)
        self.generations = generations
        self.brood = brood
        self.parents = parents
        self.keep = keep

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
        """The n + `keep` best queries that were scored, best first.

        Args:
            start: Keys of known candidates, which may be parents from the beginning.
        """
        generator = Generator().manual_seed(seed)
        rewards = Rewards(self.environment, log_reward)
        rewards.ladder([*start, *self._random_keys(generator)])
        for _ in range(self.generations):
            family = rewards.best(self.parents)
            keys, fidelities = zip(*family, strict=True)
            parents = self.environment.states(list(keys), list(fidelities))
            rewards(offspring(self.environment, parents, self.brood, generator))
        return Proposals(as_queries(rewards.best(n + self.keep), self.fidelities))

    def _random_keys(self, generator: Generator) -> list[str]:
        return self.environment.keys(random_states(self.environment, self.brood, generator))


class BreedingSampler:
    """Offspring of the ledger's best: evolution whose fitness is the oracle.

    Never asks for the reward; for campaigns without a surrogate, of one fidelity above all: of
    candidates that were asked at different ones it compares the values. The generations are the
    campaign's rounds. Without known candidates its proposals are random.

    Args:
        environment: Builds candidates.
        fidelities: The ladder; all is asked at its target.
        parents: How many of the best known candidates may be parents.
    """

    needs_reward: ClassVar[bool] = False

    def __init__(
        self,
        environment: Environment,
        fidelities: Sequence[Fidelity],
        *,
        parents: Annotated[int, Field(gt=1)] = 100,
    ) -> None:
        self.environment = environment
        self.target = fidelities[-1]
        self.parents = parents

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
        """At most n distinct offspring.

        Args:
            start: Keys of known candidates, best first.
        """
        generator = Generator().manual_seed(seed)
        if start:
            parents = self.environment.states(list(start[: self.parents]))
            states = offspring(self.environment, parents, n, generator)
        else:
            states = random_states(self.environment, n, generator)
        bred = [(key, 0) for key in self.environment.keys(states)]
        return Proposals(as_queries(bred, [self.target]))
