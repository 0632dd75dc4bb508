"""Information about the target's maximum, in closed form, for all fidelities at once."""

from math import log, pi
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mfal.errors import SurrogateError
from mfal.surrogate.base import JointMoments, Surrogate
from mfal.surrogate.evidence import factorise

_LARGEST_CORRELATION = 1 - 1e-7
_LARGEST_SHARE = 1 - 1e-10
_RANGE = (-1e4, 1e6)
_JOINT_SAMPLE = 500


class Gibbon:
    """Multi-fidelity GIBBON: how much a query tells about the target's maximal value.

    Moss, Leslie, Gonzalez & Rayson, Journal of Machine Learning Research 22, 235 (2021), arXiv
    2102.03324: the lower bound on the mutual information of an observation and the maximum
    f*, for a single query,

        -1/2 mean_f* log(1 - rho^2 h(g) (g + h(g))),  g = (f* - mean) / sd,  h = phi / Phi,

    with rho the correlation of the noisy observation at fidelity m with the target's value,
    and mean and sd those of the target. BoTorch calls it
    `qMultiFidelityLowerBoundMaxValueEntropy`; this is the same number for all fidelities in
    one pass of the surrogate.

    Values of f* are drawn jointly at the target from the posterior of the reference candidates
    that may hold the maximum. Give a reference that reaches as far as the search will: any
    candidate far better than every f* is worth the same.

    Args:
        surrogate: A fitted surrogate.
        reference_features: Candidates among which the maximum is sought, ``r x p``.
        reference_candidate: Their places in the training data, or -1, ``r``.
        n_max_values: How many values of f* are averaged over.
        seed: Seed of their draw.
    """

    def __init__(
        self,
        surrogate: Surrogate,
        reference_features: Tensor,
        reference_candidate: Tensor,
        *,
        n_max_values: Annotated[int, Field(gt=0)] = 16,
        seed: int,
    ) -> None:
        self.surrogate = surrogate
        self.max_values = sample_max_values(
            surrogate, reference_features, reference_candidate, n_max_values, seed=seed
        )

    def __call__(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        """Information of n candidates at M fidelities in nats, ``n x M``, zero or above."""
        return information(self.surrogate.joint(features, candidate), self.max_values)

    def log(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        """Its logarithm, ``n x M``, finite and falling on where the information underflows."""
        return log_information(self.surrogate.joint(features, candidate), self.max_values)


def sample_max_values(
    surrogate: Surrogate,
    features: Tensor,
    candidate: Tensor,
    n: int,
    *,
    seed: int,
) -> Tensor:
    """Joint draws of the target's maximum over the reference, ``n``.

    Only the candidates with the highest mean plus three standard deviations are drawn, which
    are those that can hold the maximum. No draw lies below the highest posterior mean.
    """
    if len(features) == 0:
        raise SurrogateError(
            "the reference set is empty", "give at least the candidates of the training data"
        )
    moments = surrogate.joint(features, candidate)
    mean, sd = moments.mean[:, -1], moments.variance[:, -1].sqrt()
    best = (mean + 3 * sd).topk(min(_JOINT_SAMPLE, len(mean))).indices
    target = torch.full((len(best),), moments.mean.shape[1] - 1, dtype=torch.long)
    covariance = surrogate.covariance(features[best], candidate[best], target)
    # The same candidate twice makes the matrix singular; so does a certain one.
    factor, _ = factorise(covariance + 1e-9 * covariance.diagonal().mean() * torch.eye(len(best)))
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randn(len(best), n, generator=generator, dtype=torch.float64)
    values = (mean[best, None] + factor @ draws).max(dim=0).values
    return values.clamp(min=float(mean.max()))


def information(moments: JointMoments, max_values: Tensor) -> Tensor:
    """GIBBON for given max-values ``k``, in nats, ``n x M``."""
    squared, log_weight = _ingredients(moments, max_values)
    share = (squared[:, :, None] * log_weight.exp()[:, None, :]).clamp(max=_LARGEST_SHARE)
    return 0.5 * -torch.log1p(-share).mean(dim=-1)


def log_information(moments: JointMoments, max_values: Tensor) -> Tensor:
    """Logarithm of `information`, ``n x M``, without underflow."""
    squared, log_weight = _ingredients(moments, max_values)
    log_share = squared.clamp(min=1e-300).log()[:, :, None] + log_weight[:, None, :]
    log_share = log_share.clamp(max=log(_LARGEST_SHARE))
    # log(-log(1 - s)) is log s to double precision below s = e^-40, where s may underflow.
    exact = (-torch.log1p(-log_share.clamp(min=-40.0).exp())).log()
    each = torch.where(log_share > -40.0, exact, log_share)
    return log(0.5) + each.logsumexp(dim=-1) - log(len(max_values))


def _ingredients(moments: JointMoments, max_values: Tensor) -> tuple[Tensor, Tensor]:
    """Squared correlation ``n x M`` and log h (g + h), at most 0, ``n x k``."""
    variance = moments.variance[:, -1:]
    noisy = moments.variance + moments.noise
    squared = moments.target_covariance.square() / (variance * noisy).clamp(min=1e-300)
    g = (max_values - moments.mean[:, -1:]) / variance.sqrt().clamp(min=1e-150)
    return squared.clamp(0, _LARGEST_CORRELATION), log_weight(g.clamp(*_RANGE))


def log_weight(g: Tensor) -> Tensor:
    """Logarithm of h (g + h) for h = phi(g) / Phi(g), at most 0 and exact in both tails, as `g`."""
    # phi / Phi as a ratio loses all digits on the left, and underflows on the right.
    left = -torch.special.erfcx(-g.clamp(max=0) / 2**0.5).log() + 0.5 * log(2 / pi)
    right = -0.5 * g.square() - 0.5 * log(2 * pi) - torch.special.log_ndtr(g)
    log_h = torch.where(g < 0, left, right)
    # On the far left g + h is 1/|g|, and rounding may carry it to zero or the sum above 1.
    return (log_h + (g + log_h.exp()).clamp(min=1e-300).log()).clamp(max=0.0)
