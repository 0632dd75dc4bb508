"""The fast joint predictor: everything that can be computed once is cached."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import pairwise
from typing import TypeVar, cast

import torch
from torch import Tensor

from mfal.dataset import Dataset
from mfal.surrogate.base import JointMoments
from mfal.surrogate.kernels import CandidateKernel, Prepared
from mfal.surrogate.parameters import Hyperparameters
from mfal.surrogate.scaling import UtilityScale
from mfal.surrogate.subspace import OwnRows

_CHUNK_BYTES = 2**25
_LONGEST_CHUNK = 512
_ROWS = 256  # of a triangle that are multiplied at a time
_LEAST_VARIANCE = 1e-10
_DOUBLE = {"scale", "centre"}  # fields that numbers are brought to order one by

T = TypeVar("T")


@dataclass(frozen=True)
class Predictor:
    """Predicts candidates one by one, in any precision and on any device.

    A variance is that of the prior less ``|W k|^2``, for the covariance k of a query with the
    observations and W^T W the inverse of theirs. Between a query at fidelity m and the
    observations at p, k is ``S[m, p] k_x``. So W k_x is computed once, apart for the columns of
    each p, and gives W k at every fidelity by sums. With the observations in the order of
    their fidelities W is lower triangular; without the half of it that is zero, all fidelities
    together take N^2 / 2 products a candidate.

    Attributes:
        kernel: Compares candidates.
        h: Hyperparameters, in standardised units.
        scale: The lines from standardised units to utilities.
        trained: The c training candidates.
        candidate: Training candidate of each observation, ``N``.
        fidelity: Rung of each observation, ``N``, never falling.
        bounds: Where the observations of each rung begin, and N at the end: ``M + 1`` places.
        whitener: W, ``r x N``: the inverse of the lower Cholesky factor of the covariance of
            the observations (r = N), or what whitens it in a subspace.
        mean_map: k_x to means, ``c x M``.
        own_map: What a training candidate's own observations add to its means, ``c x M``.
        own: What is conditioned on beside a subspace; None where r = N.
    """

    kernel: CandidateKernel
    h: Hyperparameters
    scale: UtilityScale
    trained: Prepared
    candidate: Tensor
    fidelity: Tensor
    bounds: tuple[int, ...]
    whitener: Tensor
    mean_map: Tensor
    own_map: Tensor
    own: OwnRows | None

    @classmethod
    def make(
        cls,
        kernel: CandidateKernel,
        h: Hyperparameters,
        scale: UtilityScale,
        data: Dataset,
        weights: Tensor,
        whitener: Tensor,
        own: OwnRows | None,
    ) -> "Predictor":
        """From the parts of a conditioned process, in float64 on the CPU.

        The observations in `data` are in the order of their fidelities; `weights` is their inverse
        covariance times their residuals, ``N``.
        """
        mean_map, own_map = torch.zeros(2, len(data.keys), data.n_fidelities, dtype=torch.float64)
        mean_map.index_add_(0, data.candidate, (h.smooth[:, data.fidelity] * weights).T)
        own_map.index_add_(0, data.candidate, (h.nugget[:, data.fidelity] * weights).T)
        count = torch.bincount(data.fidelity, minlength=data.n_fidelities)
        return cls(
            kernel=kernel,
            h=h,
            scale=scale,
            trained=kernel.prepare(data.features),
            candidate=data.candidate,
            fidelity=data.fidelity,
            bounds=(0, *count.cumsum(0).tolist()),
            whitener=whitener,
            mean_map=mean_map,
            own_map=own_map,
            own=own,
        )

    def to(self, dtype: torch.dtype, device: str = "cpu") -> "Predictor":
        """The same predictor in another precision or on another device."""
        return moved(self, dtype, device)

    def joint(self, features: Tensor, candidate: Tensor) -> JointMoments:
        """Moments of ``n x p`` `features`; -1 in `candidate` is one never queried.

        Memory stays bounded however large n is. The moments are float64 and on the device
        of `features`, whatever the predictor works in.
        """
        mean, variance, covariance = self._in_blocks(self._block, 3, features, candidate)
        units, centre, noise = (
            part.to(features.device, torch.float64)
            for part in (self.scale.scale, self.scale.centre, self.h.noise)
        )
        return JointMoments(
            mean=mean * units + centre,
            variance=variance * units.square(),
            target_covariance=covariance * units * units[-1],
            noise=noise * units.square(),
        )

    def mean(self, features: Tensor, candidate: Tensor) -> Tensor:
        """The means of `joint`, ``n x M``, for c products a candidate instead of N^2 / 2."""

        def means(features: Tensor, candidate: Tensor) -> tuple[Tensor]:
            similarity = self.kernel.compare(self.trained, features).gram(self.h)
            return (self._mean(similarity, candidate),)

        mean = self._in_blocks(means, 1, features, candidate)[0]
        units, centre = (
            part.to(features.device, torch.float64)
            for part in (self.scale.scale, self.scale.centre)
        )
        return mean * units + centre

    def _in_blocks(
        self,
        block: Callable[[Tensor, Tensor], tuple[Tensor, ...]],
        k: int,
        features: Tensor,
        candidate: Tensor,
    ) -> Tensor:
        """What `block` makes of so many candidates at a time, ``k x n x M``."""
        device = self.whitener.device
        shape = k, 0, len(self.h.offset)
        parts = [torch.zeros(shape, dtype=torch.float64, device=features.device)]
        step = self._chunk()
        for start in range(0, len(features), step):
            some = slice(start, start + step)
            found = block(features[some].to(device, torch.float64), candidate[some].to(device))
            parts.append(torch.stack(found).to(features.device, torch.float64))
        return torch.cat(parts, dim=1)

    def _mean(self, similarity: Tensor, candidate: Tensor) -> Tensor:
        """Standardised means, ``n x M``, of candidates with k_x ``c x n``."""
        own = torch.where(candidate[:, None] >= 0, self.own_map[candidate], 0.0)
        return similarity.T @ self.mean_map + self.h.offset + own

    def _chunk(self) -> int:
        widest = max(len(self.mean_map), len(self.candidate))
        fitting = _CHUNK_BYTES // (widest * self.whitener.element_size())
        return max(1, min(_LONGEST_CHUNK, fitting))

    def _block(self, features: Tensor, candidate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Standardised mean, variance and covariance with the target, each ``n x M``."""
        h = self.h
        similarity = self.kernel.compare(self.trained, features).gram(h)
        known = (candidate >= 0).nonzero()[:, 0]
        same = (self.candidate[:, None] == candidate[known]).to(similarity.dtype)
        mean = self._mean(similarity, candidate)
        diagonal = self.kernel.diagonal(features, h)[:, None]
        variance = diagonal * h.smooth.diagonal() + h.nugget.diagonal()
        covariance = diagonal * h.smooth[-1] + h.nugget[-1]
        white = self._white(similarity, known, same)
        explained, shared = _products(white)
        if self.own is not None:
            extra = self._own_white(self.own, similarity, white, candidate, known)
            explained[known] += _products(extra)[0]
            shared[known] += _products(extra)[1]
        variance = (variance - explained).clamp(min=_LEAST_VARIANCE)
        covariance -= shared
        covariance[:, -1] = variance[:, -1]
        return mean, variance, covariance

    def _white(self, similarity: Tensor, known: Tensor, same: Tensor) -> Tensor:
        """W times the covariances of n queries with the observations, ``M x r x n``.

        Args:
            similarity: k_x of training candidates and queries, ``c x n``.
            known: Places among the queries of k training candidates.
            same: 1 where an observation is of that candidate, ``N x k``.
        """
        n, m = similarity.shape[1], len(self.bounds) - 1
        columns = torch.cat([similarity.index_select(0, self.candidate), same], dim=1)
        white = similarity.new_zeros(m, len(self.whitener), n)
        of_known = similarity.new_zeros(m, len(self.whitener), len(known))
        for rung in range(m):
            first, product = self._multiply(rung, columns)
            smooth, nugget = (b[:, rung, None, None] for b in (self.h.smooth, self.h.nugget))
            white[:, first:].addcmul_(smooth, product[:, :n])
            of_known[:, first:].addcmul_(nugget, product[:, n:])
        white[:, :, known] += of_known
        return white

    def _multiply(self, rung: int, columns: Tensor) -> tuple[int, Tensor]:
        """The columns of W at one rung times the rows there of ``N x a`` `columns`.

        Returns:
            The first row of W that is not zero at the rung, and the product from there on.
        """
        begin, end = self.bounds[rung], self.bounds[rung + 1]
        if self.own is not None:
            return 0, self.whitener[:, begin:end] @ columns[begin:end]
        product = columns.new_empty(len(columns) - begin, columns.shape[1])
        edges = [*range(begin, end, _ROWS), end, len(columns)]
        for top, bottom in pairwise(edges):
            stop = min(bottom, end)
            rows = self.whitener[top:bottom, begin:stop]
            torch.mm(rows, columns[begin:stop], out=product[top - begin : bottom - begin])
        return begin, product

    def _own_white(
        self, own: OwnRows, similarity: Tensor, white: Tensor, candidate: Tensor, known: Tensor
    ) -> Tensor:
        """What the own observations of k known candidates add to `_white`, ``M x q x k``."""
        place = candidate[known]
        rows = own.rows[place]
        at = similarity[self.candidate[rows], known[:, None]]
        fidelity = self.fidelity[rows]
        prior = self.h.smooth[:, fidelity] * at + self.h.nugget[:, fidelity]
        explained = torch.einsum("kqr,mrk->mkq", own.loadings[place], white[:, :, known])
        left = torch.where(own.present[place], prior - explained, 0.0)
        return torch.einsum("kqs,mks->mqk", own.whitener[place], left)


def _products(white: Tensor) -> tuple[Tensor, Tensor]:
    """Squares of ``M x r x n`` columns and their products with the target's, ``n x M`` each."""
    explained = torch.linalg.vecdot(white, white, dim=1)
    shared = torch.linalg.vecdot(white[:-1], white[-1:], dim=1)
    return explained.T, torch.cat([shared, explained[-1:]]).T


def moved(part: T, dtype: torch.dtype, device: str) -> T:
    """A copy of a tensor or of a frozen dataclass of tensors, in another precision or place.

    What utilities and features are centred by stays in double precision: rounded, it would move
    all of them.
    """
    if isinstance(part, Tensor):
        return cast(T, part.to(device, dtype if part.is_floating_point() else part.dtype))
    if is_dataclass(part) and not isinstance(part, type):
        fresh = {
            f.name: moved(
                getattr(part, f.name), torch.float64 if f.name in _DOUBLE else dtype, device
            )
            for f in fields(part)
        }
        return replace(part, **fresh)
    return part
