"""How many different answers have been found, where the problem itself does not say."""

from torch import Tensor

BEST = 100
"""States that are looked at."""

APART = 0.2
"""Share of a state's entries in which modes differ."""


def count_modes(states: Tensor) -> int:
    """How many of the best states differ from every better one that was counted.

    Greedy from the best on: a state counts if it differs from each state counted so far in at
    least `APART` of its entries.

    Args:
        states: Finished states, the best first, ``n x d``.
    """
    best = states[:BEST]
    close = (best[:, None] != best).float().mean(dim=2) < APART
    counted: list[int] = []
    for row in range(len(best)):
        if not close[row, counted].any():
            counted.append(row)
    return len(counted)
