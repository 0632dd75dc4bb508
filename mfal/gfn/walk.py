"""How a policy follows a rollout: its outputs step by step, and then their gradients at once."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mfal.gfn.products import dense_relu, product


class Walk(Protocol):
    """The outputs of a policy for the rows of a rollout, which may leave it one by one."""

    def outputs(self) -> Tensor:
        """Outputs where the walk stands, ``n x n_outputs``, detached; once a step."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Only these of the current rows go on; comes before the step's change."""
        ...

    def shift(self, columns: Tensor, changes: Tensor | None) -> None:
        """The observation changed in `columns` by `changes`, both ``n x k``.

        Where `changes` is None, one column a row (``n``) rises by one.
        """
        ...

    def move(self, observation: Tensor) -> None:
        """The observation is another, ``n x n_features``."""
        ...

    def recorded(self) -> Tensor:
        """Outputs of all steps one after the other, ``R x n_outputs``, with gradients."""
        ...


@runtime_checkable
class Walkable(Protocol):
    """A policy that follows a rollout more cheaply than by looking anew at each step."""

    def walk(self, observation: Tensor, capacity: int) -> Walk:
        """A walk from the observation ``n x n_features``, of at most `capacity` rows in all."""
        ...


def start_walk(policy: nn.Module, observation: Tensor, capacity: int, *, follows: bool) -> Walk:
    """The policy's own walk where it has one and the rollout `follows` changes, else a plain one.

    Args:
        policy: Any module from observations to outputs.
        observation: Where the walk starts, ``n x n_features``.
        capacity: Most rows of all steps together.
        follows: Whether the rollout says which entries of the observation a step changes.
    """
    if follows and isinstance(policy, Walkable):
        return policy.walk(observation, capacity)
    return ModuleWalk(policy, observation)


class ModuleWalk:
    """The walk of any module: looks at the whole observation, and keeps the graph."""

    def __init__(self, policy: nn.Module, observation: Tensor) -> None:
        self._policy = policy
        self._observation = observation
        self._recorded: list[Tensor] = []

    def outputs(self) -> Tensor:
        """Outputs where the walk stands, detached."""
        self._recorded.append(self._policy(self._observation))
        return self._recorded[-1].detach()

    def keep(self, rows: Tensor) -> None:
        """Only these rows go on."""
        self._observation = self._observation[rows]

    def shift(self, columns: Tensor, changes: Tensor | None) -> None:
        """Change the observation."""
        if changes is None:
            columns = columns[:, None]
            changes = torch.ones_like(columns, dtype=self._observation.dtype)
        self._observation = self._observation.scatter_add(1, columns, changes)

    def move(self, observation: Tensor) -> None:
        """Replace the observation."""
        self._observation = observation

    def recorded(self) -> Tensor:
        """Outputs of all steps, with gradients."""
        return torch.cat(self._recorded)


_CHUNK_STEP = 128
"""The rows of a chunk of a backward pass are padded to a multiple of this."""


class Workspace:
    """Buffers of a perceptron's walks, handed from one walk to the next.

    Fresh memory for every rollout costs page faults worth a tenth of a training step.
    """

    def __init__(self) -> None:
        self._activations: list[Tensor] = []
        self.generation = 0

    def activations(self, rows: int, widths: Sequence[int], like: Tensor) -> list[Tensor]:
        """Buffers of `rows` and each of `widths`; the walk before may no longer use its own."""
        self.generation += 1
        self._activations = _fitting(self._activations, rows, widths, like)
        return self._activations


def _fitting(buffers: list[Tensor], rows: int, widths: Sequence[int], like: Tensor) -> list[Tensor]:
    """These buffers if they are large enough and of the right kind, else new ones."""
    kept = (like.dtype, like.device, tuple(widths))
    if buffers and len(buffers[0]) >= rows + _CHUNK_STEP:
        first, own = buffers[0], tuple(buffer.shape[1] for buffer in buffers)
        if (first.dtype, first.device, own) == kept:
            return buffers
    # Zeros, because padding must be finite, and a margin for it.
    return [like.new_zeros(rows + _CHUNK_STEP, width) for width in widths]


