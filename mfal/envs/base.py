"""What every environment offers: how a candidate is built, step by step, in batches."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Generator, Tensor


@runtime_checkable
class Environment(Protocol):
    """A batched, deterministic, acyclic building kit for candidates.

    A batch of n states is an integer tensor ``n x d``; states are never changed in place.
    Actions are integers in ``[0, n_actions)``. A state in which `forward_mask` allows no
    action is finished: a complete candidate.

    Attributes:
        n_actions: Size of the action space.
        n_features: Width p of what `observe` returns.
        max_steps: Length of the longest trajectory.
    """

    n_actions: int
    n_features: int
    max_steps: int

    def initial(self, n: int) -> Tensor:
        """N copies of the source state, ``n x d``."""
        ...

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        """States after `actions` (``n``), each allowed by `forward_mask`."""
        ...

    def undo(self, states: Tensor, actions: Tensor) -> Tensor:
        """States before `actions` (``n``), each allowed by `backward_mask`."""
        ...

    def forward_mask(self, states: Tensor) -> Tensor:
        """Allowed next actions, bool ``n x n_actions``; an all-False row is finished."""
        ...

    def backward_mask(self, states: Tensor) -> Tensor:
        """Actions that may have led here, bool ``n x n_actions``; all False at the source."""
        ...

    def observe(self, states: Tensor) -> Tensor:
        """Policy input, ``n x n_features``, float32."""
        ...

    def keys(self, states: Tensor) -> list[str]:
        """Canonical text of finished states."""
        ...

    def states(self, keys: Sequence[str]) -> Tensor:
        """Finished states of `keys`; the inverse of `keys`.

        Raises:
            InvalidKeyError: for a key outside the search space, naming it.
        """
        ...


@runtime_checkable
class Breeder(Protocol):
    """An environment that knows small changes of its own candidates (optional)."""

    def mutate(self, states: Tensor, generator: Generator) -> Tensor:
        """Finished states, each a small random change away from a row of `states`."""
        ...

    def crossover(self, first: Tensor, second: Tensor, generator: Generator) -> Tensor:
        """Finished states, each a recombination of the same row of two parents."""
        ...
