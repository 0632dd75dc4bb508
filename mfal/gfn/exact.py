"""Exact distributions of environments small enough to enumerate, to test samplers against."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mfal.envs.base import Environment
from mfal.gfn.rollout import log_probabilities


@torch.no_grad()
def exact_distribution(environment: Environment, policy: nn.Module) -> tuple[Tensor, Tensor]:
    """Where the policy's trajectories end, computed and not sampled.

    Pushes the probability of all states forward, one step of the trajectories at a time.

    Returns:
        All finished states that can be reached, ``N x d`` in lexicographic order, and their
        probabilities, float64 ``N``.
    """
    states, mass = environment.initial(1), torch.ones(1, dtype=torch.float64)
    ends: list[tuple[Tensor, Tensor]] = []
    while len(states):
        mask = environment.forward_mask(states)
        finished = ~mask.any(dim=1)
        ends.append((states[finished], mass[finished]))
        states, mass, mask = states[~finished], mass[~finished], mask[~finished]
        log_p = log_probabilities(policy(environment.observe(states)).double(), mask)
        rows, actions = mask.nonzero(as_tuple=True)
        after = environment.step(states[rows], actions)
        states, mass = _merge(after, mass[rows] * log_p[rows, actions].exp())
    return _merge(torch.cat([s for s, _ in ends]), torch.cat([m for _, m in ends]))


def finished_states(environment: Environment) -> Tensor:
    """All finished states, ``N x d`` in lexicographic order."""
    ends, states = [], environment.initial(1)
    while len(states):
        mask = environment.forward_mask(states)
        finished = ~mask.any(dim=1)
        ends.append(states[finished])
        rows, actions = mask.nonzero(as_tuple=True)
        states, _ = _distinct(environment.step(states[rows], actions))
    return _distinct(torch.cat(ends))[0]


def exact_log_z(environment: Environment, log_reward: Callable[[Tensor], Tensor]) -> float:
    """Log of the sum of the reward over all finished states.

    Args:
        log_reward: Finished states ``N x d`` -> log reward ``N``.
    """
    return float(log_reward(finished_states(environment)).double().logsumexp(dim=0))


def exact_target(environment: Environment, log_reward: Callable[[Tensor], Tensor]) -> Tensor:
    """The distribution in proportion to the reward, float64 ``N``, rows as `finished_states`."""
    return log_reward(finished_states(environment)).double().softmax(dim=0)


def total_variation(first: Tensor, second: Tensor) -> float:
    """Half the L1 distance of two distributions (``N``): 0 if equal, 1 if disjoint."""
    return float((first - second).abs().sum() / 2)


def _merge(states: Tensor, mass: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct states in lexicographic order, with the sums of their mass."""
    distinct, index = _distinct(states)
    return distinct, mass.new_zeros(len(distinct)).index_add(0, index, mass)


def _distinct(states: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct rows in lexicographic order, and which of them each row is."""
    distinct, index = torch.unique(states, dim=0, return_inverse=True)
    return distinct, index
