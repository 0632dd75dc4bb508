"""Upper confidence bounds, and how a bound at the target becomes a worth at every fidelity."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from mfal.acquisition.base import squared_correlation, target_moments
from mfal.surrogate.base import JointMoments, Surrogate

_LEAST_CORRELATION = 1e-12


class UpperBound:
    """Upper confidence bound at the target, discounted by what a fidelity says about it.

    Information about the maximum saturates once the reference's best is certain, and then asks
    for anything. The worth here is ``rho^2 exp((mean + beta sd - best) / scale)`` with mean and
    sd at the target (Srinivas et al., IEEE Transactions on Information Theory 58, 3250 (2012),
    equation 6), best and scale the highest and the standard deviation of those bounds over the
    reference, and rho the correlation of a noisy observation at the fidelity with the target: a
    candidate already known at a cheap fidelity is then worth asking at the target.

    Args:
        surrogate: A fitted surrogate.
        reference_features: The round's reference candidates, ``r x p``.
        reference_candidate: Their places in the training data, or -1, ``r``.
        beta: How many standard deviations the bound lies above the mean.
    """

    def __init__(
        self,
        surrogate: Surrogate,
        reference_features: Tensor,
        reference_candidate: Tensor,
        *,
        beta: Annotated[float, Field(ge=0)] = 1.0,
    ) -> None:
        self.surrogate = surrogate
        self.beta = beta
        moments = surrogate.joint(reference_features, reference_candidate)
        self.worth = BoundWorth(self._bound(moments))

    def log(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        """Logarithm of the worth of n candidates at M fidelities, ``n x M``."""
        moments = self.surrogate.joint(features, candidate)
        return self.worth.log(self._bound(moments), moments)

    def _bound(self, moments: JointMoments) -> Tensor:
        mean, sd = target_moments(moments)
        return mean + self.beta * sd


class BoundWorth:
    """``rho^2 exp((bound - best) / scale)``: a worth above zero from any bound or draw.

    Args:
        reference: The bounds of the reference, ``r``; the highest is best, and scale is
            their standard deviation, or best's own size times 1e-8 where they differ by no more
            than rounding, or 1 where all are zero.
    """

    def __init__(self, reference: Tensor) -> None:
        self.best = float(reference.max())
        scale = max(float(reference.std(correction=0)), 1e-8 * abs(self.best))
        self.scale = scale or 1.0  # where all are zero

    def log(self, bound: Tensor, moments: JointMoments) -> Tensor:
        """Log worth of n candidates at M fidelities, ``n x M``, for their bounds ``n``."""
        discount = squared_correlation(moments).clamp(min=_LEAST_CORRELATION).log()
        return (bound[:, None] - self.best) / self.scale + discount
