"""How many different answers have been found, where the problem itself does not say."""

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

Array = npt.NDArray[Any]

BEST = 100
"""States that are looked at."""

APART = 0.2
"""Share of a state's entries in which modes differ."""

_BLOCK = 64  # rows compared at once with all that are left


def count_modes(states: Tensor) -> int:
    """How many of the best states differ from every better one that was counted.

    Args:
        states: Finished states, the best first, ``n x d``.
    """
    return len(apart(states[:BEST], APART, BEST))


def apart(states: Tensor, least: float, most: int) -> list[int]:
    """Greedy from the first on: rows that differ in enough entries from all taken before them.

    What is taken clears its surroundings of what is worse (Pétrowski 1996, "A clearing
    procedure as a niching method for genetic algorithms").

    Args:
        states: Finished states, the best first, ``n x d``.
        least: Share of the entries in which two rows have to differ.
        most: Stop when so many are taken.
    """
    entries, rows, taken = _columns(states), np.arange(len(states)), list[int]()
    while len(taken) < most and len(rows):
        # Which of a block differ from which of the rest, in one go.
        head = len(rows[:_BLOCK])
        share = _differing(entries[:, :head], entries) / states.shape[1]
        free = np.ones(len(rows), dtype=np.bool_)
        for place, differ in enumerate(share >= least):
            if free[place] and len(taken) < most:
                taken.append(int(rows[place]))
                free &= differ
                free[place] = False
        free[:head] = False
        rows, entries = rows[free], entries.compress(free, axis=1)
    return taken


def _columns(states: Tensor) -> Array:
    """Entries by column, ``d x n``, in as few bytes as tell them apart."""
    columns: Array = states.T.contiguous().cpu().numpy()
    if states.is_floating_point() or not states.numel():
        return columns
    columns = columns - columns.min()
    return columns.astype(np.min_scalar_type(columns.max()))


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
