"""The conditioned process: exact in its mean and covariances, at any number of points."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mfal.dataset import Dataset
from mfal.surrogate.base import JointMoments
from mfal.surrogate.evidence import factorise
from mfal.surrogate.kernels import CandidateKernel
from mfal.surrogate.parameters import Hyperparameters
from mfal.surrogate.predictor import Predictor
from mfal.surrogate.scaling import UtilityScale
from mfal.surrogate.subspace import OwnRows, Subspace


@dataclass(frozen=True)
class Posterior:
    """A Gaussian process conditioned on N observations of c candidates, M fidelities.

    Attributes:
        kernel: Compares candidates.
        h: Hyperparameters, in standardised units.
        scale: The lines from standardised units to utilities.
        data: The observations, in the order of their fidelities.
        order: Place of each of them in the data as they were given, ``N``.
        factor: Lower Cholesky factor of the covariance of the noisy observations, ``N x N``.
        predictor: What is cached to predict candidates one by one.
        jitter: Variance that was added to the diagonal, 0 where none was needed.
    """

    kernel: CandidateKernel
    h: Hyperparameters
    scale: UtilityScale
    data: Dataset
    order: Tensor
    factor: Tensor
    predictor: Predictor
    jitter: float

    @classmethod
    def condition(
        cls,
        kernel: CandidateKernel,
        h: Hyperparameters,
        scale: UtilityScale,
        data: Dataset,
        *,
        rank: int = 0,
    ) -> "Posterior":
        """On all of `data`.

        Args:
            kernel: As the attribute.
            h: As the attribute.
            scale: As the attribute.
            data: As the attribute.
            rank: Take variances from the leading subspace of this rank; 0 for exact ones.

        Raises:
            SurrogateError: The covariance of the observations cannot be factorised.
        """
        order = data.fidelity.argsort(stable=True)
        data = data.rows(order)
        covariance = observed_covariance(kernel, h, data)
        factor, jitter = factorise(covariance)
        residual = scale.standardise(data.utility, data.fidelity) - h.offset[data.fidelity]
        weights = torch.cholesky_solve(residual[:, None], factor)[:, 0]
        own = None
        if rank == 0:
            whitener = inverted(factor)
        else:
            covariance.diagonal().add_(jitter)
            subspace = Subspace.leading(covariance, rank)
            whitener = subspace.whitener
            own = OwnRows.of(covariance, subspace, data)
        predictor = Predictor.make(kernel, h, scale, data, weights, whitener, own)
        return cls(kernel, h, scale, data, order, factor, predictor, jitter)

    def inverse_factor(self) -> Tensor:
        """L^-1 for the covariance L L^T of the noisy observations, ``N x N``, in float64."""
        kept = self.predictor.whitener
        is_exact = self.predictor.own is None and kept.dtype == torch.float64
        return kept.to(self.factor.device) if is_exact else inverted(self.factor)

    def joint(self, features: Tensor, candidate: Tensor) -> JointMoments:
        """Moments of ``n x p`` `features`; -1 in `candidate` is one never queried."""
        return self.predictor.joint(features, candidate)

    def mean(self, features: Tensor, candidate: Tensor) -> Tensor:
        """The means of `joint` alone, ``n x M``."""
        return self.predictor.mean(features, candidate)

    def covariance(self, features: Tensor, candidate: Tensor, fidelity: Tensor) -> Tensor:
        """Noise-free posterior covariance among n queries, ``n x n``; always exact."""
        h, data = self.h, self.data
        prior = self.kernel.geometry(features, features).gram(h)
        prior *= h.smooth[fidelity][:, fidelity]
        prior += h.nugget[fidelity][:, fidelity] * same_candidate(features, candidate)
        with_data = self.kernel.geometry(data.features, features).gram(h)[data.candidate]
        with_data *= h.smooth[data.fidelity][:, fidelity]
        same = data.candidate[:, None] == candidate[None, :]
        with_data += h.nugget[data.fidelity][:, fidelity] * same
        white: Tensor = torch.linalg.solve_triangular(self.factor, with_data, upper=False)
        units = self.scale.scale[fidelity]
        return (prior - white.T @ white) * torch.outer(units, units)


def inverted(factor: Tensor) -> Tensor:
    """Inverse of a lower triangular ``N x N`` factor."""
    identity = torch.eye(len(factor), dtype=factor.dtype)
    inverse: Tensor = torch.linalg.solve_triangular(factor, identity, upper=False)
    return inverse


def observed_covariance(kernel: CandidateKernel, h: Hyperparameters, data: Dataset) -> Tensor:
    """Of the noisy observations, ``N x N``."""
    fidelity, candidate = data.fidelity, data.candidate
    covariance = kernel.geometry(data.features, data.features).gram(h)[candidate][:, candidate]
    covariance *= h.smooth[fidelity][:, fidelity]
    same = candidate[:, None] == candidate[None, :]
    covariance += h.nugget[fidelity][:, fidelity] * same
    covariance.diagonal().add_(h.noise[fidelity])
    return covariance


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
