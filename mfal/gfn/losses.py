"""Training losses: what is zero once trajectories end in proportion to the reward."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Generator, Tensor, nn

from mfal.errors import ConfigError
from mfal.gfn.trajectories import Trajectories

FASTER = 100.0
"""How much faster than the policy a learnt log Z learns; at the policy's pace it lags behind
and spends the whole budget on catching up."""


def residual(trajectories: Trajectories, log_reward: Tensor) -> Tensor:
    """Log P_F - log P_B - log R of each trajectory (``n``); -log Z everywhere once trained.

    Args:
        log_reward: Log reward of each trajectory's end, ``n``.
    """
    return trajectories.total(trajectories.log_pf - trajectories.log_pb) - log_reward


class Loss(nn.Module, ABC):
    """A loss of a batch of trajectories, drawn by whichever policy.

    Attributes:
        needs_flow: Whether the policy must have a head for the log flow through a state.
        looks_anew: Whether the loss asks the policy itself, about the states of trajectories
            that need to carry no gradients.
    """

    needs_flow = False
    looks_anew = False

    @abstractmethod
    def forward(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        """The batch's loss, a scalar."""

    @abstractmethod
    def log_z(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        """What the loss has learnt log Z to be, or what the batch says it is, a scalar.

        With a context it is the mean over the batch's contexts.
        """

    def log_weight(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        """Log R P_B / P_F of each trajectory, ``n``: log Z everywhere once trained."""
        return -residual(trajectories, log_reward)

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """The loss's own parameters for the optimiser, given the policy's learning rate."""
        return []


class VarGrad(Loss):
    """Variance of the residuals over the batch.

    The batch's own mean stands in for log Z, so none is learnt (the log-variance loss of Richter
    et al. 2020, arXiv 2010.10436; for GFlowNets Zhang et al. 2023, arXiv 2302.05446).
    It is zero only at the target whichever policy drew the batch, so replayed trajectories
    may be mixed in. Where there is a context, the variance is that among trajectories of equal
    context, so each context must come several times.
    """

    def forward(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        """Biased variance of the residuals (the mean over n, not n - 1)."""
        values = residual(trajectories, log_reward)
        if trajectories.context is None:
            return values.var(unbiased=False)
        group, counts = _groups(trajectories.context)
        if len(counts) == len(values):
            raise ConfigError(
                "vargrad compares trajectories of equal context, and no context comes twice",
                "draw each context several times, or choose tb, which learns log Z of a context",
            )
        means = values.new_zeros(len(counts)).index_add(0, group, values) / counts
        return (values - means[group]).square().mean()

    def log_z(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        """The importance-weighted estimate, log mean R P_B / P_F, unbiased in Z."""
        log_weight = -residual(trajectories, log_reward)
        if trajectories.context is None:
            return log_mean_exp(log_weight)
        group, counts = _groups(trajectories.context)
        each = [log_mean_exp(log_weight[group == g]) for g in range(len(counts))]
        return torch.stack(each)[group].mean()


class TrajectoryBalance(Loss):
    """Squared distance of the residuals from a learnt -log Z.

    Malkin et al. 2022, arXiv 2201.13259, the TB objective. log Z starts at the first batch's
    estimate and learns `FASTER` than the policy. Where there is a context, a small network of
    it adds to log Z.

    Args:
        context_features: Width c of the context; 0 for none.
        generator: Draws the initial weights of that network.
    """

    def __init__(self, context_features: int = 0, generator: Generator | None = None) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(()))
        # A buffer, so that a checkpoint knows it, too.
        self._started: Tensor
        self.register_buffer("_started", torch.zeros((), dtype=torch.bool))
        self.by_context = _small_network(context_features, generator) if context_features else None

    def forward(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        """Mean square of residual plus log Z."""
        values = residual(trajectories, log_reward)
        if not self._started:
            self.offset.data.fill_(-values.detach().mean())
            self._started.fill_(True)
        return (self._log_z(trajectories.context) + values).square().mean()

    def log_z(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        """The learnt log Z."""
        return self._log_z(trajectories.context).mean()

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """The offset fast, the network of the context at the policy's pace."""
        groups: list[dict[str, Any]] = [{"params": [self.offset], "lr": FASTER * learning_rate}]
        if self.by_context is not None:
            groups.append({"params": list(self.by_context.parameters()), "lr": learning_rate})
        return groups

    def _log_z(self, context: Tensor | None) -> Tensor:
        """Log Z of each context (``n``), or the one there is (a scalar)."""
        if (context is None) != (self.by_context is None):
            raise ConfigError(
                "the loss and the trajectories disagree on whether there is a context",
                "give TrajectoryBalance the width of the context in context_features",
            )
        if context is None or self.by_context is None:
            return self.offset
        by_context: Tensor = self.by_context(context)
        return self.offset + by_context[:, 0]


def log_mean_exp(values: Tensor) -> Tensor:
    """Log of the mean of exponentials (``n``), a scalar."""
    return values.logsumexp(dim=0) - torch.tensor(len(values)).log().to(values)


def effective_share(log_weight: Tensor, context: Tensor | None) -> float:
    """Effective number of weighted trajectories (``n``) as a share of their number.

    1 where all weights are equal; where there is a context, all those of equal context.
    """
    group = torch.zeros(len(log_weight), dtype=torch.long, device=log_weight.device)
    if context is not None:
        group, _ = _groups(context)
    each = [log_weight[group == g].softmax(dim=0) for g in range(int(group.max()) + 1)]
    return float(sum(1 / weights.square().sum() for weights in each)) / len(log_weight)


def _groups(context: Tensor) -> tuple[Tensor, Tensor]:
    """Which of the distinct contexts each row (``n x c``) is, and how often each comes."""
    _, group, counts = torch.unique(context, dim=0, return_inverse=True, return_counts=True)
    return group, counts


def _small_network(width: int, generator: Generator | None) -> nn.Module:
    # Not drawn by torch first, which would move the global generator on.
    layers = [
        nn.Linear(a, b, device="meta").to_empty(device="cpu") for a, b in ((width, 64), (64, 1))
    ]
    for layer in layers:
        bound = layer.in_features**-0.5
        for values in layer.parameters():
            values.data.uniform_(-bound, bound, generator=generator)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1])
