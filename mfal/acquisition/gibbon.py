"""Information about the target's maximum, in closed form, for all fidelities at once."""

from math import log, pi

import torch
from torch import Tensor

from mfal.acquisition.base import squared_correlation, target_moments
from mfal.acquisition.maxvalues import MaxValueAcquisition
from mfal.surrogate.base import JointMoments

_LARGEST_CORRELATION = 1 - 1e-7
_LARGEST_SHARE = 1 - 1e-10
_RANGE = (-1e4, 1e6)
_FAR_LEFT = -40.0


class Gibbon(MaxValueAcquisition):
    """Multi-fidelity GIBBON: how much a query tells about the target's maximal value.

    Moss, Leslie, Gonzalez & Rayson, Journal of Machine Learning Research 22, 235 (2021), arXiv
    2102.03324: the lower bound on the mutual information of an observation and the maximum
    f*, for a single query,

        -1/2 mean_f* log(1 - rho^2 h(g) (g + h(g))),  g = (f* - mean) / sd,  h = phi / Phi,

    with rho the correlation of the noisy observation at fidelity m with the target's value,
    and mean and sd those of the target. BoTorch calls it
    `qMultiFidelityLowerBoundMaxValueEntropy`; this is the same number for all fidelities in
    one pass of the surrogate.
    """

    def log(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        """Log of the nats of n candidates at M fidelities, ``n x M``, also where they underflow."""
        return log_information(self.surrogate.joint(features, candidate), self.max_values)


def log_information(moments: JointMoments, max_values: Tensor) -> Tensor:
    """Logarithm of GIBBON in nats for given max-values ``k``, ``n x M``, without underflow."""
    squared = squared_correlation(moments).clamp(max=_LARGEST_CORRELATION)
    each = log_bound(squared, log_weight(standardised(moments, max_values)))
    return each.logsumexp(dim=-1) - log(len(max_values))


def log_bound(squared: Tensor, log_weight: Tensor) -> Tensor:
    """Logarithm of -1/2 log(1 - rho^2 w), ``n x M x k``, without underflow.

    Args:
        squared: rho^2, ``n x M``.
        log_weight: log w, ``n x k``.
    """
    log_share = squared.clamp(min=1e-300).log()[:, :, None] + log_weight[:, None, :]
    log_share = log_share.clamp(max=log(_LARGEST_SHARE))
    # log(-log(1 - s)) is log s to double precision below s = e^-40, where s may underflow.
    exact = (-torch.log1p(-log_share.clamp(min=-40.0).exp())).log()
    return log(0.5) + torch.where(log_share > -40.0, exact, log_share)


def standardised(moments: JointMoments, max_values: Tensor) -> Tensor:
    """Where max-values ``k`` lie in the target's distribution, in its deviations, ``n x k``."""
    mean, sd = target_moments(moments)
    return ((max_values - mean[:, None]) / sd[:, None].clamp(min=1e-150)).clamp(*_RANGE)


def log_weight(g: Tensor) -> Tensor:
    """Logarithm of h (g + h) for h = phi(g) / Phi(g), at most 0 and exact in both tails, as `g`.

    It is the share of its variance that a standard normal loses by being cut off above g.
    """
    # phi / Phi as a ratio loses all digits on the left, and underflows on the right.
    left = -torch.special.erfcx(-g.clamp(max=0) / 2**0.5).log() + 0.5 * log(2 / pi)
    right = -0.5 * g.square() - 0.5 * log(2 * pi) - torch.special.log_ndtr(g)
    log_h = torch.where(g < 0, left, right)
    near = log_h + (g + log_h.exp()).clamp(min=1e-300).log()
    # On the far left g + h is 1/|g|, of which rounding leaves little: 1 - h (g + h) in powers
    # of 1/g^2, from Mills' ratio.
    inverse = g.clamp(max=_FAR_LEFT).square().reciprocal()
    far = torch.log1p(-inverse * (1 - inverse * (6 - inverse * 50)))
    return torch.where(g < _FAR_LEFT, far, near).clamp(max=0.0)
