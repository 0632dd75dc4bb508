"""Training losses: what is zero once trajectories end in proportion to the reward."""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from mfal.gfn.rollout import Trajectories

LossName = Literal["vargrad", "tb"]


def residual(trajectories: Trajectories, log_reward: Tensor) -> Tensor:
    """Log P_F - log P_B - log R of each trajectory (``n``); -log Z everywhere once trained.

    Args:
        log_reward: Log reward of each trajectory's end, ``n``.
    """
    return trajectories.total(trajectories.log_pf - trajectories.log_pb) - log_reward


class Loss(nn.Module, ABC):
    """A loss of a batch of trajectories.

    Its own parameters, if any, learn `learning_rate_factor` times as fast as the policy.
    """

    learning_rate_factor = 1.0

    @abstractmethod
    def forward(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        """The batch's loss, a scalar."""

    def estimate_log_z(self, trajectories: Trajectories, log_reward: Tensor) -> float:
        """What the batch, or the loss itself, says log Z is."""
        return -float(residual(trajectories, log_reward).detach().mean())


class VarGrad(Loss):
    """Variance of the residuals over the batch.

    The batch's own mean stands in for log Z, so none is learnt (the log-variance loss of Richter
    et al. 2020, arXiv 2010.10436; for GFlowNets Zhang et al. 2023, arXiv 2302.05446).
    It is zero only at the target whichever policy drew the batch, so replayed trajectories
    may be mixed in.
    """

    def forward(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        """Biased variance of the residuals (the mean over n, not n - 1)."""
        return residual(trajectories, log_reward).var(unbiased=False)


class TrajectoryBalance(Loss):
    """Squared distance of the residuals from a learnt -log Z.

    Malkin et al. 2022, arXiv 2201.13259, the TB objective. log Z starts at the first batch's
    estimate and learns a hundred times as fast as the policy; at the policy's pace it lags
    behind and spends the whole budget on catching up.
    """

    learning_rate_factor = 100.0

    def __init__(self) -> None:
        super().__init__()
        self.log_z = nn.Parameter(torch.zeros(()))
        self._started = False

    def forward(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        """Mean square of residual plus log Z."""
        values = residual(trajectories, log_reward)
        if not self._started:
            self.log_z.data.fill_(-values.detach().mean())
            self._started = True
        return (self.log_z + values).square().mean()

    def estimate_log_z(self, trajectories: Trajectories, log_reward: Tensor) -> float:
        """The learnt log Z."""
        return float(self.log_z.detach())


def make_loss(name: LossName) -> Loss:
    """The loss called `name`."""
    return TrajectoryBalance() if name == "tb" else VarGrad()
