"""What is left of a Gaussian's covariance as one value after the other is observed."""

import torch
from torch import Tensor

_LEAST = 1e-12  # of a variance at first


class Conditioned:
    """A covariance whose rows are observed one by one, each with its noise.

    A Cholesky factor that grows a row per observation: linear in the rows and in those before.

    Args:
        covariance: Among m values, ``m x m``, without noise.
        noise: Of an observation of each, ``m``.
        most: How many will be observed at most.

    Attributes:
        variance: Of a noisy observation of each value, given those made, ``m``.
    """

    def __init__(self, covariance: Tensor, noise: Tensor, most: int) -> None:
        self._covariance = covariance
        self._prior = (covariance.diagonal() + noise).clamp_min(torch.finfo(noise.dtype).tiny)
        self.variance = self._prior.clone()
        self._factor = torch.zeros(most, len(noise), dtype=covariance.dtype)
        self.n = 0

    def loss(self) -> Tensor:
        """What each observation tells less than it would have alone, in nats, ``m``, at most 0.

        Half the logarithm of its variance left over that at first: what it would add to half
        the log determinant of the observed values' covariance, but for a constant of its own.
        """
        return 0.5 * torch.log(self.variance / self._prior)

    def covariance(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Among some values and others given the observations, without noise, ``n x r``."""
        known = self._factor[: self.n]
        return self._covariance[rows][:, columns] - known[:, rows].T @ known[:, columns]

    def observe(self, row: int) -> None:
        """Observe a value, whatever it turns out to be."""
        known = self._factor[: self.n]
        added = (self._covariance[row] - known[:, row] @ known) / self.variance[row].sqrt()
        self._factor[self.n] = added
        self.n += 1
        self.variance = torch.maximum(self.variance - added**2, _LEAST * self._prior)
