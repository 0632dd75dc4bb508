"""What every acquisition offers to the reward and to selection."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Acquisition(Protocol):
    """The worth of asking about a candidate at each fidelity, before cost.

    `candidate` is as for a surrogate: the place of the candidate in the training data, or -1.
    """

    def __call__(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        """Worth of n candidates at M fidelities, ``n x M``, zero or above."""
        ...

    def log(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        """Its logarithm, ``n x M``, finite even where the worth itself underflows to zero."""
        ...