class PerceptronWalk:
    """The walk of a perceptron: first layer by increments, activations kept, no second pass.

    A step changes few entries of the observation, so the first layer's sums are not formed
    anew. Each step writes its activations into buffers; the gradients of all steps then are
    three matrix products a layer, made in chunks that stay in the cache. They equal those of
    the plain network up to rounding.

    Args:
        observation: Where the walk starts, ``n x p``.
        capacity: Most rows of all steps together.
        first: Weights of the first layer, ``p x hidden``, and its bias.
        layers: Weights (``out x in``) and biases of the layers after it.
        dtype: In which to multiply; gradients are summed up in float32.
        workspace: Whose buffers to use.
    """

    def __init__(
        self,
        observation: Tensor,
        capacity: int,
        first: tuple[nn.Parameter, nn.Parameter],
        layers: Sequence[tuple[nn.Parameter, nn.Parameter]],
        dtype: torch.dtype,
        workspace: Workspace,
    ) -> None:
        self._parameters = [*first, *(p for layer in layers for p in layer)]
        self._first, first_bias = (p.detach().to(dtype) for p in first)
        self._layers = [
            (weight.detach().to(dtype).T, bias.detach().to(dtype)) for weight, bias in layers
        ]
        self._start = observation.to(dtype)
        self._sums = torch.addmm(first_bias, self._start, self._first)
        widths = [weight.shape[0] for weight, _ in self._layers]
        widths.append(self._layers[-1][0].shape[1])
        *self._hidden, self._out = workspace.activations(capacity, widths, self._sums)
        self._workspace, self._generation = workspace, workspace.generation
        self._ends = [0]
        self._kept: list[Tensor | None] = []
        self._shifts: list[tuple[Tensor, Tensor | None]] = []

    def outputs(self) -> Tensor:
        """Outputs where the walk stands."""
        begin, n = self._ends[-1], len(self._sums)
        end = begin + n
        # What stands in the rows beyond is overwritten by the next step.
        padded = slice(begin, begin + min(len(self._start), _up(n, 32)))
        self._ends.append(end)
        self._kept.append(None)
        torch.clamp_min(self._sums, 0, out=self._hidden[0][begin:end])
        values = self._hidden[0][padded]
        for (weight, bias), buffer in zip(self._layers[:-1], self._hidden[1:], strict=True):
            values = dense_relu(values, weight, bias, buffer[padded])
        weight, bias = self._layers[-1]
        return torch.addmm(bias, values[:n], weight, out=self._out[begin:end])

    def keep(self, rows: Tensor) -> None:
        """Only these rows go on."""
        self._sums = self._sums[rows]
        self._kept[-1] = rows

    def shift(self, columns: Tensor, changes: Tensor | None) -> None:
        """Change the first layer's sums."""
        self._shifts.append((columns, changes))
        if changes is None:
            self._sums += self._first.index_select(0, columns)
            return
        for column, change in zip(columns.unbind(1), changes.to(self._sums).unbind(1), strict=True):
            self._sums.addcmul_(self._first.index_select(0, column), change[:, None])

    def move(self, observation: Tensor) -> None:
        """Not for this walk: it follows changes."""
        raise TypeError("a perceptron's walk follows changes of the observation")

    def recorded(self) -> Tensor:
        """Outputs of all steps, with gradients by hand."""
        outputs = self._out[: self._ends[-1]].float()
        if not torch.is_grad_enabled():
            return outputs
        # torch does not annotate `apply`.
        recalled: Tensor = _Recall.apply(outputs, self, *self._parameters)  # type: ignore[no-untyped-call]
        return recalled

    def gradients(self, gradient: Tensor) -> list[Tensor]:
        """Gradients of the parameters, given those of all outputs, ``R x n_outputs``."""
        if self._workspace.generation != self._generation:
            raise RuntimeError("a later walk of the same policy has overwritten the activations")
        found = [torch.zeros_like(p) for p in self._parameters]
        later: Tensor | None = None
        for first_step, end_step in self._chunks():
            begin, end = self._ends[first_step], self._ends[end_step]
            padded = slice(begin, begin + _up(end - begin, _CHUNK_STEP))
            # Rows of zeros add nothing to any sum.
            change = self._sums.new_zeros(padded.stop - begin, gradient.shape[1])
            change[: end - begin] = gradient[begin:end]
            for i in reversed(range(len(self._layers))):
                values = self._hidden[i][padded]
                _add_product(found[2 + 2 * i], change.T, values)
                found[3 + 2 * i] += change.sum(dim=0)
                change = _through_relu(product(change, self._layers[i][0].T), values)
            later = self._first_layer(change.float(), first_step, end_step, later, found[0])
        if later is not None:
            found[0] += self._start.float().T @ later
            found[1] += later.sum(dim=0)
        return found

    def _chunks(self) -> list[tuple[int, int]]:
        """Ranges of steps, last first, each of about as many rows as stay in the cache."""
        size = 1024 if self._sums.device.type == "cpu" else self._ends[-1]
        chunks, end = [], len(self._kept)
        for step in range(len(self._kept) - 1, -1, -1):
            if self._ends[end] - self._ends[step] >= size or step == 0:
                chunks.append((step, end))
                end = step
        return chunks

    def _first_layer(
        self, change: Tensor, first_step: int, end_step: int, later: Tensor | None, found: Tensor
    ) -> Tensor:
        """Add the gradients of a chunk's steps to `found`; returns their sums over time.

        An entry that a step changed counts in all later steps, so sums run backwards.
        """
        offset = self._ends[first_step]
        for step in reversed(range(first_step, end_step)):
            now = change[self._ends[step] - offset : self._ends[step + 1] - offset]
            if later is not None:
                columns, changes = self._shifts[step]
                _add_rows(found, columns, changes, later)
                kept = self._kept[step]
                now = now.add_(later) if kept is None else now.index_add_(0, kept, later)
            later = now
        if later is None:
            raise RuntimeError("a chunk without steps")
        return later


def _up(n: int, step: int) -> int:
    """The next multiple of `step`.

    Rows are padded to few different numbers, since the processor's library compiles and keeps
    a kernel for each, most of a megabyte.
    """
    return -(-n // step) * step


def _add_product(found: Tensor, left: Tensor, right: Tensor) -> None:
    found += product(left, right)


def _through_relu(gradient: Tensor, values: Tensor) -> Tensor:
    """The gradient before a ReLU with the given results, in place."""
    changed: Tensor = torch.ops.aten.threshold_backward.grad_input(
        gradient, values, 0, grad_input=gradient
    )
    return changed


def _add_rows(found: Tensor, columns: Tensor, changes: Tensor | None, values: Tensor) -> None:
    if changes is None:
        found.index_add_(0, columns, values)
        return
    weighted = changes[:, :, None] * values[:, None]
    found.index_add_(0, columns.flatten(), weighted.flatten(0, 1))


class _Recall(torch.autograd.Function):
    """Outputs that are already there, as if the network had just been asked for them."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, walk: PerceptronWalk, *parameters: Tensor) -> Tensor:  # noqa: ANN401
        ctx.walk = walk
        return outputs.view_as(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        return None, None, *ctx.walk.gradients(gradient)
