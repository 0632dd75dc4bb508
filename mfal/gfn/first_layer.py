"""The first layer of a perceptron's walk, told what changes or looking at what there is."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from mfal.gfn.products import dense_relu, product

_LOOKS = "this layer looks at the observation"


class FirstLayer(Protocol):
    """The first layer of a walk, which knows where the walk stands."""

    @property
    def n(self) -> int:
        """Number of rows that are under way."""
        ...

    def activate(self, out: Tensor, end: int, rows: slice) -> None:
        """Write the layer's activations into `out` from `rows.start` to `end`.

        What comes after them, up to `rows.stop`, may be any finite number.
        """
        ...

    def keep(self, rows: Tensor) -> None:
        """As `Walk.keep`."""
        ...

    def shift(self, columns: Tensor, changes: Tensor | None) -> None:
        """As `Walk.shift`."""
        ...

    def move(self, observation: Tensor) -> None:
        """As `Walk.move`."""
        ...

    def add_gradients(
        self,
        weight: Tensor,
        bias: Tensor,
        change: Tensor,
        first_step: int,
        ends: Sequence[int],
        later: Tensor | None,
    ) -> Tensor | None:
        """Add a chunk's gradients to those of the weight and the bias; later chunks come first.

        Args:
            weight: Gradient of the weight so far, ``p x hidden``.
            bias: Gradient of the bias so far, ``hidden``.
            change: Gradient of the layer's sums, by row of the chunk and padding.
            first_step: Number of the chunk's first step.
            ends: Rows at which it begins and its steps end.
            later: What the chunk after this one returned.

        Returns:
            Whatever the chunk before this one is to know.
        """
        ...


class FollowingLayer:
    """A first layer that is told what changes.

    A step changes few entries of the observation, so the sums are not formed anew. They are kept
    in float32, whatever the others multiply in: rounding errors would add up from step to step.
    """

    def __init__(self, observation: Tensor, weight: Tensor, bias: Tensor) -> None:
        self._start = observation
        self._weight = weight
        self._sums = torch.addmm(bias, observation, weight).float()
        self._kept: list[Tensor | None] = []
        self._shifts: list[tuple[Tensor, Tensor | None]] = []

    @property
    def n(self) -> int:
        """Number of rows that are under way."""
        return self._sums.shape[0]

    def activate(self, out: Tensor, end: int, rows: slice) -> None:
        """Write the activations."""
        self._kept.append(None)
        out[rows.start : end].copy_(self._sums).relu_()

    def keep(self, rows: Tensor) -> None:
        """Only these rows go on."""
        self._sums = self._sums.index_select(0, rows)
        self._kept[-1] = rows

    def shift(self, columns: Tensor, changes: Tensor | None) -> None:
        """Change the sums."""
        self._shifts.append((columns, changes))
        if changes is None:
            self._sums += self._weight.index_select(0, columns)
            return
        for column, change in zip(columns.unbind(1), changes.to(self._sums).unbind(1), strict=True):
            self._sums.addcmul_(self._weight.index_select(0, column), change[:, None])

    def move(self, observation: Tensor) -> None:
        """Not for this layer."""
        raise TypeError("this layer is told what changes")

    def add_gradients(
        self,
        weight: Tensor,
        bias: Tensor,
        change: Tensor,
        first_step: int,
        ends: Sequence[int],
        later: Tensor | None,
    ) -> Tensor | None:
        """Add gradients; an entry that a step changed counts in all later steps.

        Returns:
            The sums over time, ``n x hidden``, from the chunk's first step on.
        """
        change = change.float()
        last = first_step + len(ends) - 2
        if later is not None:
            _add_rows(weight, [self._shifts[last]], later)
        steps = [change[begin - ends[0] : end - ends[0]] for begin, end in pairwise(ends)]
        for step, now in zip(range(last, first_step - 1, -1), reversed(steps), strict=True):
            if later is not None:
                _add_back(now, self._kept[step], later)
            later = now
        if last > first_step:
            shifted = change[ends[1] - ends[0] : ends[-1] - ends[0]]
            _add_rows(weight, self._shifts[first_step:last], shifted)
        if first_step == 0 and later is not None:
            weight += self._start.float().T @ later
            bias += later.sum(dim=0)
        return later


class LookingLayer:
    """A first layer that looks at the whole observation, which it keeps for the gradients."""

    def __init__(self, observation: Tensor, weight: Tensor, bias: Tensor, seen: Tensor) -> None:
        self._observation = observation
        self._weight, self._bias = weight, bias
        self._seen = seen

    @property
    def n(self) -> int:
        """Number of rows that are under way."""
        return self._observation.shape[0]

    def activate(self, out: Tensor, end: int, rows: slice) -> None:
        """Write the activations, and the observation where `add_gradients` finds it."""
        self._seen[rows.start : end] = self._observation
        dense_relu(self._seen[rows], self._weight, self._bias, out[rows])

    def keep(self, rows: Tensor) -> None:
        """Not for this layer."""
        raise TypeError(_LOOKS)

    def shift(self, columns: Tensor, changes: Tensor | None) -> None:
        """Not for this layer."""
        raise TypeError(_LOOKS)

    def move(self, observation: Tensor) -> None:
        """Replace the observation."""
        self._observation = observation

    def add_gradients(
        self,
        weight: Tensor,
        bias: Tensor,
        change: Tensor,
        first_step: int,
        ends: Sequence[int],
        later: Tensor | None,
    ) -> Tensor | None:
        """Add gradients; nothing goes on to the chunk before."""
        weight += product(self._seen[ends[0] : ends[0] + len(change)].T, change)
        bias += change.sum(dim=0)
        return None


def _add_back(now: Tensor, kept: Tensor | None, later: Tensor) -> None:
    """Add what a later step gives to the rows that went on to it."""
    if kept is None:
        now += later
    else:
        now.index_add_(0, kept, later)


def _add_rows(
    found: Tensor, shifts: Sequence[tuple[Tensor, Tensor | None]], values: Tensor
) -> None:
    """Add what the rows of `values`, of one step after the other, give to the entries shifted."""
    columns = torch.cat([column for column, _ in shifts])
    changes = [change for _, change in shifts if change is not None]
    if not changes:
        found.index_add_(0, columns, values)
        return
    for column, change in zip(
        columns.unbind(1), torch.cat(changes).to(values).unbind(1), strict=True
    ):
        found.index_add_(0, column, values * change[:, None])
