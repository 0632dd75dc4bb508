"""Variances from a part of the data: what a large training set is cut down to."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mfal.dataset import Dataset

_OVERSAMPLING = 16
_ITERATIONS = 4
_MOST_OWN = 8
_RIDGE = 1e-9


@dataclass(frozen=True)
class Subspace:
    """The leading directions Q of a covariance K of N observations.

    Conditioning on the r numbers Q^T y instead of on all N lowers a variance by
    ``k^T Q (Q^T K Q)^-1 Q^T k``, which is never more than the exact ``k^T K^-1 k``: such a
    variance errs upwards only, and never falls below zero.

    Attributes:
        whitener: W = C^-1 Q^T with C C^T = Q^T K Q, ``r x N``.
        loadings: K W^T, ``N x r``; the part of K that the subspace explains is its product
            with its transpose.
    """

    whitener: Tensor
    loadings: Tensor

    @classmethod
    def leading(cls, covariance: Tensor, rank: int) -> "Subspace":
        """Of an ``N x N`` covariance, by subspace iteration from a fixed seed.

        Halko, Martinsson & Tropp, SIAM Review 53, 217 (2011), algorithm 4.4.
        """
        n = len(covariance)
        rank = min(rank, n)
        generator = torch.Generator().manual_seed(0)
        width = min(n, rank + _OVERSAMPLING)
        basis = torch.randn(n, width, generator=generator, dtype=covariance.dtype)
        for _ in range(_ITERATIONS):
            basis, _ = torch.linalg.qr(covariance @ basis)
        product = covariance @ basis
        values, vectors = torch.linalg.eigh(basis.T @ product)
        scaled = vectors[:, -rank:] / values[-rank:].sqrt()
        return cls(whitener=(basis @ scaled).T, loadings=product @ scaled)


@dataclass(frozen=True)
class OwnRows:
    """The observations of each of c candidates, which no leading direction singles out.

    For a candidate of the training data they are conditioned on beside the subspace, which
    is exact for what is special to it. Of a candidate with many observations the q at the
    highest fidelities count.

    Attributes:
        rows: Places among the observations, ``c x q``; 0 where there are fewer.
        present: Which of them are there, ``c x q`` bool.
        loadings: Of the subspace at these rows, ``c x q x r``, 0 where absent.
        whitener: L^-1 for the covariance L L^T that the subspace leaves to these rows,
            ``c x q x q``.
    """

    rows: Tensor
    present: Tensor
    loadings: Tensor
    whitener: Tensor

    @classmethod
    def of(cls, covariance: Tensor, subspace: Subspace, data: Dataset) -> "OwnRows":
        """From the covariance of the noisy observations, ``N x N``."""
        order = data.fidelity.argsort(descending=True, stable=True)
        grouped = order[data.candidate[order].argsort(stable=True)]
        count = torch.bincount(data.candidate, minlength=len(data.keys))
        first = count.cumsum(0) - count
        place = torch.arange(min(_MOST_OWN, int(count.max())))
        present = place < count[:, None]
        rows = grouped[torch.where(present, first[:, None] + place, 0)]
        pairs = present[:, :, None] & present[:, None, :]
        loadings = subspace.loadings[rows] * present[:, :, None]
        left = covariance[rows[:, :, None], rows[:, None, :]] - loadings @ loadings.mT
        identity = torch.eye(len(place), dtype=covariance.dtype)
        # Nothing is left of a row that the subspace holds; a ridge keeps that an upper bound.
        left = torch.where(pairs, left, identity) + _RIDGE * covariance.diagonal().mean() * identity
        factor = torch.linalg.cholesky(left)
        whitener = torch.linalg.solve_triangular(factor, identity.expand_as(left), upper=False)
        return cls(rows, present, loadings, whitener)
