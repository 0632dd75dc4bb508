"""How a perceptron follows a rollout: no graph, no second pass, gradients by hand."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mfal.gfn.first_layer import FirstLayer, FollowingLayer, LookingLayer
from mfal.gfn.products import dense_relu, padded, product

_ROWS_STEP, _CHUNK_STEP = 32, 128
"""The rows of a step, and those of a chunk of a backward pass, are padded to multiples of these."""


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
    """The walk of a perceptron: activations kept, no second pass.

    Each step writes its activations into buffers; the gradients of all steps then are three
    matrix products a layer, made in chunks that stay in the cache. They equal those of the
    plain network up to rounding.

    Args:
        observation: Where the walk starts, ``n x p``.
        capacity: Most rows of all steps together.
        first: Weights of the first layer, ``p x hidden``, and its bias.
        layers: Weights (``out x in``) and biases of the layers after it.
        dtype: In which to multiply; gradients are summed up in float32.
        workspace: Whose buffers to use.
        follows: Whether the walk is told what changes, or what there is.
    """

    def __init__(
        self,
        observation: Tensor,
        capacity: int,
        first: tuple[nn.Parameter, nn.Parameter],
        layers: Sequence[tuple[nn.Parameter, nn.Parameter]],
        dtype: torch.dtype,
        workspace: Workspace,
        *,
        follows: bool,
    ) -> None:
        self._parameters = [*first, *(p for layer in layers for p in layer)]
        self._layers = [
            (weight.detach().to(dtype).T, bias.detach().to(dtype)) for weight, bias in layers
        ]
        widths = [weight.shape[0] for weight, _ in self._layers]
        widths.append(self._layers[-1][0].shape[1])
        if not follows:
            widths.append(len(first[0]))
        observation = observation.to(dtype)
        buffers = workspace.activations(capacity, widths, observation)
        weight, bias = (p.detach().to(dtype) for p in first)
        self._first: FirstLayer
        if follows:
            self._first = FollowingLayer(observation, weight, bias)
        else:
            *buffers, seen = buffers
            self._first = LookingLayer(observation, weight, bias, seen)
        *self._hidden, self._out = buffers
        self._workspace, self._generation = workspace, workspace.generation
        self._most = len(observation)
        self._ends = [0]

    def outputs(self) -> Tensor:
        """Outputs where the walk stands."""
        begin, n = self._ends[-1], self._first.n
        end = begin + n
        # What stands in the rows beyond is overwritten by the next step.
        rows = slice(begin, begin + min(self._most, padded(n, _ROWS_STEP)))
        self._ends.append(end)
        self._first.activate(self._hidden[0], end, rows)
        values = self._hidden[0][rows]
        for (weight, bias), buffer in zip(self._layers[:-1], self._hidden[1:], strict=True):
            values = dense_relu(values, weight, bias, buffer[rows])
        weight, bias = self._layers[-1]
        return torch.addmm(bias, values[:n], weight, out=self._out[begin:end])

    def keep(self, rows: Tensor) -> None:
        """Only these rows go on."""
        self._first.keep(rows)

    def shift(self, columns: Tensor, changes: Tensor | None) -> None:
        """Change the observation."""
        self._first.shift(columns, changes)

    def move(self, observation: Tensor) -> None:
        """Replace the observation."""
        self._first.move(observation)

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
        for steps in self._chunks(gradient.device):
            begin, end = self._ends[steps.start], self._ends[steps.stop]
            rows = slice(begin, begin + padded(end - begin, _CHUNK_STEP))
            # Rows of zeros add nothing to any sum.
            change = self._out.new_zeros(rows.stop - begin, gradient.shape[1])
            change[: end - begin] = gradient[begin:end]
            for i in reversed(range(len(self._layers))):
                values = self._hidden[i][rows]
                _add_product(found[2 + 2 * i], change.T, values)
                found[3 + 2 * i] += change.sum(dim=0)
                change = _through_relu(product(change, self._layers[i][0].T), values)
            ends = self._ends[steps.start : steps.stop + 1]
            later = self._first.add_gradients(found[0], found[1], change, steps.start, ends, later)
        return found

    def _chunks(self, device: torch.device) -> list[slice]:
        """Ranges of steps, last first, each of about as many rows as stay in the cache."""
        size = 1024 if device.type == "cpu" else self._ends[-1]
        end = len(self._ends) - 1
        chunks = []
        for step in range(end - 1, -1, -1):
            if self._ends[end] - self._ends[step] >= size or step == 0:
                chunks.append(slice(step, end))
                end = step
        return chunks


def _add_product(found: Tensor, left: Tensor, right: Tensor) -> None:
    found += product(left, right)


def _through_relu(gradient: Tensor, values: Tensor) -> Tensor:
    """The gradient before a ReLU with the given results, in place."""
    changed: Tensor = torch.ops.aten.threshold_backward.grad_input(
        gradient, values, 0, grad_input=gradient
    )
    return changed


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
