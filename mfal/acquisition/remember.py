"""One pass of the surrogate over a round's reference set, for all who ask for it."""

import torch
from torch import Tensor

from mfal.surrogate.base import JointMoments, Surrogate, posterior_mean


class RemembersReference:
    """A fitted surrogate that keeps its answer about one set of candidates.

    A round asks about its reference set more than once: for draws of the maximum or the best
    there is, for the scale of the reward, and again by another acquisition where one has
    stalled. Over a large pool that is most of what a round computes.

    Args:
        surrogate: A fitted surrogate; whatever else it is asked, it answers itself.
        features: The reference candidates, ``r x p``.
        candidate: Their places in the training data, or -1, ``r``.
    """

    def __init__(self, surrogate: Surrogate, features: Tensor, candidate: Tensor) -> None:
        self.surrogate = surrogate
        self._features, self._candidate = features, candidate
        self._moments = surrogate.joint(features, candidate)

    def joint(self, features: Tensor, candidate: Tensor | None = None) -> JointMoments:
        """Moments of ``n x p`` `features` at every fidelity."""
        is_known = candidate is not None and torch.equal(candidate, self._candidate)
        if is_known and torch.equal(features, self._features):
            return self._moments
        return self.surrogate.joint(features, candidate)

    def mean(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        """The means of `joint` alone, ``n x M``."""
        return posterior_mean(self.surrogate, features, candidate)

    def __getattr__(self, name: str) -> object:
        return getattr(self.surrogate, name)
