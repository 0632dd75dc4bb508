"""Random ways through an environment, for checks."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from mfal.envs.base import Environment

Step = tuple[Tensor, Tensor, Tensor]
"""States before, actions, states after."""


def steps(environment: Environment, n: int, seed: int) -> Iterator[Step]:
    """Random steps of n rows from the source until all are finished or too long."""
    generator, states = Generator().manual_seed(seed), environment.initial(n)
    for _ in range(environment.max_steps + 1):
        mask = environment.forward_mask(states)
        going = mask.any(dim=1)
        if not going.any():
            return
        before, actions = states[going], _draw(mask[going], generator)
        # Copies, so that an environment that writes into its arguments cannot hide it.
        states = environment.step(before.clone(), actions.clone())
        yield before, actions, states


def steps_back(environment: Environment, states: Tensor, seed: int) -> Iterator[Step]:
    """Random steps back from `states` (``n x d``) until all are at a start or too long."""
    generator = Generator().manual_seed(seed)
    for _ in range(environment.max_steps + 1):
        mask = environment.backward_mask(states)
        going = mask.any(dim=1)
        if not going.any():
            return
        after, actions = states[going], _draw(mask[going], generator)
        states = environment.undo(after, actions)
        yield states, actions, after


def branches(environment: Environment, n: int, seed: int) -> Iterator[Step]:
    """Every allowed step, taken or not, from the states along `steps`."""
    for states, _, _ in steps(environment, n, seed):
        rows, actions = environment.forward_mask(states).nonzero(as_tuple=True)
        yield states[rows], actions, environment.step(states[rows], actions)


def branches_back(environment: Environment, n: int, seed: int) -> Iterator[Step]:
    """Every allowed step back, taken or not, from the states along `steps_back`."""
    for _, _, states in steps_back(environment, finished(environment, n, seed), seed):
        rows, actions = environment.backward_mask(states).nonzero(as_tuple=True)
        yield environment.undo(states[rows], actions), actions, states[rows]


def finished(environment: Environment, n: int, seed: int) -> Tensor:
    """N finished states, ``n x d``."""
    ends = [after for _, _, after in steps(environment, n, seed)]
    return torch.cat([s[~environment.forward_mask(s).any(dim=1)] for s in ends])


def same(got: Tensor, expected: Tensor, what: str) -> None:
    """Assert that two tensors are equal, shape and all."""
    assert got.shape == expected.shape, f"{what}: {tuple(got.shape)}, not {tuple(expected.shape)}"
    assert torch.equal(got, expected), f"{what}: {got.tolist()}, not {expected.tolist()}"


def _draw(mask: Tensor, generator: Generator) -> Tensor:
    """One allowed action a row, ``n``."""
    return mask.double().multinomial(1, generator=generator)[:, 0]
