"""Offspring of good candidates, to be scored and learnt from.

Genetic-guided GFlowNets (Kim et al. 2024, arXiv 2402.05961) let a genetic search look around
the best of the replay buffer; local search (Kim et al. 2024, arXiv 2310.02710) undoes part of
a good trajectory and lets the policy build it anew. The policy learns from what they find
off-policy, so the distribution it learns stays the same.
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import Generator, Tensor

from mfal.envs.base import Buildable, hook
from mfal.gfn.agent import Agent
from mfal.gfn.heads import make_heads
from mfal.gfn.policy import UniformPolicy
from mfal.gfn.rollout import finished, rollout, ways_back

GuideName = Literal["genetic", "local"]


def offspring(environment: Buildable, parents: Tensor, n: int, generator: Generator) -> Tensor:
    """N finished states (``n x d``) near random rows of `parents` (``k x d``, finished).

    The environment's own mutation and crossover, half and half, or where it has none a
    random way back and forth.
    """
    mutate, crossover = hook(environment, "mutate"), hook(environment, "crossover")
    chosen = _draw(parents, n, generator)
    if mutate is None or crossover is None:
        return rebuild(random_agent(environment, str(parents.device)), chosen, generator)
    mutated, mothers = chosen[: (n + 1) // 2], chosen[(n + 1) // 2 :]
    crossed = crossover(mothers, _draw(parents, len(mothers), generator), generator)
    return torch.cat([mutate(mutated, generator), crossed])


@torch.no_grad()
def rebuild(
    agent: Agent, states: Tensor, generator: Generator, context: Tensor | None = None
) -> Tensor:
    """Undo up to half of the steps of finished states (``n x d``) and let the agent finish them.

    Each row's number of steps undone is drawn uniformly from 1 to half of its length.
    """
    ways = ways_back(agent, states, generator, context)
    lengths = ways.known.sum(dim=0)
    place = torch.rand(len(states), generator=generator, device=generator.device)
    undone = 1 + (place * (lengths // 2).clamp_min(1)).long()
    time = torch.arange(len(ways.known), device=lengths.device)[:, None]
    kept = replace(ways, known=ways.known & (time < lengths - undone))
    start = agent.start(len(states))
    return rollout(agent, start, generator, given=kept, context=context).final


def random_states(environment: Buildable, n: int, generator: Generator) -> Tensor:
    """N finished states, ``n x d``: uniform where the environment can draw them so.

    Elsewhere each step of their building is uniform over the allowed actions.
    """
    uniform = hook(environment, "uniform")
    if uniform is None:
        return finished(random_agent(environment, str(generator.device)), n, generator)
    states: Tensor = uniform(n, generator)
    return states


def random_agent(environment: Buildable, device: str = "cpu") -> Agent:
    """An agent to which all allowed actions are alike."""
    heads = make_heads(environment)
    return Agent(environment, UniformPolicy(heads.n_outputs), heads, device)


def _draw(parents: Tensor, n: int, generator: Generator) -> Tensor:
    rows = torch.randint(len(parents), (n,), generator=generator, device=parents.device)
    return parents[rows]
