"""What a conditioned process says of each candidate when it has not seen that candidate."""

from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from mfal.dataset import Dataset, folds_by_candidate
from mfal.surrogate.base import Surrogate

_CHUNK = 256


@dataclass(frozen=True)
class HeldOut:
    """Predictions of N observations, each from the observations of other candidates alone.

    Attributes:
        mean: Expected utility, ``N``, in the objective's unit.
        variance: Of the noisy observation, ``N``, above zero.
        observed: The utilities themselves, ``N``.
        fidelity: Rung of each, ``N``, int64.
    """

    mean: Tensor
    variance: Tensor
    observed: Tensor
    fidelity: Tensor


@runtime_checkable
class HoldsOut(Protocol):
    """A surrogate that knows its own held-out predictions in closed form."""

    def held_out(self) -> HeldOut:
        """Of the observations it is conditioned on, in their order."""
        ...


@runtime_checkable
class Reconditions(Surrogate, Protocol):
    """A fitted surrogate that can be given other observations without a new fit."""

    def condition(self, data: Dataset) -> Self:
        """The same hyperparameters, conditioned on `data` instead."""
        ...


def leave_candidates_out(
    inverse_factor: Tensor, weights: Tensor, candidate: Tensor
) -> tuple[Tensor, Tensor]:
    """How far the mean misses each observation without its candidate, and its variance there.

    With K the covariance of the noisy observations, the residuals of a group g left out are
    (K^-1_gg)^-1 (K^-1 r)_g, with covariance (K^-1_gg)^-1 (Ginsbourger & Schärer 2021,
    arXiv 2101.03108, equations 8 and 9; Rasmussen & Williams 2006, equations 5.10 to 5.12, for
    one at a time). K^-1 itself is not formed: N^2 times the size of a group in all.

    Args:
        inverse_factor: L^-1 for K = L L^T, ``N x N``.
        weights: K^-1 times the residuals r of the observations, ``N``.
        candidate: Candidate of each observation, ``N``, int64.

    Returns:
        Observation minus held-out mean ``N``, and held-out variance ``N``, noise included.
    """
    miss, variance = torch.empty_like(weights), torch.empty_like(weights)
    order = candidate.argsort(stable=True)
    _, sizes = torch.unique_consecutive(candidate[order], return_counts=True)
    starts = sizes.cumsum(0) - sizes
    for size in sizes.unique().tolist():
        of_size = starts[sizes == size]
        for first in torch.split(of_size, _CHUNK):
            rows = order[first[:, None] + torch.arange(size)]  # groups x size
            columns = inverse_factor[:, rows]
            block = torch.einsum("nga,ngb->gab", columns, columns)
            covariance = torch.linalg.inv(block)
            miss[rows] = (covariance @ weights[rows][:, :, None])[:, :, 0]
            variance[rows] = covariance.diagonal(dim1=1, dim2=2)
    return miss, variance


def predict_folds(surrogate: Reconditions, data: Dataset, k: int, *, seed: int) -> HeldOut:
    """Held-out predictions by k folds that share no candidate, without a new fit."""
    mean, variance = torch.empty_like(data.utility), torch.empty_like(data.utility)
    for fold in folds_by_candidate(data, k, seed=seed):
        rows = fold.nonzero()[:, 0]
        rest = surrogate.condition(data.subset(~fold))
        mean[rows], variance[rows] = predict_rows(rest, data, rows)
    return HeldOut(mean, variance, data.utility, data.fidelity)


def predict_rows(surrogate: Surrogate, data: Dataset, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of the noisy observations at `rows` of `data`, all taken for new."""
    moments = surrogate.joint(data.features[data.candidate[rows]])
    rung = data.fidelity[rows][:, None]
    variance = moments.variance.gather(1, rung)[:, 0] + moments.noise[rung[:, 0]]
    return moments.mean.gather(1, rung)[:, 0], variance
