"""Exact flows of environments small enough to list, as a policy that looks its outputs up."""

import torch
from torch import Tensor, nn

from mfal.envs.base import Environment
from mfal.gfn.agent import Agent
from mfal.gfn.exact import levels
from mfal.gfn.heads import make_heads
from mfal.gfn.train import StateReward
from tests.unit.gfn.problems import seeded


class Table(nn.Module):
    """Outputs by observation.

    Args:
        observations: Distinct rows, ``N x p``.
        outputs: What to put out for each, ``N x n_outputs``.
    """

    def __init__(self, observations: Tensor, outputs: Tensor) -> None:
        super().__init__()
        self.outputs = nn.Parameter(outputs)
        self.rows = [tuple(row) for row in observations.tolist()]
        self._place = {row: place for place, row in enumerate(self.rows)}
        assert len(self._place) == len(self.rows)

    def forward(self, observation: Tensor) -> Tensor:
        return self.outputs[[self._place[tuple(row)] for row in observation.tolist()]]


def exact_agent(
    environment: Environment,
    log_reward: StateReward,
    *,
    learnt_backward: bool,
    context: Tensor | None = None,
) -> Agent:
    """The agent at which every loss is zero.

    The flow of a finished state is its reward. It is handed down to the states before it, in
    the shares of the backward policy: uniform, or some other one. Its outputs are the log
    flows along actions, what makes the backward policy, and the log flow through the state.

    Args:
        context: What the policy is conditioned on, ``1 x c``.
    """
    everything = torch.cat(list(levels(environment))).unique(dim=0)
    row = {tuple(state): place for place, state in enumerate(everything.tolist())}
    n, width = len(everything), environment.n_actions
    backward = torch.randn(n, width, dtype=torch.float64, generator=seeded(0))
    backward *= learnt_backward
    flow = torch.full((n,), -torch.inf, dtype=torch.float64)
    edge = torch.full((n, width), -torch.inf, dtype=torch.float64)
    for level in reversed(list(levels(environment))):
        for state in level:
            here, actions = row[tuple(state.tolist())], environment.forward_mask(state[None])[0]
            if not actions.any():
                flow[here] = log_reward(state[None], context)[0]
            for action in actions.nonzero()[:, 0]:
                after = environment.step(state[None], action[None])
                there = row[tuple(after[0].tolist())]
                ways = environment.backward_mask(after)[0]
                share = backward[there].masked_fill(~ways, -torch.inf).log_softmax(dim=0)
                edge[here, action] = flow[there] + share[action]
            if actions.any():
                flow[here] = edge[here].logsumexp(dim=0)
    parts = [edge.masked_fill(edge.isinf(), 0.0), backward, flow[:, None]]
    if not learnt_backward:
        del parts[1]
    heads = make_heads(environment, learnt_backward=learnt_backward, flow=True)
    observations = environment.observe(everything)
    if context is not None:
        observations = torch.cat([observations, context.expand(n, -1)], dim=1)
    return Agent(environment, Table(observations, torch.cat(parts, dim=1).float()), heads)


def uneven(states: Tensor, context: Tensor | None = None) -> Tensor:
    """A log reward without any symmetry."""
    return torch.sin(states[:, 0] * 2.0 + states[:, 1] * 5.0 + states[:, -1] * 3.0) + 0.5


PREFERENCES = torch.tensor([[1.0, 0.0], [0.3, 0.7]])


def preferred(states: Tensor, context: Tensor | None) -> Tensor:
    """Log of the sum of two rewards, weighted by the context."""
    assert context is not None
    rewards = torch.stack([states[:, 0] + 0.5, 3.0 - states[:, 1]], dim=1)
    return (rewards * context.expand(len(states), -1)).sum(dim=1).log()


def joined(agents: list[Agent], environment: Environment) -> Agent:
    """One agent of several, each for the observations under its own context."""
    tables = [one.policy for one in agents]
    rows = [row for table in tables if isinstance(table, Table) for row in table.rows]
    outputs = torch.cat([t.outputs.detach() for t in tables if isinstance(t, Table)])
    return Agent(environment, Table(torch.tensor(rows), outputs), agents[0].heads)
