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
class Points:
    """Points to measure distances to: all that does not take the others.

    Attributes:
        values: The points less their mean, ``a x q``.
        centre: Their mean, ``q``.
        squares: Squared lengths of `values`, ``a``.
    """

    values: Tensor
    centre: Tensor
    squares: Tensor

    @classmethod
    def of(cls, points: Tensor) -> "Points":
        """From ``a x q`` points."""
        centre = points.mean(dim=0)
        values = points - centre
        return cls(values, centre, values.square().sum(dim=1))

    def compared(self, others: Tensor) -> Tensor:
        """Euclidean distances from ``b x q`` others, ``a x b``."""
        others = (others - self.centre).to(self.values)
        squared = torch.addmm(others.square().sum(dim=1), self.values, others.T, alpha=-2)
        return squared.add_(self.squares[:, None]).clamp_(min=0).sqrt_()


@dataclass(frozen=True)
class Bags:
    """Counts to find what is shared with: all that does not take the others.

    Attributes:
        columns: Those where some of them are not zero, ``q``; elsewhere nothing is shared.
        values: The counts there, ``a x q``.
        squares: Sums of their squares, ``a``.
    """

    columns: Tensor
    values: Tensor
    squares: Tensor

    @classmethod
    def of(cls, counts: Tensor) -> "Bags":
        """From ``a x p`` counts."""
        columns = (counts != 0).any(dim=0).nonzero()[:, 0]
        return cls(columns, counts[:, columns], counts.square().sum(dim=1))

    def compared(self, others: Tensor) -> Tensor:
        """Shared over joint counts, ``a x b`` in [0, 1]; two empty rows share everything."""
        others = others.to(self.values)
        shared = self.values @ others[:, self.columns].T
        joint = self.squares[:, None] + others.square().sum(dim=1) - shared
        # A feature that is no number must come out as none: so not "where joint > 0".
        return torch.where(joint <= 0, 1.0, shared / joint.clamp(min=1e-300))


@dataclass(frozen=True)
class Places:
    """Rows to find differing places in.

    Attributes:
        values: The rows, ``a x q``.
    """

    values: Tensor

    def compared(self, others: Tensor) -> Tensor:
        """In how many columns each differs from ``b x q`` others, ``a x b``."""
        return torch.cdist(self.values, others.to(self.values), p=0)


@dataclass(frozen=True)
class Prepared:
    """One set of candidates, ready to be compared with others again and again.

    Attributes:
        counts: Their counts.
        trends: Their scaled trend columns.
        slopes: The same columns, ``a x t``.
    """

    counts: Points | Bags | Places
    trends: Points
    slopes: Tensor


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

    def prepare(self, a: Tensor) -> Prepared:
        """What ``a x p`` features take part with in any comparison."""
        counts, trends = self.scale.split(a)
        return Prepared(self._prepare_counts(counts), Points.of(trends), trends)

    def _prepare_counts(self, counts: Tensor) -> Points | Bags | Places:
        if self.kernel == "tanimoto":
            return Bags.of(counts)
        return Places(counts) if self.kernel == "hamming" else Points.of(counts)

    def compare(self, a: Prepared, b: Tensor) -> Geometry:
        """Of a candidates and ``b x p`` features, in the precision of the former.

        What is large and differs little keeps its digits where `b` has them: it is centred first.
        """
        counts, trends = self.scale.split(b)
        nothing = a.slopes.new_zeros(0)
        similarity = nothing
        if self.has_counts:
            similarity = a.counts.compared(counts)
        if self.kernel != "tanimoto":
            similarity = similarity / self.scale.count_scale
        return Geometry(
            counts=similarity,
            distance=a.trends.compared(trends) if self.has_trends else nothing,
            product=a.slopes @ trends.to(a.slopes).T,
            kernel=self.kernel,
        )

    def geometry(self, a: Tensor, b: Tensor) -> Geometry:
        """Of ``a x p`` and ``b x p`` features."""
        return self.compare(self.prepare(a), b)

    def diagonal(self, a: Tensor, h: Hyperparameters) -> Tensor:
        """k_x of each of ``a x p`` candidates with itself, ``a``."""
        trends = self.scale.split(a)[1].to(h.slope_variance)
        return h.count_variance + h.trend_variance + h.slope_variance * trends.square().sum(dim=1)


def matern52(r: Tensor, length: Tensor) -> Tensor:
    """Matérn-5/2 correlation at distances `r`."""
    # (1 + a + a^2 / 3) exp(-a) for a = sqrt(5) r / length, in as few passes over r as it takes.
    minus = r * (-(5**0.5) / length)
    return torch.addcmul(1 - minus, minus, minus, value=1 / 3) * minus.exp()
