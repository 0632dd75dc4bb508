"""What chooses actions: networks from an observation to the logits of all actions."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Generator, Tensor, nn
from torch.autograd.function import once_differentiable

from mfal.envs.base import Environment


class UniformPolicy(nn.Module):
    """Equal logits: every allowed action is as likely as any other."""

    def __init__(self, n_actions: int) -> None:
        super().__init__()
        self.n_actions = n_actions

    def forward(self, observation: Tensor) -> Tensor:
        """Zeros, ``n x n_actions``."""
        return observation.new_zeros(len(observation), self.n_actions)


class MLPPolicy(nn.Module):
    """A multilayer perceptron with ReLU whose first layer can follow a rollout.

    A step usually changes few entries of the observation, so the first layer's sum need not
    be formed anew: `embed` starts it, `shift` updates it, `decide` does the rest, and
    ``forward(x) == decide(embed(x))``.

    Args:
        n_features: Width of the observation.
        n_actions: Number of logits.
        hidden: Width of the hidden layers.
        layers: Number of hidden layers, at least one.
        generator: Draws the initial weights; the global one is left alone.
    """

    def __init__(
        self, n_features: int, n_actions: int, *, hidden: int, layers: int = 2, generator: Generator
    ) -> None:
        super().__init__()
        # Features by rows, so that following a change of column j reads one row.
        self.first = _uniform((n_features, hidden), n_features, generator)
        self.first_bias = _uniform((hidden,), n_features, generator)
        widths = [*[hidden] * (layers - 1), n_actions]
        self.weights = nn.ParameterList(
            [_uniform((width, hidden), hidden, generator) for width in widths]
        )
        self.biases = nn.ParameterList([_uniform((width,), hidden, generator) for width in widths])
        # Iterating over a ParameterList costs as much as a small layer.
        self._layers = list(zip(self.weights, self.biases, strict=True))

    def forward(self, observation: Tensor) -> Tensor:
        """Logits ``n x n_actions`` of observations ``n x n_features``."""
        return self.decide(self.embed(observation))[0]

    def embed(self, observation: Tensor) -> Tensor:
        """The first layer's sums before its ReLU, ``n x hidden``."""
        return torch.addmm(self.first_bias, observation, self.first)

    def shift(self, sums: Tensor, columns: Tensor, changes: Tensor) -> Tensor:
        """The sums after the observation changed in `columns` by `changes`, both ``n x k``."""
        for column, change in zip(columns.T, changes.T[:, :, None], strict=True):
            sums = torch.addcmul(sums, self.first.index_select(0, column), change)
        return sums

    def decide(self, sums: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits ``n x n_actions`` from the first layer's sums, and the hidden activations."""
        values, hidden = sums, []
        for weight, bias in self._layers:
            hidden.append(values.relu())
            values = F.linear(hidden[-1], weight, bias)
        return values, hidden

    def recall(self, observation: Tensor, hidden: list[Tensor], logits: Tensor) -> Tensor:
        """Logits of an earlier pass without gradients, as if it had been made with them.

        Args:
            observation: Its inputs, ``R x n_features``.
            hidden: Its hidden activations, each ``R x hidden``.
            logits: Its logits, ``R x n_actions``.
        """
        parameters = [self.first, self.first_bias, *self.weights, *self.biases]
        # torch does not annotate `apply`.
        recalled: Tensor = _Recall.apply(  # type: ignore[no-untyped-call]
            logits, observation, len(hidden), *hidden, *parameters
        )
        return recalled


def _uniform(shape: tuple[int, ...], fan_in: int, generator: Generator) -> nn.Parameter:
    """Weights in ±1/sqrt(fan_in), as `torch.nn.Linear` draws them."""
    values = torch.empty(shape, device=generator.device)
    return nn.Parameter(values.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator))


