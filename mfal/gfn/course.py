"""What a policy says along a rollout: told what changes, or looking at where the rows stand."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Generator, Tensor

from mfal.envs.base import hook, is_discrete
from mfal.gfn.agent import Agent
from mfal.gfn.walk import Walk, pays_to_follow, start_walk

MERGES_FROM, MERGED = 64, 0.8
"""Of at least so many rows it is looked which stand in the same state, until more than this share
of them stand in states of their own."""


class Course(Protocol):
    """The outputs of a policy for the rows of a rollout, of which some leave it at each step."""

    def outputs(self) -> Tensor:
        """Outputs where the rows stand, ``n x n_outputs``, detached; once a step."""
        ...

    def go(
        self, states: Tensor, actions: Tensor, on: Tensor | None, after: Tensor, rows: Tensor
    ) -> None:
        """Go one step on.

        Args:
            states: Before the step, ``n x d``.
            actions: Taken there, ``n``.
            on: Which of the n go on, ``k``; None for all.
            after: Where these stand now, ``k x d``.
            rows: Which rows of the rollout they are, ``k``.
        """
        ...

    def recorded(self) -> Tensor:
        """Outputs of all steps one after the other, ``R x n_outputs``, with gradients."""
        ...


class Following:
    """Tells the walk of a policy what each step changes."""

    def __init__(self, walk: Walk, observe_delta: Callable[..., Any]) -> None:
        self._walk = walk
        self._observe_delta = observe_delta

    def outputs(self) -> Tensor:
        """Outputs where the rows stand."""
        return self._walk.outputs()

    def go(
        self, states: Tensor, actions: Tensor, on: Tensor | None, after: Tensor, rows: Tensor
    ) -> None:
        """Tell what changes."""
        if on is not None:
            states, actions = states.index_select(0, on), actions.index_select(0, on)
            self._walk.keep(on)
        self._walk.shift(*self._observe_delta(states, actions))

    def recorded(self) -> Tensor:
        """Outputs of all steps."""
        return self._walk.recorded()


class Looking:
    """Has the walk of a policy look at states, and once only at one in which several rows stand.

    All rows begin in one state, and meet again where several ways lead to a state.
    """

    def __init__(self, agent: Agent, walk: Walk, start: Tensor, context: Tensor | None) -> None:
        self._agent = agent
        self._walk = walk
        self._context = context
        # What is seen then depends on the state alone, and states are whole numbers.
        self._merges = context is None and is_discrete(agent.environment)
        self._coefficients = _random_integers(start)
        self._every = torch.arange(len(start), device=start.device)
        self._places: list[Tensor] = []
        self._n_seen = 0
        self._look(start, self._every)

    def outputs(self) -> Tensor:
        """Outputs where the rows stand."""
        return self._walk.outputs().index_select(0, self._place)

    def go(
        self, states: Tensor, actions: Tensor, on: Tensor | None, after: Tensor, rows: Tensor
    ) -> None:
        """Look where the rows stand now."""
        self._look(after, rows)

    def recorded(self) -> Tensor:
        """Outputs of all steps."""
        return self._walk.recorded().index_select(0, torch.cat(self._places))

    def _look(self, states: Tensor, rows: Tensor) -> None:
        n = states.shape[0]
        seen, self._place = states, self._every[:n]
        if self._merges and n >= MERGES_FROM:
            seen, self._place = self._merged(states)
            self._merges = seen.shape[0] <= MERGED * n
        context = None if self._context is None else self._context[rows]
        self._walk.move(self._agent.observe(seen, context))
        self._places.append(self._n_seen + self._place)
        self._n_seen += seen.shape[0]

    def _merged(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Distinct states, ``k x d``, and which of them each is, ``n``."""
        # Sums of random 64-bit multiples are equal for unlike states once in 2^60 pairs.
        codes = (states * self._coefficients).sum(dim=1)
        codes, place = torch.unique(codes, return_inverse=True)
        distinct = states.new_empty(codes.shape[0], states.shape[1])
        return distinct.index_copy_(0, place, states), place


def set_out(agent: Agent, start: Tensor, context: Tensor | None) -> Course:
    """The course of a rollout from source states ``n x d``, whatever pays for this policy."""
    observation = agent.observe(start, context)
    observe_delta = hook(agent.environment, "observe_delta")
    follows = observe_delta is not None and pays_to_follow(agent.policy, observation)
    capacity = len(start) * agent.environment.max_steps
    walk = start_walk(agent.policy, observation, capacity, follows=follows)
    if observe_delta is not None and follows:
        return Following(walk, observe_delta)
    return Looking(agent, walk, start, context)


def _random_integers(states: Tensor) -> Tensor:
    """A number of 64 bits for each column of states ``n x d``."""
    generator = Generator().manual_seed(0)
    least, most = torch.iinfo(torch.int64).min, torch.iinfo(torch.int64).max
    return torch.randint(least, most, states.shape[1:], generator=generator).to(states.device)
