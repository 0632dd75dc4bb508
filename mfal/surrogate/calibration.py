"""Predictions against what was then observed."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

INTERVAL = 0.9
_QUANTILE = 2**0.5 * float(torch.erfinv(torch.tensor(INTERVAL, dtype=torch.float64)))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Held-out predictions at one fidelity against what was observed there.

    Attributes:
        n: Observations.
        spearman: Rank correlation of predicted means with observations; None for fewer than
            three, or where either is constant.
        rmse: Root mean square error, in the objective's unit; None where it is not finite.
        nlpd: Mean negative log density of the observations, nats; None where it is not finite.
        coverage_90: Share of observations within the central 90 % interval.
    """

    n: int
    spearman: float | None
    rmse: float | None
    nlpd: float | None
    coverage_90: float


def compare(mean: Tensor, variance: Tensor, observed: Tensor) -> Calibration:
    """Predicted ``n`` means and variances against ``n`` observations."""
    error = observed - mean
    z = error.abs() / variance.sqrt()
    nlpd = 0.5 * (error.square() / variance + (2 * math.pi * variance).log())
    return Calibration(
        n=len(observed),
        spearman=spearman(mean, observed),
        rmse=_finite(error.square().mean().sqrt()),
        nlpd=_finite(nlpd.mean()),
        coverage_90=float((z <= _QUANTILE).double().mean()),
    )


def _finite(value: Tensor) -> float | None:
    return float(value) if bool(value.isfinite()) else None


def spearman(a: Tensor, b: Tensor) -> float | None:
    """Rank correlation of ``n`` pairs, ties at their mean rank; None where it has no value."""
    from scipy.stats import spearmanr

    if len(a) < 3 or not bool((a + b).isfinite().all()):
        return None
    if bool((a == a[0]).all()) or bool((b == b[0]).all()):
        return None
    return float(spearmanr(a.tolist(), b.tolist()).statistic)
