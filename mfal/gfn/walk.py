"""How a policy follows a rollout: its outputs step by step, and then their gradients at once."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn


class Walk(Protocol):
    """The outputs of a policy for the rows of a rollout, which may leave it one by one.

    It is told of every step either which rows go on (`keep`) and what changed (`shift`), or what
    there is now (`move`).
    """

    def outputs(self) -> Tensor:
        """Outputs where the walk stands, ``n x n_outputs``, detached; once a step."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Only these of the current rows go on; comes before the step's change."""
        ...

    def shift(self, columns: Tensor, changes: Tensor | None) -> None:
        """The observation changed in `columns` by `changes`, both ``n x k``.

        Where `changes` is None, one column a row (``n``) rises by one.
        """
        ...

    def move(self, observation: Tensor) -> None:
        """The observation is another, ``n x n_features``."""
        ...

    def recorded(self) -> Tensor:
        """Outputs of all steps one after the other, ``R x n_outputs``, with gradients."""
        ...


@runtime_checkable
class Walkable(Protocol):
    """A policy that goes along with a rollout more cheaply than any module.

    Attributes:
        narrow: Observations of at most this width it would rather look at than follow, where
            rows end one by one.
    """

    narrow: int

    def walk(self, observation: Tensor, capacity: int, *, follows: bool) -> Walk:
        """A walk from the observation ``n x n_features``, of at most `capacity` rows in all.

        Args:
            observation: Where the walk starts.
            capacity: Most rows of all steps together.
            follows: Whether it will be told what changes, by `shift`, or what there is, by `move`.
        """
        ...


def start_walk(policy: nn.Module, observation: Tensor, capacity: int, *, follows: bool) -> Walk:
    """The policy's own walk where it has one, else a plain one; arguments as `Walkable.walk`."""
    if isinstance(policy, Walkable):
        return policy.walk(observation, capacity, follows=follows)
    return ModuleWalk(policy, observation)


def pays_to_follow(policy: nn.Module, observation: Tensor) -> bool:
    """Whether changes of the observation (``n x n_features``) cost less than the observation."""
    return not isinstance(policy, Walkable) or observation.shape[1] > policy.narrow


class ModuleWalk:
    """The walk of any module: looks at the whole observation, and keeps the graph."""

    def __init__(self, policy: nn.Module, observation: Tensor) -> None:
        self._policy = policy
        self._observation = observation
        self._recorded: list[Tensor] = []

    def outputs(self) -> Tensor:
        """Outputs where the walk stands, detached."""
        self._recorded.append(self._policy(self._observation))
        return self._recorded[-1].detach()

    def keep(self, rows: Tensor) -> None:
        """Only these rows go on."""
        self._observation = self._observation[rows]

    def shift(self, columns: Tensor, changes: Tensor | None) -> None:
        """Change the observation."""
        if changes is None:
            columns = columns[:, None]
            changes = torch.ones_like(columns, dtype=self._observation.dtype)
        self._observation = self._observation.scatter_add(1, columns, changes)

    def move(self, observation: Tensor) -> None:
        """Replace the observation."""
        self._observation = observation

    def recorded(self) -> Tensor:
        """Outputs of all steps, with gradients."""
        return torch.cat(self._recorded)
