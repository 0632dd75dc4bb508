"""Draws of the target's maximum, which the information about it is averaged over."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mfal.acquisition.base import target_moments
from mfal.errors import SurrogateError
from mfal.surrogate.base import Surrogate
from mfal.surrogate.evidence import factorise

_JOINT_SAMPLE = 500


class MaxValueAcquisition:
    """What acquisitions about the maximal value f* share: a surrogate and draws of f*.

    The values are drawn jointly at the target from the posterior of the reference candidates
    that may hold the maximum. Give a reference that reaches as far as the search will: any
    candidate far better than every f* is worth the same.

    Args:
        surrogate: A fitted surrogate.
        reference_features: Candidates among which the maximum is sought, ``r x p``.
        reference_candidate: Their places in the training data, or -1, ``r``.
        n_max_values: How many values of f* are averaged over.
        rank: Take the rank-th highest value for f* instead of the highest. Once the best
            candidate stands out and is known, nothing is left to learn about the maximum,
            while the ones after it are still unknown.
        seed: Seed of their draw.
    """

    is_information = True

    def __init__(
        self,
        surrogate: Surrogate,
        reference_features: Tensor,
        reference_candidate: Tensor,
        *,
        n_max_values: Annotated[int, Field(gt=0)] = 16,
        rank: Annotated[int, Field(gt=0)] = 1,
        seed: int,
    ) -> None:
        self.surrogate = surrogate
        self.max_values = sample_max_values(
            surrogate, reference_features, reference_candidate, n_max_values, rank=rank, seed=seed
        )


def sample_max_values(
    surrogate: Surrogate,
    features: Tensor,
    candidate: Tensor,
    n: int,
    *,
    rank: int = 1,
    seed: int,
) -> Tensor:
    """Joint draws of the target's maximum over the reference, or of its rank-th value, ``n``.

    Only the candidates with the highest mean plus three standard deviations are drawn, which
    are those that can hold the maximum. No draw lies below the highest posterior mean, or the
    rank-th; of a reference of fewer, the lowest counts.
    """
    if len(features) == 0:
        raise SurrogateError(
            "the reference set is empty", "give at least the candidates of the training data"
        )
    moments = surrogate.joint(features, candidate)
    mean, sd = target_moments(moments)
    best = (mean + 3 * sd).topk(min(_JOINT_SAMPLE, len(mean))).indices
    target = torch.full((len(best),), moments.mean.shape[1] - 1, dtype=torch.long)
    covariance = surrogate.covariance(features[best], candidate[best], target).double()
    # The same candidate twice makes the matrix singular; so does a certain one.
    pad = (1e-9 * covariance.diagonal().mean()).clamp(min=1e-300)
    factor = _root(covariance + pad * torch.eye(len(best), dtype=covariance.dtype))
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randn(len(best), n, generator=generator, dtype=torch.float64)
    rank = min(rank, len(best))
    values = (mean[best, None] + factor @ draws).topk(rank, dim=0).values[-1]
    return values.clamp(min=float(mean.topk(rank).values[-1]))


def _root(covariance: Tensor) -> Tensor:
    """A matrix whose product with its transpose is the covariance, ``n x n``.

    What is known almost exactly has variances that are rounding errors, some of them negative:
    these are taken for nothing.
    """
    try:
        return factorise(covariance)[0]
    except SurrogateError:
        if not bool(covariance.isfinite().all()):
            raise
        values, vectors = torch.linalg.eigh(covariance)
        root: Tensor = vectors * values.clamp(min=0).sqrt()
        return root
