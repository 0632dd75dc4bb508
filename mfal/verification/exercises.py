"""Problems whose answer is known exactly, to verify a GFlowNet on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from mfal.envs.base import Environment
from mfal.envs.hypergrid import HypergridEnvironment, hypergrid_log_reward, is_mode
from mfal.envs.sequence import SequenceEnvironment
from mfal.envs.tetris import TetrisEnvironment, tetris_log_reward


@dataclass(frozen=True)
class Exercise:
    """An environment that can be enumerated, and a reward.

    Attributes:
        title: What it is, in a line.
        environment: Builds the candidates, up to some hundred thousand.
        log_reward: Finished states ``n x d`` -> log reward ``n``.
        trajectories: How many fresh ones to train on by default.
        is_mode: Finished states ``n x d`` -> which are modes, bool ``n``; those with the
            highest reward where None.
    """

    title: str
    environment: Environment
    log_reward: Callable[[Tensor], Tensor]
    trajectories: int
    is_mode: Callable[[Tensor], Tensor] | None = None


def tetris() -> Exercise:
    """Six rows by two columns: 36 boards, the empty one worth nothing, five full half."""
    return Exercise(
        "Tetris, 6 x 2, pieces J, L and O, stop anywhere; reward (filled fraction)^4",
        TetrisEnvironment(height=6, width=2, pieces="JLO", rotations=(0, 180)),
        tetris_log_reward,
        16_000,
    )


def tetris_4x4() -> Exercise:
    """Four by four: 685 boards, 198 of which several orders of play lead to."""
    return Exercise(
        "Tetris, 4 x 4, pieces J, L and O, all rotations, stop anywhere; (filled fraction)^4",
        TetrisEnvironment(height=4, width=4, pieces="JLO"),
        tetris_log_reward,
        16_000,
    )


def hypergrid() -> Exercise:
    """The standard one: 4,096 points in four dimensions, 16 modes in the corners."""
    return _hypergrid(r0=0.1, note="")


def sparse_hypergrid() -> Exercise:
    """The same with almost no reward between the modes."""
    return _hypergrid(r0=1e-3, note=", R0 = 0.001: sparse modes")


def dna6() -> Exercise:
    """All 4,096 DNA sequences of six letters, with random fields and couplings of neighbours."""
    environment = SequenceEnvironment(alphabet="ACGT", length=6)
    return Exercise(
        "DNA of 6 letters; random pairwise reward", environment, potts(environment), 8_000
    )


def potts(environment: SequenceEnvironment, scale: float = 0.7) -> Callable[[Tensor], Tensor]:
    """The log reward of a random pairwise model of sequences, the same at every call.

    Fields of all letters and couplings of neighbouring ones are standard normal, times `scale`.
    """
    fields, couplings = potts_tables(environment.length, environment.n_actions)
    place = torch.arange(environment.length)

    def log_reward(states: Tensor) -> Tensor:
        at = states.cpu()
        pairs = couplings[place[:-1], at[:, :-1], at[:, 1:]].sum(dim=1)
        return scale * (fields[place, at].sum(dim=1) + pairs).to(states.device)

    return log_reward


def potts_tables(length: int, letters: int) -> tuple[Tensor, Tensor]:
    """Fields ``length x letters`` and couplings ``(length - 1) x letters x letters``."""
    generator = torch.Generator().manual_seed(0)
    fields = torch.randn(length, letters, generator=generator)
    return fields, torch.randn(length - 1, letters, letters, generator=generator)


def _hypergrid(r0: float, note: str) -> Exercise:
    return Exercise(
        f"Hypergrid, 4 dimensions, side 8{note}",
        HypergridEnvironment(dimensions=4, side=8),
        partial(hypergrid_log_reward, side=8, r0=r0),
        32_000,
        partial(is_mode, side=8),
    )
