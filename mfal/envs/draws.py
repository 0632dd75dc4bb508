"""Random numbers of a generator, where it has them."""

import torch
from torch import Generator, Tensor


def rand(n: int, generator: Generator, *more: int) -> Tensor:
    """Uniform in [0, 1), ``n x ...``, on the generator's device."""
    return torch.rand(n, *more, generator=generator, device=generator.device)
