"""How many threads training takes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_PAYS_FROM = 512
"""Trajectories of a batch from which a step's products are worth sharing out."""


@contextmanager
def one_thread(batch_size: int) -> Iterator[None]:
    """Compute on one thread where batches are small.

    Threads that wait for each other's share of a small product cost more than they give: twice
    the processor time on an idle machine, and on a busy one twenty times the wall time.
    """
    before = torch.get_num_threads()
    if batch_size < _PAYS_FROM:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
