"""How far a candidate is expected to be above the best that were asked."""

import torch
from torch import Tensor

from mfal.acquisition.ei import log_improvement

_LEAST = 1e-12  # of the greatest standard deviation or distance to the border


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
    distance = mean - border
    unit = float(torch.maximum(deviation, distance.abs()).max())
    deviation = deviation.clamp_min(max(_LEAST * unit, torch.finfo(deviation.dtype).tiny))
    return deviation.log() + log_improvement(distance / deviation)


def improvement_rate(improvement: Tensor, price: Tensor) -> Tensor:
    """Logarithm of an improvement, given by its logarithm, per price, ``n``."""
    return improvement - price.log()


class BestImprovement:
    """Finds the query that is expected to add most for its price.

    Args:
        improvement: Logarithm of what each is expected to add, ``n``.
        price: Of each, ``n``.
    """

    def __init__(self, improvement: Tensor, price: Tensor) -> None:
        self._rate = improvement_rate(improvement, price)

    def among(self, rows: Tensor) -> int | None:
        """The best of some rows, of which there is one at least; None where none adds anything."""
        best = int(rows[self._rate[rows].argmax()])
        return best if self._rate[best] > -torch.inf else None
