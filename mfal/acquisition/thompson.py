"""An approximate draw of the target's posterior, discounted by what a fidelity says about it."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mfal.acquisition.base import target_moments
from mfal.acquisition.ucb import BoundWorth
from mfal.surrogate.base import JointMoments, Surrogate


class Thompson:
    """Thompson sampling at the target, approximately: follow one random function.

    Thompson, Biometrika 25, 285 (1933); for Gaussian processes Russo & Van Roy, Mathematics of
    Operations Research 39, 1221 (2014). A joint draw over all candidates that a
    search asks about would take their covariance, which grows with the square of their number;
    a draw that goes on where the last stopped would depend on the order of asking. The draw
    here is

        f(x) = mean(x) + sd(x) u(x) . w,  w standard normal,

    with u(x) random Fourier features of the candidate's features (Rahimi & Recht, NeurIPS
    2007, Algorithm 1) that have length 1: at every candidate f has the mean and the variance
    of the posterior, the same candidate always gets the same value, whatever is asked beside
    it, and similar candidates get similar ones. What is given up is the posterior's own
    correlation of candidates, for which stands a Gaussian kernel of their features, its
    length the median distance of the reference. The worth is ``rho^2 exp((f - best) / scale)``
    as in `BoundWorth`, with best and scale those of the draw over the reference.

    Args:
        surrogate: A fitted surrogate.
        reference_features: The round's reference candidates, ``r x p``.
        reference_candidate: Their places in the training data, or -1, ``r``.
        n_frequencies: Pairs of random Fourier features.
        seed: Seed of the draw.
    """

    def __init__(
        self,
        surrogate: Surrogate,
        reference_features: Tensor,
        reference_candidate: Tensor,
        *,
        n_frequencies: Annotated[int, Field(gt=0)] = 256,
        seed: int,
    ) -> None:
        self.surrogate = surrogate
        generator = torch.Generator().manual_seed(seed)
        features = reference_features.to(torch.float64)
        spread = features.std(dim=0, correction=0)
        # A column that is the same all over the reference says nothing about distance.
        differs = spread > 1e-12 * features.abs().amax(dim=0)
        weight = torch.where(differs, 1 / torch.where(differs, spread, 1.0), 0.0)
        shape = features.shape[1], n_frequencies
        frequency = torch.randn(shape, generator=generator, dtype=torch.float64)
        distance = _median_distance(features * weight, generator)
        self._frequency = weight[:, None] * frequency / distance
        weights = torch.randn(2, n_frequencies, generator=generator, dtype=torch.float64)
        self._weights = weights / n_frequencies**0.5
        moments = surrogate.joint(reference_features, reference_candidate)
        self.worth = BoundWorth(self._draw(reference_features, moments))

    def log(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        """Logarithm of the worth of n candidates at M fidelities, ``n x M``."""
        moments = self.surrogate.joint(features, candidate)
        return self.worth.log(self._draw(features, moments), moments)

    def _draw(self, features: Tensor, moments: JointMoments) -> Tensor:
        """The drawn function at n candidates, in units of utility, ``n``."""
        phase = features.to(torch.float64) @ self._frequency
        # cos^2 + sin^2 is 1: the deviation has variance 1 at every candidate.
        deviation = phase.cos() @ self._weights[0] + phase.sin() @ self._weights[1]
        mean, sd = target_moments(moments)
        value: Tensor = mean + sd * deviation
        return value


def _median_distance(features: Tensor, generator: torch.Generator) -> float:
    """Median distance of ``r x p`` features, of 500 at random; 1 where they do not differ."""
    rows = torch.randperm(len(features), generator=generator)[:500]
    distance = torch.pdist(features[rows])
    distance = distance[distance > 0]
    return float(distance.median()) if len(distance) else 1.0
