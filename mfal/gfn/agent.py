"""A policy in the environment in which it acts."""

import torch
from torch import Tensor, nn

from mfal.envs.base import Buildable
from mfal.gfn.heads import Heads


class Agent:
    """A policy in its environment.

    Args:
        environment: What is built.
        policy: Any module from observations (and context) to the outputs of `heads`.
        heads: What the outputs mean.
        device: Where the policy is, and the states that it sees.
    """

    def __init__(
        self, environment: Buildable, policy: nn.Module, heads: Heads, device: str = "cpu"
    ) -> None:
        self.environment = environment
        self.policy = policy
        self.heads = heads
        self.device = device

    def start(self, n: int) -> Tensor:
        """N source states, ``n x d``."""
        return self.environment.initial(n).to(self.device)

    def observe(self, states: Tensor, context: Tensor | None) -> Tensor:
        """Policy input: the observation, and the context (``n x c``) where there is one."""
        observation = self.environment.observe(states)
        return observation if context is None else torch.cat([observation, context], dim=1)

    def outputs(self, states: Tensor, context: Tensor | None = None) -> Tensor:
        """What the policy puts out for states (``n x d``), ``n x n_outputs``."""
        outputs: Tensor = self.policy(self.observe(states, context))
        return outputs
