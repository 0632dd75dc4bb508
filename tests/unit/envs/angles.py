"""The laws of continuous environments, for points whose coordinates are angles."""

import math

import torch
from torch import Tensor

from mfal.testing.continuous import ContinuousEnvironmentChecks


class TorusChecks(ContinuousEnvironmentChecks):
    def difference(self, first: Tensor, second: Tensor) -> Tensor:
        apart = (first - second).abs()
        return torch.minimum(apart, (apart - 2 * math.pi).abs())
