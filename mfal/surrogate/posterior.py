"""The conditioned process, with everything that can be computed once cached."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mfal.dataset import Dataset
from mfal.surrogate.base import JointMoments
from mfal.surrogate.evidence import factorise
from mfal.surrogate.kernels import CandidateKernel
from mfal.surrogate.parameters import Hyperparameters
from mfal.surrogate.scaling import UtilityScale

_CHUNK = 1024
_LEAST_VARIANCE = 1e-10


@dataclass(frozen=True)
class Posterior:
    """A Gaussian process conditioned on N observations of c candidates, M fidelities.

    Whatever the fidelity, the covariance of a candidate x with the observations is
    ``S_m k_x(x, candidates)`` plus its nugget, so both the mean and the whitened covariance
    L^-1 k are one product of k_x with a matrix that is made once per fidelity.

    Attributes:
        kernel: Compares candidates.
        h: Hyperparameters, in standardised units.
        scale: The lines from standardised units to utilities.
        data: The observations.
        inverse: L^-1 for the covariance L L^T of the noisy observations, ``N x N``.
        weights: (L L^T)^-1 times the residuals, ``N``.
        mean_map: k_x to means, ``c x M``.
        white_map: k_x to whitened covariances, ``M x N x c``.
        jitter: Variance that was added to the diagonal, 0 where none was needed.
    """

    kernel: CandidateKernel
    h: Hyperparameters
    scale: UtilityScale
    data: Dataset
    inverse: Tensor
    weights: Tensor
    mean_map: Tensor
    white_map: Tensor
    jitter: float

    @classmethod
    def condition(
        cls, kernel: CandidateKernel, h: Hyperparameters, scale: UtilityScale, data: Dataset
    ) -> "Posterior":
        """On all of `data`."""
        fidelity, candidate = data.fidelity, data.candidate
        gram = kernel.geometry(data.features, data.features).gram(h)[candidate][:, candidate]
        covariance = h.smooth[fidelity][:, fidelity] * gram + torch.diag(h.noise[fidelity])
        same = candidate[:, None] == candidate[None, :]
        covariance += h.nugget[fidelity][:, fidelity] * same
        factor, jitter = factorise(covariance)
        identity = torch.eye(len(data), dtype=torch.float64)
        inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
        residual = scale.standardise(data.utility, fidelity) - h.offset[fidelity]
        weights = inverse.T @ (inverse @ residual)
        by_fidelity = h.smooth[:, fidelity]
        mean_map = torch.zeros(len(data.keys), data.n_fidelities, dtype=torch.float64)
        mean_map.index_add_(0, candidate, (by_fidelity * weights).T)
        white_map = torch.zeros(data.n_fidelities, len(data), len(data.keys), dtype=torch.float64)
        white_map.index_add_(2, candidate, inverse * by_fidelity[:, None, :])
        return cls(kernel, h, scale, data, inverse, weights, mean_map, white_map, jitter)

    def joint(self, features: Tensor, candidate: Tensor) -> JointMoments:
        """Moments of ``n x p`` `features`; -1 in `candidate` is one never queried."""
        blocks = zip(torch.split(features, _CHUNK), torch.split(candidate, _CHUNK), strict=True)
        mean, variance, covariance = (
            torch.cat(parts) for parts in zip(*(self._block(*b) for b in blocks), strict=True)
        )
        units = self.scale.scale
        return JointMoments(
            mean=mean * units + self.scale.centre,
            variance=variance * units.square(),
            target_covariance=covariance * units * units[-1],
            noise=self.h.noise * units.square(),
        )

    def covariance(self, features: Tensor, candidate: Tensor, fidelity: Tensor) -> Tensor:
        """Noise-free posterior covariance among n queries, ``n x n``."""
        h = self.h
        prior = self.kernel.geometry(features, features).gram(h)
        prior *= h.smooth[fidelity][:, fidelity]
        prior += h.nugget[fidelity][:, fidelity] * same_candidate(features, candidate)
        similarity = self._similarity(features)
        white = torch.empty(len(features), len(self.data), dtype=torch.float64)
        for rung in range(self.data.n_fidelities):
            rows = fidelity == rung
            white[rows] = self._white(similarity[rows], candidate[rows], rung)
        units = self.scale.scale[fidelity]
        return (prior - white @ white.T) * torch.outer(units, units)

    def _block(self, features: Tensor, candidate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Standardised mean, variance and covariance with the target, each ``n x M``."""
        h = self.h
        similarity = self._similarity(features)
        mean = similarity @ self.mean_map + h.offset
        known = (candidate >= 0).nonzero()[:, 0]
        if len(known) > 0:
            mean[known] += (
                self._nugget_covariance(candidate[known])
                @ (h.nugget[:, self.data.fidelity] * self.weights).T
            )
        diagonal = self.kernel.diagonal(features, h)[:, None]
        variance = diagonal * h.smooth.diagonal() + h.nugget.diagonal()
        covariance = diagonal * h.smooth[-1] + h.nugget[-1]
        target = self._white(similarity, candidate, self.data.n_fidelities - 1)
        for rung in range(self.data.n_fidelities - 1):
            white = self._white(similarity, candidate, rung)
            variance[:, rung] -= torch.linalg.vecdot(white, white)
            covariance[:, rung] -= torch.linalg.vecdot(white, target)
        variance[:, -1] -= torch.linalg.vecdot(target, target)
        variance.clamp_(min=_LEAST_VARIANCE)
        covariance[:, -1] = variance[:, -1]
        return mean, variance, covariance

    def _similarity(self, features: Tensor) -> Tensor:
        return self.kernel.geometry(features, self.data.features).gram(self.h)

    def _nugget_covariance(self, candidate: Tensor) -> Tensor:
        """1 where an observation is of that candidate, ``n x N``."""
        return (candidate[:, None] == self.data.candidate[None, :]).to(torch.float64)

    def _white(self, similarity: Tensor, candidate: Tensor, rung: int) -> Tensor:
        """L^-1 times the covariance of queries at `rung` with the observations, ``n x N``."""
        white = similarity @ self.white_map[rung].T
        known = (candidate >= 0).nonzero()[:, 0]
        if len(known) > 0:
            nugget = self.h.nugget[rung, self.data.fidelity]
            white[known] += (self._nugget_covariance(candidate[known]) * nugget) @ self.inverse.T
        return white


def same_candidate(features: Tensor, candidate: Tensor) -> Tensor:
    """Whether queries are of the same candidate, ``n x n`` bool.

    Queries of candidates that were never asked about are the same if their features are.
    """
    label = candidate.clone()
    new = candidate < 0
    if bool(new.any()):
        _, group = torch.unique(features[new], dim=0, return_inverse=True)
        label[new] = -1 - group
    return label[:, None] == label[None, :]
