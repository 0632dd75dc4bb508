"""What chooses actions: networks from an observation to the outputs that `Heads` cuts up."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from pydantic import ConfigDict, Field
from torch import Generator, Tensor, nn

from mfal.envs.base import Buildable
from mfal.errors import ConfigError
from mfal.gfn.heads import Heads
from mfal.gfn.perceptron import PerceptronWalk, Workspace
from mfal.gfn.recurrent import RecurrentPolicy, sequence_shape

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """Which network.

    Attributes:
        kind: ``mlp``, or ``gru`` for sequences (`mfal.gfn.recurrent`).
        hidden: Width of the hidden layers.
        layers: Number of hidden layers of the perceptron.
        precision: In which the perceptron multiplies (`MLPPolicy`).

    Raises:
        ConfigError: the recurrent network is given an option of the perceptron.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    kind: Literal["mlp", "gru"] = "mlp"
    hidden: Annotated[int, Field(gt=0)] = 256
    layers: Annotated[int, Field(gt=0)] = 2
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if self.kind == "gru" and (self.layers, self.precision) != (2, "float32"):
            raise ConfigError(
                f"policy: layers is {self.layers} and precision {self.precision}, and kind 'gru' "
                "has neither",
                "leave both out, or take the policy kind 'mlp'",
            )


class UniformPolicy(nn.Module):
    """Equal logits: every allowed action is as likely as any other."""

    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        self.n_outputs = n_outputs

    def forward(self, observation: Tensor) -> Tensor:
        """Zeros, ``n x n_outputs``."""
        return observation.new_zeros(len(observation), self.n_outputs)


class MLPPolicy(nn.Module):
    """A multilayer perceptron with ReLU.

    See `mfal.gfn.perceptron.PerceptronWalk` for what makes it fast.

    Args:
        n_features: Width of the observation.
        n_outputs: Width of the output.
        generator: Draws the initial weights; the global one is left alone.
        hidden: Width of the hidden layers.
        layers: Number of hidden layers.
        precision: In which rollouts multiply; weights and the optimiser stay in float32.
            bfloat16 pays from a hundred rows on, where the processor has it.
    """

    narrow = 64

    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        *,
        generator: Generator,
        hidden: int = 256,
        layers: int = 2,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        # Features by rows, so that following a change of column j reads one row.
        self.first = _uniform((n_features, hidden), n_features, generator)
        self.first_bias = _uniform((hidden,), n_features, generator)
        widths = [*[hidden] * (layers - 1), n_outputs]
        self.weights = nn.ParameterList(
            [_uniform((width, hidden), hidden, generator) for width in widths]
        )
        self.biases = nn.ParameterList([_uniform((width,), hidden, generator) for width in widths])
        self.precision = precision
        self._workspace = Workspace()

    def forward(self, observation: Tensor) -> Tensor:
        """Outputs ``n x n_outputs`` of observations ``n x n_features``."""
        values = torch.addmm(self.first_bias, observation, self.first)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            values = F.linear(values.relu(), weight, bias)
        return values

    def walk(self, observation: Tensor, capacity: int, *, follows: bool) -> PerceptronWalk:
        """Go along with a rollout; a later walk takes over the buffers of an earlier one."""
        return PerceptronWalk(
            observation,
            capacity,
            (self.first, self.first_bias),
            list(zip(self.weights, self.biases, strict=True)),
            torch.float32 if self.precision == "float32" else torch.bfloat16,
            self._workspace,
            follows=follows,
        )


def _uniform(shape: tuple[int, ...], fan_in: int, generator: Generator) -> nn.Parameter:
    """Weights in ±1/sqrt(fan_in), as `torch.nn.Linear` draws them."""
    values = torch.empty(shape, device=generator.device)
    return nn.Parameter(values.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator))


def make_policy(
    settings: PolicySettings,
    environment: Buildable,
    heads: Heads,
    generator: Generator,
    *,
    context_features: int = 0,
) -> nn.Module:
    """An untrained policy.

    Args:
        environment: What it sees.
        heads: What it puts out.
        generator: Draws the initial weights, on the CPU.
        context_features: Width of the context that it is conditioned on.
    """
    width = environment.n_features + context_features
    if settings.kind == "gru":
        return RecurrentPolicy(
            sequence_shape(environment),
            width,
            heads.n_outputs,
            generator=generator,
            hidden=settings.hidden,
        )
    return MLPPolicy(
        width,
        heads.n_outputs,
        generator=generator,
        hidden=settings.hidden,
        layers=settings.layers,
        precision=settings.precision,
    )
