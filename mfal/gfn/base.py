"""What every sampler offers to a round, and the reward it is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from mfal.types import Query

LogReward = Callable[[Sequence[str]], Tensor]
"""Keys of n distinct candidates -> log reward at each of the M fidelities, ``n x M``."""


@dataclass(frozen=True, slots=True)
class TrainMetrics:
    """One line of the training stream.

    Attributes:
        loss: Training loss of this step.
        validation_loss: The same loss on fresh trajectories that are not learnt from.
        log_z: What the loss has learnt log Z to be, or what those trajectories say it is. They are
            few, a quarter of a batch: where the policy is far from the target it comes out low.
        effective_sample_size: Of those trajectories weighted by R P_B / P_F, as a share of
            their number n: 1 at the target, and never below 1 / n, however far the policy is.
        modes: Distinct modes found so far, by the problem's own account; or else, how many of
            the hundred best are different answers (`mfal.gfn.modes.count_modes`).
    """

    step: int
    steps: int
    loss: float
    validation_loss: float
    log_z: float
    effective_sample_size: float
    modes: int


@dataclass(frozen=True)
class Proposals:
    """What a sampler has to offer.

    Attributes:
        queries: Distinct queries, the sampled ones first.
        history: Training metrics in order.
        weights: What the next round's sampler may start from; None where it starts anew.
    """

    queries: tuple[Query, ...]
    history: tuple[TrainMetrics, ...] = ()
    weights: bytes | None = None


@runtime_checkable
class HasPool(Protocol):
    """A sampler that proposes candidates of a fixed list only."""

    @property
    def pool(self) -> Sequence[str]:
        """Keys of the list, distinct."""
        ...


def no_reward(keys: Sequence[str]) -> Tensor:
    """The reward of a sampler that never asks for one."""
    raise RuntimeError(f"a random sampler asked for the reward of {len(keys)} candidates")


def needs_reward(sampler: object) -> bool:
    """Whether a sampler asks for the reward; it does unless it says ``needs_reward = False``."""
    return bool(getattr(sampler, "needs_reward", True))


@runtime_checkable
class Sampler(Protocol):
    """Proposes queries in proportion to (or in view of) a reward."""

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
        """About n proposals.

        Args:
            start: Keys of known candidates to learn from, such as the ledger's best.
            weights: What the last round's proposals came with.
            on_step: Called with metrics as training goes on.
        """
        ...
