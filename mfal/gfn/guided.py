"""Offspring of good candidates, to be scored and learnt from.

Genetic-guided GFlowNets (Kim et al. 2024, arXiv 2402.05961) let a genetic search look around
the best of the replay buffer; local search (Kim et al. 2024, arXiv 2310.02710) undoes part of
a good trajectory and builds it anew. The policy learns from what they find off-policy, so the
distribution it learns stays the same.
"""

import torch
from torch import Generator, Tensor

from mfal.envs.base import Breeder, Environment
from mfal.gfn.policy import UniformPolicy
from mfal.gfn.rollout import gumbel, masked_argmax, sample_forward


def offspring(environment: Environment, parents: Tensor, n: int, generator: Generator) -> Tensor:
    """N finished states (``n x d``) near random rows of `parents` (``k x d``, finished).

    The environment's own mutation and crossover, half and half, or where it has none a
    random way back and forth.
    """
    chosen = _draw(parents, n, generator)
    if not isinstance(environment, Breeder):
        return rebuild(environment, chosen, generator)
    mutated, mothers = chosen[: (n + 1) // 2], chosen[(n + 1) // 2 :]
    crossed = environment.crossover(mothers, _draw(parents, len(mothers), generator), generator)
    return torch.cat([environment.mutate(mutated, generator), crossed])


def rebuild(environment: Environment, states: Tensor, generator: Generator) -> Tensor:
    """Undo up to half of the steps of finished states (``n x d``) and finish them at random.

    Ways back and forth are uniform over what is allowed.
    """
    deepest = max(1, environment.max_steps // 2)
    size = (len(states),)
    depth = torch.randint(1, deepest + 1, size, generator=generator, device=states.device)
    noise = gumbel((deepest, len(states), environment.n_actions), generator)
    partial = states.clone()
    for time in range(deepest):
        mask = environment.backward_mask(partial)
        rows = ((time < depth) & mask.any(dim=1)).nonzero()[:, 0]
        actions = masked_argmax(noise[time, rows], mask[rows])
        partial[rows] = environment.undo(partial[rows], actions)
    policy = UniformPolicy(environment.n_actions)
    return sample_forward(environment, policy, partial, generator).final


def _draw(parents: Tensor, n: int, generator: Generator) -> Tensor:
    rows = torch.randint(len(parents), (n,), generator=generator, device=parents.device)
    return parents[rows]
