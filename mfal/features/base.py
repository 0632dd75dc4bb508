"""What every feature map offers, and several of them side by side."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from mfal.errors import ConfigError
from mfal.user_code import user_code


@runtime_checkable
class Features(Protocol):
    """Turns keys into numbers, a row for each."""

    @property
    def width(self) -> int:
        """Number of columns, p."""
        ...

    @property
    def linear_columns(self) -> Sequence[int]:
        """The columns that a surrogate should give a linear trend.

        Summaries that grow with the objective, so that a model extrapolates along them; not
        counts of letters and words, where only similarity carries meaning.
        """
        ...

    def __call__(self, keys: Sequence[str]) -> Tensor:
        """``n x p`` float64, one row per key in order."""
        ...


class FeatureSet:
    """Feature maps side by side, with the rows of recent candidates kept.

    Args:
        parts: The maps, in the order of their columns.
        capacity: How many rows are kept, at most half of them from one call; the oldest are
            dropped first.
    """

    def __init__(self, parts: Sequence[Features], *, capacity: int = 20_000) -> None:
        if not parts:
            raise ConfigError(
                "a feature set has no parts", "name at least one feature map, e.g. kmers"
            )
        self.parts = tuple(parts)
        self.width = sum(part.width for part in self.parts)
        self.capacity = capacity
        self._slot: dict[str, int] = {}
        self._owner: list[str] = []
        self._next = 0
        self._rows = torch.empty(0, self.width, dtype=torch.float64)

    @property
    def linear_columns(self) -> tuple[int, ...]:
        """The columns that get a linear trend."""
        starts = accumulate((part.width for part in self.parts), initial=0)
        return tuple(
            start + column
            for start, part in zip(starts, self.parts, strict=False)
            for column in part.linear_columns
        )

    def __call__(self, keys: Sequence[str]) -> Tensor:
        """``n x width`` float64, one row per key in order."""
        fresh = [key for key in dict.fromkeys(keys) if key not in self._slot]
        if not fresh:
            return self._rows[self._slots(keys)]
        computed = self._compute(fresh)
        position = {key: i for i, key in enumerate(fresh)}
        rows = torch.empty(len(keys), self.width, dtype=torch.float64)
        known = torch.tensor([key not in position for key in keys], dtype=torch.bool)
        rows[known] = self._rows[self._slots([key for key in keys if key not in position])]
        rows[~known] = computed[[position[key] for key in keys if key in position]]
        # The rest would soon displace what is asked about every time.
        kept = self.capacity // 2
        self._keep(fresh[:kept], computed[:kept])
        return rows

    def _slots(self, keys: Sequence[str]) -> Tensor:
        return torch.tensor([self._slot[key] for key in keys], dtype=torch.long)

    def _compute(self, keys: Sequence[str]) -> Tensor:
        return torch.cat([_rows(part, keys) for part in self.parts], dim=1)

    def _keep(self, keys: Sequence[str], rows: Tensor) -> None:
        self._grow(len(self._owner) + len(keys))
        slots = []
        for key in keys:
            slot = self._next
            if slot < len(self._owner):
                del self._slot[self._owner[slot]]
                self._owner[slot] = key
            else:
                self._owner.append(key)
            self._slot[key] = slot
            slots.append(slot)
            self._next = (slot + 1) % self.capacity
        self._rows[torch.tensor(slots)] = rows

    def _grow(self, needed: int) -> None:
        """Double the storage up to the capacity, so that small problems stay small."""
        size = len(self._rows)
        if needed <= size or size == self.capacity:
            return
        grown = torch.empty(
            min(self.capacity, max(needed, 2 * size, 1024)), self.width, dtype=torch.float64
        )
        grown[:size] = self._rows
        self._rows = grown


def fault(rows: object, n: int, width: int) -> str:
    """What is wrong with the features of n keys, which are ``n x width`` and finite; or empty."""
    if not isinstance(rows, Tensor):
        return f"gives a {type(rows).__name__}, not a tensor"
    if tuple(rows.shape) == (n, width) and bool(rows.isfinite().all()):
        return ""
    given = rows.tolist() if n == 1 else f"numbers of shape {tuple(rows.shape)}"
    each = "" if n == 1 else f" for each of {n} keys"
    return f"gives {given}, not a row of {width} finite numbers{each}"


def _rows(part: Features, keys: Sequence[str]) -> Tensor:
    """``n x p`` float64; raises ConfigError where a part of a user's own gives something else."""
    name, hint = type(part).__name__, "have its __call__() give a row for each key"
    with user_code(f"features {name}", hint, part):
        rows = part(keys)
    if wrong := fault(rows, len(keys), part.width):
        raise ConfigError(f"features {name}: {wrong}", hint)
    return rows.to(torch.float64)
