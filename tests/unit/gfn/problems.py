"""Problems small enough to enumerate."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mfal.envs.fidelity import FidelityEnvironment
from mfal.envs.sequence import SequenceEnvironment
from mfal.gfn.base import LogReward
from mfal.gfn.policy import MLPPolicy
from mfal.types import Fidelity
from tests.unit.envs.grid import GridEnvironment

LADDER = (Fidelity("low", 1.0, 0.3), Fidelity("mid", 3.0, 0.6), Fidelity("high", 7.0, 1.0))


def dna(length: int) -> SequenceEnvironment:
    return SequenceEnvironment(alphabet="ACGT", length=length)


def potts(environment: SequenceEnvironment, n_fidelities: int = 3, beta: float = 0.7) -> LogReward:
    """A random pairwise reward whose fidelities prefer different last letters."""
    generator, length = torch.Generator().manual_seed(0), environment.length
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


def mlp(environment: FidelityEnvironment, hidden: int = 64, seed: int = 0) -> MLPPolicy:
    return MLPPolicy(
        environment.n_features,
        environment.n_actions,
        hidden=hidden,
        generator=torch.Generator().manual_seed(seed),
    )