class _Recall(torch.autograd.Function):
    """The backward pass of `MLPPolicy` over activations that are already there.

    A rollout makes one small forward pass a step. Its gradients in one go are three matrix
    products a layer over all steps, and no step has to keep a graph.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch does not type it
        logits: Tensor,
        observation: Tensor,
        n_layers: int,
        *tensors: Tensor,
    ) -> Tensor:
        hidden, weights = tensors[:n_layers], tensors[n_layers + 2 : 2 * n_layers + 2]
        ctx.n_layers = n_layers
        ctx.save_for_backward(observation, *hidden, *weights)
        return logits.view_as(logits)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        n = ctx.n_layers
        observation, hidden = ctx.saved_tensors[0], ctx.saved_tensors[1 : n + 1]
        weights = ctx.saved_tensors[n + 1 :]
        by_weight: list[Tensor] = []
        by_bias: list[Tensor] = []
        for values, weight in zip(reversed(hidden), reversed(weights), strict=True):
            by_weight.insert(0, gradient.T @ values)
            by_bias.insert(0, gradient.sum(dim=0))
            gradient = torch.ops.aten.threshold_backward(gradient @ weight, values, 0)
        first = observation.T @ gradient, gradient.sum(dim=0)
        return None, None, None, *[None] * n, *first, *by_weight, *by_bias


@runtime_checkable
class IncrementalPolicy(Protocol):
    """A policy whose first layer can follow a rollout; see `MLPPolicy`."""

    def embed(self, observation: Tensor) -> Tensor:
        """First-layer sums of observations."""
        ...

    def shift(self, sums: Tensor, columns: Tensor, changes: Tensor) -> Tensor:
        """First-layer sums after a few entries of the observation changed."""
        ...

    def decide(self, sums: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits and hidden activations from first-layer sums."""
        ...

    def recall(self, observation: Tensor, hidden: list[Tensor], logits: Tensor) -> Tensor:
        """Logits of a pass without gradients, as if it had been made with them."""
        ...


class PolicyWalk:
    """Logits along a rollout, by increments where environment and policy both know how.

    Args:
        environment: May offer ``observe_delta(states, actions)``, which returns the columns
            of the observation that a step changes and by how much, or None.
        policy: Any module from observations to logits.
        states: Where the walk starts, ``n x d``.
    """

    def __init__(self, environment: Environment, policy: nn.Module, states: Tensor) -> None:
        self._environment = environment
        self._policy = policy
        self._incremental = policy if isinstance(policy, IncrementalPolicy) else None
        self._delta: Callable[[Tensor, Tensor], tuple[Tensor, Tensor] | None] = getattr(
            environment, "observe_delta", _unknown
        )
        self._logits: list[Tensor] = []
        self._hidden: list[list[Tensor]] = []
        self._inputs = self._embed(states)

    def logits(self) -> Tensor:
        """Logits ``n x n_actions`` where the walk stands; once a step, without gradients."""
        if self._incremental is None:
            self._logits.append(self._policy(self._inputs))
        else:
            with torch.no_grad():
                logits, hidden = self._incremental.decide(self._inputs)
            self._logits.append(logits)
            self._hidden.append(hidden)
        return self._logits[-1].detach()

    def advance(
        self, before: Tensor, actions: Tensor, after: Tensor, rows: Tensor | None = None
    ) -> None:
        """Take a step.

        Args:
            before: States that the step leaves, ``n x d``.
            actions: Its actions, ``n``.
            after: States that it reaches, ``n x d``.
            rows: Which of the walk's rows go on, as indices; the three above hold only
                those. None for all.
        """
        delta = self._delta(before, actions) if self._incremental is not None else None
        if delta is None or self._incremental is None:
            self._inputs = self._embed(after)
            return
        sums = self._inputs if rows is None else self._inputs[rows]
        with torch.no_grad():
            self._inputs = self._incremental.shift(sums, *delta)

    def all_logits(self, states: Tensor) -> Tensor:
        """Logits of all steps so far, ``R x n_actions``, with gradients.

        Args:
            states: Where the walk stood at all steps, ``R x d``.
        """
        logits = torch.cat(self._logits)
        if self._incremental is None or not torch.is_grad_enabled():
            return logits
        hidden = [torch.cat(layer) for layer in zip(*self._hidden, strict=True)]
        return self._incremental.recall(self._environment.observe(states), hidden, logits)

    def _embed(self, states: Tensor) -> Tensor:
        observation = self._environment.observe(states)
        if self._incremental is None:
            return observation
        with torch.no_grad():
            return self._incremental.embed(observation)


def _unknown(states: Tensor, actions: Tensor) -> None:
    return None
