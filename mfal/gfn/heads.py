"""What a policy puts out: one row of numbers, cut into the parts that a GFlowNet needs."""

from dataclasses import dataclass

from torch import Tensor

from mfal.envs.base import Buildable, ContinuousEnvironment, Environment


@dataclass(frozen=True, slots=True)
class Heads:
    """Widths of the parts of a policy's output, in this order.

    One network for all of them shares what it has learnt about a state.

    Attributes:
        forward: Logits of the next action; of a continuous environment, the numbers that
            define its distribution.
        backward: The same for the last action; 0 for a fixed backward policy.
        flow: 1 where the loss needs the log flow through a state, else 0.
    """

    forward: int
    backward: int = 0
    flow: int = 0

    @property
    def n_outputs(self) -> int:
        """Width of the output."""
        return self.forward + self.backward + self.flow

    def forward_of(self, outputs: Tensor) -> Tensor:
        """``n x forward``."""
        return outputs[:, : self.forward]

    def backward_of(self, outputs: Tensor) -> Tensor:
        """``n x backward``."""
        return outputs[:, self.forward : self.forward + self.backward]

    def flow_of(self, outputs: Tensor) -> Tensor:
        """``n``, a copy, since a later walk may overwrite the outputs."""
        return outputs[:, -1].clone()


def make_heads(
    environment: Buildable, *, learnt_backward: bool = False, flow: bool = False
) -> Heads:
    """The heads that an environment, a backward policy and a loss need."""
    if isinstance(environment, ContinuousEnvironment):
        widths = environment.n_forward, environment.n_backward
    elif isinstance(environment, Environment):
        widths = environment.n_actions, environment.n_actions
    else:
        raise TypeError(f"{type(environment).__name__} has neither masks nor action distributions")
    return Heads(widths[0], widths[1] if learnt_backward else 0, int(flow))
