"""How many different answers have been found, where the problem itself does not say."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mfal.envs.base import Buildable, hook
from mfal.envs.fidelity import FidelityEnvironment
from mfal.envs.sequence import EMPTY

Array = npt.NDArray[Any]

Distances = Callable[[Array, Array], Array]
"""Some rows and n others of a table of states -> how far apart they are, ``k x n`` in [0, 1]."""

BEST = 100
"""States that are looked at."""

APART = 0.2
"""How far apart modes are."""

_BLOCK = 64  # rows compared at once with all that are left


def count_modes(environment: Buildable, states: Tensor) -> int:
    """How many of the best states are far from every better one that was counted.

    Args:
        environment: What the states are of.
        states: Finished states, the best first, ``n x d``.
    """
    return len(apart(environment, states[:BEST], APART, BEST))


def apart(environment: Buildable, states: Tensor, least: float, most: int) -> list[int]:
    """Greedy from the first on: rows whose candidates are far from all taken before them.

    What is taken clears its surroundings of what is worse (Pétrowski 1996, "A clearing
    procedure as a niching method for genetic algorithms"). Distance is the environment's
    `distance`, or else the share of the places that differ, of those that either fills. The
    fidelity does not count.

    Args:
        environment: What the states are of.
        states: Finished states, the best first, ``n x d``.
        least: How far two have to be apart, in [0, 1].
        most: Stop when so many are taken.
    """
    distances = _distances(environment, states)
    rows, taken = np.arange(len(states)), list[int]()
    while len(taken) < most and len(rows):
        # How far a block is from the rest, in one go.
        head = rows[:_BLOCK]
        free = np.ones(len(rows), dtype=np.bool_)
        for place, far in enumerate(distances(head, rows) >= least):
            if free[place] and len(taken) < most:
                taken.append(int(rows[place]))
                free &= far
                free[place] = False
        free[: len(head)] = False
        rows = rows[free]
    return taken


def _distances(environment: Buildable, states: Tensor) -> Distances:
    if isinstance(environment, FidelityEnvironment):
        states, environment = environment.candidates(states), environment.environment
    distance = hook(environment, "distance")
    if distance is None:
        return _places_that_differ(states)

    def distances(some: Array, others: Array) -> Array:
        rows, columns = (torch.from_numpy(places) for places in (some, others))
        found: Array = distance(states[rows], states[columns]).cpu().numpy()
        return found

    return distances


def _places_that_differ(states: Tensor) -> Distances:
    """The share of places, of those that are filled in either of two states."""
    entries, empty = _columns(states)
    filled = None if empty is None else (entries != empty).astype(np.float32)

    def distances(some: Array, others: Array) -> Array:
        differing = _differing(entries[:, some], entries[:, others])
        if filled is None:
            return differing / max(1, len(entries))
        ours, theirs = filled[:, some], filled[:, others]
        either = ours.sum(axis=0)[:, None] + theirs.sum(axis=0) - ours.T @ theirs
        share: Array = differing / np.maximum(1, either)
        return share

    return distances


def _columns(states: Tensor) -> tuple[Array, int | None]:
    """Entries by column, ``d x n``, in as few bytes as tell them apart, and the empty one's."""
    columns: Array = states.T.contiguous().cpu().numpy()
    if states.is_floating_point() or not states.numel():
        return columns, None
    least = int(columns.min())
    columns = columns - least
    empty = EMPTY - least if least <= EMPTY else None
    return columns.astype(np.min_scalar_type(columns.max())), empty


def _differing(some: Array, others: Array) -> Array:
    """In how many entries columns of ``d x k`` differ from those of ``d x n``, ``k x n``.

    Several times as fast as `torch.cdist` with ``p=0``.
    """
    found = np.zeros((some.shape[1], others.shape[1]), dtype=np.min_scalar_type(len(some)))
    differs = np.empty(found.shape, dtype=np.bool_)
    for one, other in zip(some, others, strict=True):
        np.not_equal(one[:, None], other, out=differs)
        found += differs.view(np.uint8)
    return found
