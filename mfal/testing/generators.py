"""That a user's part draws from no generator but its own."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def left_alone() -> Iterator[None]:
    """Hold the block to leaving the global generators of torch and Python as they were.

    Raises:
        AssertionError: where it draws from one of them.
    """
    before, plain = torch.get_rng_state(), random.getstate()
    yield
    assert torch.equal(torch.get_rng_state(), before), "torch's global generator was used"
    assert random.getstate() == plain, "Python's global generator was used"
