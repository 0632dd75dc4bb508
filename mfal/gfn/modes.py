"""How many different answers have been found, where the problem itself does not say."""

import numpy as np
import torch
from torch import Tensor

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
    rows, taken = torch.arange(len(states), device=states.device), list[int]()
    entries = states if states.is_floating_point() else states.float()
    while len(taken) < most and len(rows):
        # Which of a block differ from which of the rest, in one go.
        head = rows[:_BLOCK]
        share = torch.cdist(entries[head], entries[rows], p=0) / states.shape[1]
        free = np.ones(len(rows), dtype=np.bool_)
        for place, differ in enumerate((share >= least).cpu().numpy()):
            if free[place] and len(taken) < most:
                taken.append(int(rows[place]))
                free &= differ
                free[place] = False
        free[: len(head)] = False
        rows = rows[torch.from_numpy(free).to(rows.device)]
    return taken
