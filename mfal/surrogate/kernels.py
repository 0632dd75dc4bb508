"""Similarity of candidates, split into what features fix and what is learnt."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mfal.surrogate.parameters import Hyperparameters
from mfal.surrogate.scaling import FeatureScale

CountKernel = Literal["matern52", "tanimoto", "hamming", "rbf"]


@dataclass(frozen=True)
class Geometry:
    """What two sets of a and b candidates have to do with each other, before learning.

    It does not change while hyperparameters are fitted, so that one step of a fit costs
    element-wise work on it and a factorisation, however many features there are.

    Attributes:
        counts: Similarity of counts (tanimoto), or else their scaled distance, ``a x b``.
        distance: Scaled distance of trend columns, ``a x b``.
        product: Their inner product, ``a x b``.
        kernel: Which of the two `counts` are.
    """

    counts: Tensor
    distance: Tensor
    product: Tensor
    kernel: CountKernel

    def gram(self, h: Hyperparameters) -> Tensor:
        """The kernel over candidates k_x, ``a x b``; differentiable in `h`."""
        trend = h.slope_variance * self.product
        if self.distance.numel():
            trend = trend + h.trend_variance * matern52(self.distance, h.trend_length)
        if not self.counts.numel():
            return trend
        return h.count_variance * self._count_gram(h.count_length) + trend

    def _count_gram(self, length: Tensor) -> Tensor:
        if self.kernel == "tanimoto":
            return self.counts
        if self.kernel == "matern52":
            return matern52(self.counts, length)
        if self.kernel == "hamming":
            return (-self.counts / length).exp()
        return (-0.5 * (self.counts / length).square()).exp()


@dataclass(frozen=True)
class CandidateKernel:
    """Compares candidates by their features.

    Attributes:
        scale: Brings features to order one.
        kernel: matern52 or rbf of the Euclidean distance of counts, hamming (exponential in the
            number of columns that differ), or tanimoto on counts as they are (Ralaivola et
            al., Neural Networks 18, 1093 (2005)).
    """

    scale: FeatureScale
    kernel: CountKernel

    @property
    def has_counts(self) -> bool:
        """Whether there are count columns."""
        return len(self.scale.counts) > 0

    @property
    def has_length(self) -> bool:
        """Whether the kernel over the counts has a length scale."""
        return self.kernel != "tanimoto"

    @property
    def has_trends(self) -> bool:
        """Whether there are columns with a linear trend."""
        return len(self.scale.trends) > 0

    def geometry(self, a: Tensor, b: Tensor) -> Geometry:
        """Of ``a x p`` and ``b x p`` features."""
        (a_counts, a_trends), (b_counts, b_trends) = self.scale.split(a), self.scale.split(b)
        nothing = torch.zeros(0, dtype=a.dtype)
        counts = nothing
        if self.has_counts and self.kernel == "tanimoto":
            counts = tanimoto(a_counts, b_counts)
        elif self.has_counts and self.kernel == "hamming":
            counts = torch.cdist(a_counts, b_counts, p=0) / self.scale.count_scale
        elif self.has_counts:
            counts = distance(a_counts, b_counts) / self.scale.count_scale
        return Geometry(
            counts=counts,
            distance=distance(a_trends, b_trends) if self.has_trends else nothing,
            product=a_trends @ b_trends.T,
            kernel=self.kernel,
        )

    def diagonal(self, a: Tensor, h: Hyperparameters) -> Tensor:
        """k_x of each of ``a x p`` candidates with itself, ``a``."""
        _, trends = self.scale.split(a)
        return h.count_variance + h.trend_variance + h.slope_variance * trends.square().sum(dim=1)


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances, ``a x b``."""
    centre = b.mean(dim=0)
    a, b = a - centre, b - centre
    squared = torch.addmm(b.square().sum(dim=1), a, b.T, alpha=-2)
    return squared.add_(a.square().sum(dim=1)[:, None]).clamp_(min=0).sqrt_()


def tanimoto(a: Tensor, b: Tensor) -> Tensor:
    """Shared over joint counts, ``a x b`` in [0, 1]; two empty rows share everything."""
    shared = a @ b.T
    joint = a.square().sum(dim=1)[:, None] + b.square().sum(dim=1) - shared
    # A feature that is no number must come out as none: so not "where joint > 0".
    return torch.where(joint <= 0, 1.0, shared / joint.clamp(min=1e-300))


def matern52(r: Tensor, length: Tensor) -> Tensor:
    """Matérn-5/2 correlation at distances `r`."""
    # (1 + a + a^2 / 3) exp(-a) for a = sqrt(5) r / length, in as few passes over r as it takes.
    minus = r * (-(5**0.5) / length)
    return torch.addcmul(1 - minus, minus, minus, value=1 / 3) * minus.exp()
