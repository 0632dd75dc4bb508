"""Expected improvement at the target, discounted by what a fidelity says about it."""

from math import log, pi

import torch
from torch import Tensor

from mfal.acquisition.base import squared_correlation, target_moments
from mfal.surrogate.base import Surrogate

_RANGE = (-1e9, 1e9)
_LEAST_CORRELATION = 1e-12


class ExpectedImprovement:
    """What a candidate is expected to add at the target, times a fidelity's share in knowing it.

    The worth is ``rho^2 E[max(f - best, 0)]`` with f the target's value: the expectation is
    ``sd (z Phi(z) + phi(z))`` for ``z = (mean - best) / sd`` (Jones, Schonlau & Welch, Journal of
    Global Optimization 13, 455 (1998), equation 15), and its logarithm is stable as in Ament et
    al., NeurIPS 2023, arXiv 2310.20708, equation 9. Answers are noisy, so that best is not one
    of them but the highest posterior mean of the reference.

    It is spread over the fidelities in the manner of augmented expected improvement (Huang,
    Allen, Notz & Miller, Structural and Multidisciplinary Optimization 32, 369 (2006), the
    factors alpha_1 and alpha_2): rho^2, the squared correlation of a noisy answer with the
    target, stands for both, the correlation and the discount for noise. It hardly differs
    between good rungs while their costs do, so that this buys few queries at the target unless
    `batch.target_share` asks for them.

    Args:
        surrogate: A fitted surrogate.
        reference_features: The round's reference candidates, ``r x p``.
        reference_candidate: Their places in the training data, or -1, ``r``.
    """

    def __init__(
        self, surrogate: Surrogate, reference_features: Tensor, reference_candidate: Tensor
    ) -> None:
        self.surrogate = surrogate
        mean = surrogate.joint(reference_features, reference_candidate).mean[:, -1]
        self.best = float(mean.max())

    def log(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        """Log of the worth of n candidates at M fidelities, in units of utility, ``n x M``."""
        moments = self.surrogate.joint(features, candidate)
        mean, sd = target_moments(moments)
        sd = sd.clamp(min=1e-150)
        z = ((mean - self.best) / sd).clamp(*_RANGE)
        discount = squared_correlation(moments).clamp(min=_LEAST_CORRELATION).log()
        return (sd.log() + log_improvement(z))[:, None] + discount


def log_improvement(z: Tensor) -> Tensor:
    """Logarithm of z Phi(z) + phi(z), exact in both tails, as `z`."""
    normal = -0.5 * z.square() - 0.5 * log(2 * pi)
    direct = (normal.exp() + z * torch.special.ndtr(z)).clamp(min=1e-300).log()
    x = -z.clamp(max=-1.0)
    # phi(z) (1 - x M(x)) with Mills' ratio M, of which 1/x^2 - 3/x^4 is left far out.
    middle = torch.log1p(-x * (0.5 * pi) ** 0.5 * torch.special.erfcx(x / 2**0.5).clamp(min=0))
    far = -2 * x.log() + torch.log1p(-3 / x.clamp(min=1e3).square())
    return torch.where(z > -1, direct, normal + torch.where(x < 1e3, middle, far))
