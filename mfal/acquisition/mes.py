"""Information about the target's maximum, exactly, for all fidelities at once."""

from math import log

import torch
from torch import Tensor

from mfal.acquisition.base import squared_correlation
from mfal.acquisition.gibbon import log_bound, log_weight, standardised
from mfal.acquisition.maxvalues import MaxValueAcquisition
from mfal.acquisition.negentropy import log_negentropy
from mfal.surrogate.base import JointMoments


class MaxValueEntropy(MaxValueAcquisition):
    """Multi-fidelity max-value entropy: what a query tells about the target's maximal value.

    Takeno et al., ICML 2020, arXiv 1901.08275, section 3: the mutual information of an answer
    and the maximum f*, where knowing f* is to know that the target's value is at most f*. With
    rho the correlation of the noisy answer at fidelity m with the target's value and
    g = (f* - mean) / sd at the target, it is mean_f* I(g, rho) with

        I(g, rho) = H[N(0, 1)] - H[p],  p(y) = phi(y) Phi((g - rho y) / sqrt(1 - rho^2)) / Phi(g).

    At rho = 1 this is g phi(g) / (2 Phi(g)) - log Phi(g) (Wang & Jegelka, ICML 2017, arXiv
    1703.01968, equation 6), at rho = 0 it is 0. For any rho it is GIBBON, the entropy lost in
    variance, plus the negentropy of p, which is bounded and smooth and comes from a table:

        I(g, rho) = -1/2 log(1 - rho^2 h (g + h)) + J[p],  h = phi(g) / Phi(g).
    """

    def log(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        """Log of the nats of n candidates at M fidelities, ``n x M``, also where they underflow."""
        return log_entropy_lost(self.surrogate.joint(features, candidate), self.max_values)


def log_entropy_lost(moments: JointMoments, max_values: Tensor) -> Tensor:
    """Logarithm of the information for given max-values ``k``, ``n x M``."""
    squared, g = squared_correlation(moments), standardised(moments, max_values)
    return log_information(g, squared).logsumexp(dim=-1) - log(len(max_values))


def log_information(g: Tensor, squared: Tensor) -> Tensor:
    """Logarithm of I(g, rho) for bounds ``n x k`` and rho^2 ``n x M``, ``n x M x k``."""
    return torch.logaddexp(log_bound(squared, log_weight(g)), log_negentropy(g, squared))
