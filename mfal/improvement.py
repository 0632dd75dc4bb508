"""How far a candidate is expected to be above the best that were asked."""

from torch import Tensor

from mfal.acquisition.ei import log_improvement

_LEAST = 1e-12  # of a standard deviation


def improvement_on_asked(mean: Tensor, deviation: Tensor, asked: Tensor, k: int) -> Tensor:
    """Logarithm of how far each candidate is expected to be above the K-th best asked, ``n``.

    The expected improvement at the target (Jones, Schonlau & Welch, Journal of Global
    Optimization 13, 455 (1998), equation 15) on the K-th best posterior mean instead of the
    best.

    Args:
        mean: Posterior means at the target, ``n``.
        deviation: Their standard deviations, ``n``.
        asked: Posterior means of the candidates that were asked, one at least.
        k: K; of fewer, the lowest counts.
    """
    border = asked.topk(min(k, len(asked))).values[-1]
    deviation = deviation.clamp_min(_LEAST)
    return deviation.log() + log_improvement((mean - border) / deviation)
