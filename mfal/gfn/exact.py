"""Exact distributions of environments small enough to enumerate, to hold samplers against."""

from collections.abc import Iterator

import torch
from torch import Tensor

from mfal.envs.base import Environment
from mfal.gfn.agent import Agent
from mfal.gfn.moves import log_probabilities


@torch.no_grad()
def exact_distribution(
    agent: Agent, *, epsilon: float = 0.0, context: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Where the policy's trajectories end, computed and not sampled.

    Pushes the probability of all states forward, one step of the trajectories at a time.

    Args:
        epsilon: Probability with which a step takes any allowed action uniformly.
        context: What the policy is conditioned on, ``1 x c``.

    Returns:
        All finished states that can be reached, ``N x d`` in lexicographic order, and their
        probabilities, float64 ``N``.
    """
    environment = _discrete(agent)
    states = agent.start(1)
    mass = torch.ones(1, dtype=torch.float64, device=states.device)
    ends: list[tuple[Tensor, Tensor]] = []
    while len(states):
        mask = environment.forward_mask(states)
        finished = ~mask.any(dim=1)
        ends.append((states[finished], mass[finished]))
        states, mass, mask = states[~finished], mass[~finished], mask[~finished]
        own = None if context is None else context.expand(len(states), -1)
        logits = agent.heads.forward_of(agent.outputs(states, own)).double()
        probability = (1 - epsilon) * log_probabilities(logits, mask).exp()
        probability += epsilon * mask / mask.sum(dim=1, keepdim=True)
        rows, actions = mask.nonzero(as_tuple=True)
        after = environment.step(states[rows], actions)
        states, mass = _merge(after, mass[rows] * probability[rows, actions])
    return _merge(torch.cat([s for s, _ in ends]), torch.cat([m for _, m in ends]))


def finished_states(environment: Environment) -> Tensor:
    """All finished states, ``N x d`` in lexicographic order."""
    ends = [states[~environment.forward_mask(states).any(dim=1)] for states in levels(environment)]
    return _distinct(torch.cat(ends))[0]


def levels(environment: Environment) -> Iterator[Tensor]:
    """The distinct states that 0, 1, 2, ... steps from the source can reach, ``n x d`` each."""
    states = environment.initial(1)
    while len(states):
        yield states
        rows, actions = environment.forward_mask(states).nonzero(as_tuple=True)
        states, _ = _distinct(environment.step(states[rows], actions))


def total_variation(first: Tensor, second: Tensor) -> float:
    """Half the L1 distance of two distributions (``N``): 0 if equal, 1 if disjoint."""
    return float((first - second).abs().sum() / 2)


def jensen_shannon(first: Tensor, second: Tensor) -> float:
    """Jensen-Shannon divergence of two distributions (``N``) in nats: 0 if equal, log 2 at most.

    Mean of the Kullback-Leibler divergences to their mean (Lin 1991, eq. 3.5).
    """
    mean = (first + second) / 2
    each = [torch.xlogy(p, p / mean).nan_to_num(0.0).sum() for p in (first, second)]
    return float(sum(each) / 2)


def _discrete(agent: Agent) -> Environment:
    if not isinstance(agent.environment, Environment):
        raise TypeError(f"{type(agent.environment).__name__} cannot be enumerated")
    return agent.environment


def _merge(states: Tensor, mass: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct states in lexicographic order, with the sums of their mass."""
    distinct, index = _distinct(states)
    return distinct, mass.new_zeros(len(distinct)).index_add(0, index, mass)


def _distinct(states: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct rows in lexicographic order, and which of them each row is."""
    distinct, index = torch.unique(states, dim=0, return_inverse=True)
    return distinct, index
