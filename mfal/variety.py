"""How much a query differs from those that were chosen before it."""

import torch
from torch import Tensor


class Variety:
    """What each row would add to the log determinant of the chosen rows' covariance.

    A Cholesky factor that grows a row per choice: linear in the rows and the choices so far.

    Args:
        covariance: Among n rows, ``n x n``.
        noise: Of each row, ``n``.
        most: How many will be chosen at most.
    """

    def __init__(self, covariance: Tensor, noise: Tensor, most: int) -> None:
        self._covariance = covariance
        self._prior = covariance.diagonal() + noise
        self._posterior = self._prior.clone()
        self._factor = torch.zeros(most, len(noise), dtype=covariance.dtype)
        self._n = 0

    def gain(self) -> Tensor:
        """Half the log of each row's variance left, of its variance alone, ``n``, at most 0."""
        return 0.5 * torch.log((self._posterior / self._prior).clamp_min(1e-12))

    def add(self, pick: int) -> None:
        """Choose a row."""
        before = self._factor[: self._n]
        scale = self._posterior[pick].clamp_min(1e-12).sqrt()
        row = (self._covariance[pick] - before[:, pick] @ before) / scale
        self._factor[self._n] = row
        self._n += 1
        self._posterior = (self._posterior - row**2).clamp_min(1e-12)
