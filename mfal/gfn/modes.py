"""How many different answers have been found, where the problem itself does not say."""

import torch
from torch import Tensor

BEST = 100
"""States that are looked at."""

APART = 0.2
"""Share of a state's entries in which modes differ."""


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
    free = torch.ones(len(states), dtype=torch.bool, device=states.device)
    taken: list[int] = []
    while len(taken) < most and bool(free.any()):
        row = int(free.int().argmax())
        taken.append(row)
        free &= (states != states[row]).float().mean(dim=1) >= least
        free[row] = False
    return taken
