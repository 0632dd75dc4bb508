"""A small grid, to test what sequences cannot: uneven lengths and several ways to a state."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mfal.errors import InvalidKeyError


class GridEnvironment:
    """Points of a square grid: step up in one of two coordinates, or stop (action 2).

    A state is the point and whether it has stopped, ``n x 3``.
    """

    def __init__(self, *, side: int) -> None:
        self.side = side
        self.n_actions = 3
        self.n_features = 2 * side + 1
        self.max_steps = 2 * (side - 1) + 1

    def initial(self, n: int) -> Tensor:
        return torch.zeros(n, 3, dtype=torch.long)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        return states.scatter_add(1, actions[:, None], torch.ones_like(states[:, :1]))

    def undo(self, states: Tensor, actions: Tensor) -> Tensor:
        return states.scatter_add(1, actions[:, None], -torch.ones_like(states[:, :1]))

    def forward_mask(self, states: Tensor) -> Tensor:
        going = states[:, 2:] == 0
        return torch.cat([(states[:, :2] < self.side - 1) & going, going], dim=1)

    def backward_mask(self, states: Tensor) -> Tensor:
        stopped = states[:, 2:] == 1
        return torch.cat([(states[:, :2] > 0) & ~stopped, stopped], dim=1)

    def observe(self, states: Tensor) -> Tensor:
        one_hot = (states[:, :2, None] == torch.arange(self.side)).flatten(1)
        return torch.cat([one_hot, states[:, 2:] == 1], dim=1).to(torch.float32)

    def keys(self, states: Tensor) -> list[str]:
        return [f"{x},{y}" for x, y, _ in states.tolist()]

    def states(self, keys: Sequence[str]) -> Tensor:
        rows = []
        for key in keys:
            parts = key.split(",")
            if len(parts) != 2 or not all(p.isdigit() and int(p) < self.side for p in parts):
                raise InvalidKeyError(f"{key!r} is not a point of the grid")
            rows.append([int(parts[0]), int(parts[1]), 1])
        return torch.tensor(rows, dtype=torch.long).view(-1, 3)
