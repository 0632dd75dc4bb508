"""Problems small enough to enumerate, and policies for them."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from mfal.envs.base import Buildable
from mfal.envs.fidelity import FidelityEnvironment
from mfal.envs.sequence import SequenceEnvironment
from mfal.gfn.agent import Agent
from mfal.gfn.base import LogReward
from mfal.gfn.heads import make_heads
from mfal.gfn.policy import MLPPolicy, Precision
from mfal.types import Fidelity
from tests.unit.envs.grid import GridEnvironment

LADDER = (Fidelity("low", 1.0, 0.3), Fidelity("mid", 3.0, 0.6), Fidelity("high", 7.0, 1.0))


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def dna(length: int) -> SequenceEnvironment:
    return SequenceEnvironment(alphabet="ACGT", length=length)


def spread(points: Sequence[str]) -> list[int]:
    """How many points of a grid of two dimensions and side 100 lie in each quarter of it."""
    quarters = Counter(tuple(int(place) // 50 for place in point.split(",")) for point in points)
    return [quarters[x, y] for x in (0, 1) for y in (0, 1)]


def ladder(side: int, n_fidelities: int = 2) -> FidelityEnvironment:
    """A grid with fidelities: states merge, lengths differ, no hook helps."""
    return FidelityEnvironment(GridEnvironment(side=side), n_fidelities)


def potts(environment: SequenceEnvironment, n_fidelities: int = 3, beta: float = 0.7) -> LogReward:
    """A random pairwise reward whose fidelities prefer different last letters."""
    generator, length = seeded(0), environment.length
    field = torch.randn(length, 4, generator=generator)
    pairs = torch.randn(length - 1, 4, 4, generator=generator)
    tilt = torch.randn(n_fidelities, 4, generator=generator)
    place = torch.arange(length)

    def log_reward(keys: Sequence[str]) -> Tensor:
        x = environment.states(keys)
        score = field[place, x].sum(1) + pairs[place[:-1], x[:, :-1], x[:, 1:]].sum(1)
        return beta * (score[:, None] + tilt[:, x[:, -1]].T)

    return log_reward


def corners(environment: GridEnvironment) -> LogReward:
    """High in the corners of a grid, more so at the second of two fidelities."""

    def log_reward(keys: Sequence[str]) -> Tensor:
        points = environment.states(keys)[:, :2] / (environment.side - 1) - 0.5
        far = points.abs().sum(dim=1)
        return torch.stack([far, 3.0 * far], dim=1)

    return log_reward


def agent(
    environment: Buildable,
    *,
    seed: int = 0,
    hidden: int = 64,
    layers: int = 2,
    precision: Precision = "float32",
    learnt_backward: bool = False,
    flow: bool = False,
    context_features: int = 0,
) -> Agent:
    """A perceptron in its environment."""
    heads = make_heads(environment, learnt_backward=learnt_backward, flow=flow)
    policy = MLPPolicy(
        environment.n_features + context_features,
        heads.n_outputs,
        generator=seeded(seed),
        hidden=hidden,
        layers=layers,
        precision=precision,
    )
    return Agent(environment, policy, heads)


class Opaque(nn.Module):
    """Hides that a policy can follow a rollout by increments."""

    def __init__(self, policy: nn.Module) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, observation: Tensor) -> Tensor:
        outputs: Tensor = self.policy(observation)
        return outputs


def opaque(seen: Agent) -> Agent:
    """The same agent, whose policy has to look at every observation anew."""
    return Agent(seen.environment, Opaque(seen.policy), seen.heads, seen.device)


def sharpen(seen: Agent, factor: float = 8.0) -> Agent:
    """The same agent, its policy far from uniform, so that a wrong draw shows."""
    assert isinstance(seen.policy, MLPPolicy)
    with torch.no_grad():
        seen.policy.weights[-1].mul_(factor)
    return seen
