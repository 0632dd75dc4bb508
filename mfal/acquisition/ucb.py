"""What to follow once the information about the maximum no longer tells candidates apart."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from mfal.surrogate.base import Surrogate

_LEAST_CORRELATION = 1e-12


class FallbackUCB:
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
        bound = moments.mean[:, -1] + beta * moments.variance[:, -1].sqrt()
        self.best = float(bound.max())
        self.scale = max(float(bound.std(correction=0)), 1e-12)

    def __call__(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        """Worth of n candidates at M fidelities, ``n x M``."""
        return self.log(features, candidate).exp()

    def log(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        """Its logarithm, ``n x M``."""
        moments = self.surrogate.joint(features, candidate)
        variance = moments.variance[:, -1:]
        bound = moments.mean[:, -1:] + self.beta * variance.sqrt()
        squared = moments.target_covariance.square() / (
            variance * (moments.variance + moments.noise)
        )
        discount = squared.clamp(_LEAST_CORRELATION, 1.0).log()
        return (bound - self.best) / self.scale + discount
