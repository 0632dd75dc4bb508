"""Losses of flows: balance at single transitions, along stretches, or through states."""

import torch
from torch import Tensor, nn

from mfal.envs.base import Environment
from mfal.errors import ConfigError
from mfal.gfn.agent import Agent
from mfal.gfn.losses import Loss
from mfal.gfn.trajectories import Trajectories


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
