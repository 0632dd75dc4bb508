"""The fast joint predictor: everything that can be computed once is cached."""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TypeVar, cast

import torch
from torch import Tensor

from mfal.dataset import Dataset
from mfal.surrogate.base import JointMoments
from mfal.surrogate.kernels import CandidateKernel
from mfal.surrogate.parameters import Hyperparameters
from mfal.surrogate.scaling import UtilityScale
from mfal.surrogate.subspace import OwnRows

_CHUNK_BYTES = 2**25
_LONGEST_CHUNK = 1024
_LEAST_VARIANCE = 1e-10

T = TypeVar("T")


@dataclass(frozen=True)
class Predictor:
    """Predicts candidates one by one, in any precision and on any device.

    Whatever the fidelity, the covariance of a candidate x with the observations is
    ``S_m k_x(x, candidates)`` plus its nugget, so both the mean and the whitened covariance
    W k are one product of k_x with a matrix that is made once per fidelity.

    Attributes:
        kernel: Compares candidates.
        h: Hyperparameters, in standardised units.
        scale: The lines from standardised units to utilities.
        features: Of the training candidates, ``c x p``.
        candidate: Training candidate of each observation, ``N``.
        fidelity: Rung of each observation, ``N``.
        weights: Inverse covariance of the observations times their residuals, ``N``.
        whitener: W, ``r x N``, with W^T W the inverse covariance (r = N) or the part of it
            in a subspace.
        mean_map: k_x to means, ``c x M``.
        white_map: k_x to whitened covariances, ``M x r x c``.
        own: What is conditioned on beside a subspace; None where r = N.
    """

    kernel: CandidateKernel
    h: Hyperparameters
    scale: UtilityScale
    features: Tensor
    candidate: Tensor
    fidelity: Tensor
    weights: Tensor
    whitener: Tensor
    mean_map: Tensor
    white_map: Tensor
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
        """From the parts of a conditioned process, in float64 on the CPU."""
        by_fidelity = h.smooth[:, data.fidelity]
        c, n_fidelities = len(data.keys), data.n_fidelities
        mean_map = torch.zeros(c, n_fidelities, dtype=torch.float64)
        mean_map.index_add_(0, data.candidate, (by_fidelity * weights).T)
        white_map = torch.zeros(n_fidelities, len(whitener), c, dtype=torch.float64)
        for rung in range(n_fidelities):
            white_map[rung].index_add_(1, data.candidate, whitener * by_fidelity[rung])
        return cls(
            kernel=kernel,
            h=h,
            scale=scale,
            features=data.features,
            candidate=data.candidate,
            fidelity=data.fidelity,
            weights=weights,
            whitener=whitener,
            mean_map=mean_map,
            white_map=white_map,
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
        device, dtype = self.features.device, self.features.dtype
        parts, step = [], self._chunk()
        for start in range(0, len(features), step):
            some = slice(start, start + step)
            block = self._block(features[some].to(device, dtype), candidate[some].to(device))
            parts.append(torch.stack(block).to(features.device, torch.float64))
        empty = torch.zeros(3, 0, len(self.h.offset), dtype=torch.float64, device=features.device)
        mean, variance, covariance = torch.cat([empty, *parts], dim=1)
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

    def _chunk(self) -> int:
        widest = max(len(self.features), len(self.whitener))
        fitting = _CHUNK_BYTES // (widest * self.features.element_size())
        return max(1, min(_LONGEST_CHUNK, fitting))

    def _block(self, features: Tensor, candidate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Standardised mean, variance and covariance with the target, each ``n x M``."""
        h, n_fidelities = self.h, len(self.h.offset)
        similarity = self.kernel.geometry(features, self.features).gram(h)
        known = (candidate >= 0).nonzero()[:, 0]
        mean = similarity @ self.mean_map + h.offset
        if len(known) > 0:
            nugget = self._same(candidate[known])
            mean[known] += nugget @ (h.nugget[:, self.fidelity] * self.weights).T
        diagonal = self.kernel.diagonal(features, h)[:, None]
        variance = diagonal * h.smooth.diagonal() + h.nugget.diagonal()
        covariance = diagonal * h.smooth[-1] + h.nugget[-1]
        target = self._white(similarity, candidate, n_fidelities - 1)
        for rung in range(n_fidelities - 1):
            white = self._white(similarity, candidate, rung)
            variance[:, rung] -= torch.linalg.vecdot(white, white)
            covariance[:, rung] -= torch.linalg.vecdot(white, target)
        variance[:, -1] -= torch.linalg.vecdot(target, target)
        variance.clamp_(min=_LEAST_VARIANCE)
        covariance[:, -1] = variance[:, -1]
        return mean, variance, covariance

    def _same(self, candidate: Tensor) -> Tensor:
        """1 where an observation is of that candidate, ``n x N``."""
        return (candidate[:, None] == self.candidate[None, :]).to(self.features.dtype)

    def _white(self, similarity: Tensor, candidate: Tensor, rung: int) -> Tensor:
        """W times the covariance of queries at `rung` with the observations, ``n x r``.

        Beside a subspace there are columns for a candidate's own observations.
        """
        white = similarity @ self.white_map[rung].T
        known = (candidate >= 0).nonzero()[:, 0]
        if len(known) > 0:
            nugget = self.h.nugget[rung, self.fidelity]
            white[known] += (self._same(candidate[known]) * nugget) @ self.whitener.T
        if self.own is None:
            return white
        place = candidate[known]
        rows = self.own.rows[place]
        at = similarity[known].gather(1, self.candidate[rows])
        fidelity = self.fidelity[rows]
        prior = self.h.smooth[rung, fidelity] * at + self.h.nugget[rung, fidelity]
        explained = (self.own.loadings[place] @ white[known][:, :, None])[:, :, 0]
        left = torch.where(self.own.present[place], prior - explained, 0.0)
        extra = white.new_zeros(len(white), rows.shape[1])
        extra[known] = (self.own.whitener[place] @ left[:, :, None])[:, :, 0]
        return torch.cat([white, extra], dim=1)


def moved(part: T, dtype: torch.dtype, device: str) -> T:
    """A copy of a tensor or of a frozen dataclass of tensors, in another precision or place."""
    if isinstance(part, Tensor):
        return cast(T, part.to(device, dtype if part.is_floating_point() else part.dtype))
    if is_dataclass(part) and not isinstance(part, type):
        fresh = {f.name: moved(getattr(part, f.name), dtype, device) for f in fields(part)}
        return replace(part, **fresh)
    return part
