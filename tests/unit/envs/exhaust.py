"""All candidates of a small environment, to count them."""

import torch
from torch import Tensor

from mfal.envs.base import Environment


def every_finished(environment: Environment) -> Tensor:
    """Each finished state that steps from the source reach, once, ``n x d``."""
    states, ends = environment.initial(1), []
    while len(states):
        mask = environment.forward_mask(states)
        ends.append(states[~mask.any(dim=1)])
        rows, actions = mask.nonzero(as_tuple=True)
        states = environment.step(states[rows], actions).unique(dim=0)
    return torch.cat(ends).unique(dim=0)
