"""Training losses: what is zero once trajectories end in proportion to the reward."""

from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn

from mfal.envs.base import Environment
from mfal.errors import ConfigError
from mfal.gfn.rollout import Agent
from mfal.gfn.trajectories import Trajectories

LossName = Literal["vargrad", "tb", "db", "subtb", "fm"]

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


class DetailedBalance(Loss):
    """Squared imbalance of every single transition, with a learnt log flow through each state.

    log F(s) + log P_F(s'|s) = log F(s') + log P_B(s|s'), where the flow through a finished
    state is its reward (Bengio et al. 2023, GFlowNet foundations, arXiv 2111.09266, the DB
    objective). log Z is the log flow through the source.
    """

    needs_flow = True

    def forward(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        """Mean square over all transitions."""
        before = flows(trajectories)
        after = torch.cat([before, log_reward])[trajectories.next()]
        return (before + trajectories.log_pf - trajectories.log_pb - after).square().mean()

    def log_z(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        """Log flow through the source."""
        return flows(trajectories)[trajectories.times() == 0].mean()


class SubTrajectoryBalance(Loss):
    """Squared imbalance of all stretches of a trajectory, the longer ones weighing less or more.

    A stretch of k steps has the weight λ^k, normalised over each trajectory (Madan et al.
    2023, arXiv 2209.12782, the SubTB(λ) objective). It lies between detailed balance (λ -> 0)
    and trajectory balance (λ -> infinity).

    Args:
        decay: λ, above 0.
    """

    needs_flow = True

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay

    def forward(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        """Weighted mean over the stretches of a trajectory, then mean over trajectories."""
        level, lengths = self._levels(trajectories, log_reward), trajectories.lengths()
        longest = level.shape[1] - 1
        start = torch.arange(longest, device=lengths.device)
        total, norm = torch.zeros_like(log_reward), torch.zeros_like(log_reward)
        # One length of stretch at a time, so that memory stays linear in the length.
        for steps in range(1, longest + 1):
            inside = start[: longest + 1 - steps] + steps <= lengths[:, None]
            imbalance = (level[:, :-steps] - level[:, steps:]).masked_fill(~inside, 0.0)
            # Relative to each trajectory's largest, lest powers of λ overflow or vanish.
            power = (steps - lengths).clamp_max(0) if self.decay > 1 else lengths * 0 + steps - 1
            weight = self.decay ** power.to(log_reward)
            total = total + weight * imbalance.square().sum(dim=1)
            norm = norm + weight * inside.sum(dim=1)
        return (total / norm).mean()

    def log_z(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        """Log flow through the source."""
        return flows(trajectories)[trajectories.times() == 0].mean()

    def _levels(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        """By trajectory and time, ``n x (T + 1)``, what is level all along once trained.

        The log flow there, less the log-ratio of P_F and P_B on the way from the source.
        """
        n, lengths, times = len(trajectories), trajectories.lengths(), trajectories.times()
        place, shape = (trajectories.rows, times), (n, int(lengths.max()))
        ratio = trajectories.log_pf - trajectories.log_pb
        walked = ratio.new_zeros(shape).index_put(place, ratio).cumsum(dim=1)
        flow = ratio.new_zeros(n, shape[1] + 1).index_put(place, flows(trajectories))
        ends = (torch.arange(n, device=lengths.device), lengths)
        return flow.index_put(ends, log_reward) - nn.functional.pad(walked, (1, 0))


class FlowMatching(Loss):
    """Squared difference of the log flows into and out of every state visited.

    The policy's logits are log flows along actions; the flow out of a finished state is its
    reward (Bengio et al. 2021, arXiv 2106.04399, eq. 12; no epsilon is needed in logs that are
    never of zero). Every parent of every state is looked at, so this is the dearest loss.

    Args:
        agent: The policy in its environment, which must have finitely many actions.
    """

    looks_anew = True

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        if not isinstance(agent.environment, Environment):
            raise ConfigError(
                "flow matching adds up the flows of all actions, and this environment has "
                "infinitely many",
                "choose another loss, such as vargrad or tb",
            )
        self._agent, self._environment = agent, agent.environment

    def forward(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        """Mean square over the states visited, the source excepted."""
        states, context = self._visited(trajectories)
        later = trajectories.times() > 0
        inside = states[later]
        out = self._outflow(inside, None if context is None else context[later])
        after = torch.cat([inside, trajectories.final])
        own = None
        if context is not None and trajectories.context is not None:
            own = torch.cat([context[later], trajectories.context])
        return (self._inflow(after, own) - torch.cat([out, log_reward])).square().mean()

    def log_z(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        """Log flow out of the source."""
        states, context = self._visited(trajectories)
        first = trajectories.times() == 0
        return self._outflow(states[first], None if context is None else context[first]).mean()

    def log_weight(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        """Log R P_B / P_F with the backward policy that the flows themselves imply, ``n``."""
        states, context = self._visited(trajectories)
        after = torch.cat([states, trajectories.final])[trajectories.next()]
        ratio = self._inflow(after, context) - self._outflow(states, context)
        return log_reward - trajectories.total(ratio)

    def _visited(self, trajectories: Trajectories) -> tuple[Tensor, Tensor | None]:
        """States before transitions, ``R x d``, and their contexts."""
        if trajectories.states is None:
            raise ConfigError("flow matching needs the states", "roll out with_states=True")
        context = trajectories.context
        return trajectories.states, None if context is None else context[trajectories.rows]

    def _outflow(self, states: Tensor, context: Tensor | None) -> Tensor:
        logits = self._agent.heads.forward_of(self._agent.outputs(states, context))
        mask = self._environment.forward_mask(states)
        return logits.masked_fill(~mask, -torch.inf).logsumexp(dim=1)

    def _inflow(self, after: Tensor, context: Tensor | None) -> Tensor:
        mask = self._environment.backward_mask(after)
        rows, actions = mask.nonzero(as_tuple=True)
        parents = self._environment.undo(after[rows], actions)
        own = None if context is None else context[rows]
        logits = self._agent.heads.forward_of(self._agent.outputs(parents, own))
        along = logits.gather(1, actions[:, None])[:, 0]
        each = along.new_full(mask.shape, -torch.inf).index_put((rows, actions), along)
        return each.logsumexp(dim=1)


def flows(trajectories: Trajectories) -> Tensor:
    """Log flow through the state before each transition, ``R``."""
    if trajectories.log_flow is None:
        raise ConfigError("this loss needs a log flow", "make the heads with flow=True")
    return trajectories.log_flow


def log_mean_exp(values: Tensor) -> Tensor:
    """Log of the mean of exponentials (``n``), a scalar."""
    return values.logsumexp(dim=0) - torch.tensor(len(values)).log().to(values)


LOSSES: dict[LossName, type[Loss]] = {
    "vargrad": VarGrad,
    "tb": TrajectoryBalance,
    "db": DetailedBalance,
    "subtb": SubTrajectoryBalance,
    "fm": FlowMatching,
}


def make_loss(
    name: LossName,
    agent: Agent,
    *,
    decay: float = 0.9,
    context_features: int = 0,
    generator: Generator | None = None,
) -> Loss:
    """The loss called `name`.

    Args:
        agent: The policy that is trained.
        decay: λ of sub-trajectory balance.
        context_features: Width of the context; 0 for none.
        generator: Draws initial weights where there is a context.
    """
    if name == "vargrad":
        return VarGrad()
    if name == "tb":
        return TrajectoryBalance(context_features, generator)
    if name == "db":
        return DetailedBalance()
    if name == "subtb":
        return SubTrajectoryBalance(decay)
    return FlowMatching(agent)


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
