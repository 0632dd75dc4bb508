"""What a surrogate promises of a candidate, as one more feature of it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mfal.dataset import Dataset
from mfal.features.base import Features
from mfal.surrogate.base import Surrogate, posterior_mean


class WithPromise:
    """Features with the posterior mean at the target as a last column, which has a trend.

    A search goes where its surrogate promises most, beyond all that was asked: there no failure
    is like the candidate, and what promises too much to be true mostly fails.

    Args:
        features: Of a candidate.
        surrogate: Fitted to `data`.
        data: With these features.
    """

    def __init__(self, features: Features, surrogate: Surrogate, data: Dataset) -> None:
        self._features = features
        self._surrogate = surrogate
        self._data = data

    @property
    def width(self) -> int:
        """Number of columns."""
        return self._features.width + 1

    @property
    def linear_columns(self) -> tuple[int, ...]:
        """Those of the features, and the last."""
        return (*self._features.linear_columns, self._features.width)

    def __call__(self, keys: Sequence[str]) -> Tensor:
        """``n x width`` float64, one row per key in order."""
        features = self._features(keys)
        promise = posterior_mean(self._surrogate, features, self._data.places(keys))[:, -1:]
        return torch.cat([features, promise.to(features.dtype)], dim=1)
