"""The hypergrid, the standard test of whether a sampler finds every mode of its reward."""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor

from mfal.envs.draws import rand
from mfal.errors import ConfigError
from mfal.features.points import parse_point, point_text


class HypergridEnvironment:
    """Points of a grid in d dimensions, reached from the origin by steps up (Bengio et al. 2021).

    A state is a row of d coordinates in ``[0, side)`` and a flag, 1 once stopped. Action i below
    d raises coordinate i by one; action d stops, wherever the walk is. A point has as many ways
    to it as there are orders of its steps (arXiv 2106.04399).

    Args:
        dimensions: Number d of coordinates.
        side: Number of points along each coordinate, at least 2.
    """

    def __init__(
        self,
        *,
        dimensions: Annotated[int, Field(ge=1)],
        side: Annotated[int, Field(ge=2)],
    ) -> None:
        if dimensions < 1:
            raise ConfigError(f"the grid has {dimensions} dimensions", "name at least one")
        if side < 2:
            raise ConfigError(f"the side of the grid is {side}", "a step needs at least 2 points")
        self.dimensions = dimensions
        self.side = side
        self.n_actions = dimensions + 1
        self.n_features = dimensions * side + 1
        self.max_steps = dimensions * (side - 1) + 1
        stop = self.n_features - 1
        # Look-ups instead of branches on the stop action keep a step at two tensor operations.
        self._moves = torch.eye(dimensions + 1, dtype=torch.int64)
        self._limits = torch.tensor([side - 1] * dimensions + [1])
        self._stopped = torch.tensor([side] * dimensions + [0])
        self._owner = torch.arange(self.n_features) // side
        self._value = torch.arange(self.n_features) % side + (torch.arange(stop + 1) == stop)
        starts = [[i * side, i * side + 1] for i in range(dimensions)]
        self._columns = torch.tensor([*starts, [stop, stop]])
        self._changes = torch.tensor([[-1.0, 1.0]] * dimensions + [[1.0, 0.0]])

    def initial(self, n: int) -> Tensor:
        """N origins, ``n x (d + 1)``."""
        return torch.zeros(n, self.dimensions + 1, dtype=torch.int64)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        """Raise coordinate `actions` (``n``) of each row, or its flag."""
        return states + self._moves.to(states.device).index_select(0, actions)

    def undo(self, states: Tensor, actions: Tensor) -> Tensor:
        """Lower coordinate `actions` (``n``) of each row, or its flag."""
        return states - self._moves.to(states.device).index_select(0, actions)

    def forward_mask(self, states: Tensor) -> Tensor:
        """Coordinates below the border and the stop, until stopped, bool ``n x (d + 1)``."""
        # A raised flag lifts the whole row over the limits.
        return torch.add(states, states[:, -1:], alpha=self.side) < self._limits.to(states.device)

    def backward_mask(self, states: Tensor) -> Tensor:
        """The stop where stopped, else the coordinates above zero, bool ``n x (d + 1)``."""
        return states > states[:, -1:] * self._stopped.to(states.device)

    def observe(self, states: Tensor) -> Tensor:
        """One-hot coordinates and the flag, ``n x (d * side + 1)``."""
        seen = states.index_select(1, self._owner.to(states.device))
        return (seen == self._value.to(states.device)).to(torch.float32)

    def observe_delta(self, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """The old value's entry goes out and the new one's on; a stop sets the flag's.

        Returns:
            Their columns and changes, both ``n x 2``; the second change of a stop is 0.
        """
        columns = self._columns.to(states.device).index_select(0, actions)
        changes = self._changes.to(states.device).index_select(0, actions)
        return columns + states.gather(1, actions[:, None]), changes

    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        """The largest difference of a coordinate, as a share of the grid, ``k x n``."""
        gaps = (first[:, None, :-1] - second[None, :, :-1]).abs().amax(dim=2)
        return gaps / (self.side - 1)

    def keys(self, states: Tensor) -> list[str]:
        """The coordinates as text, such as ``3,0,7,1``."""
        return [point_text(point) for point in states[:, :-1].tolist()]

    def states(self, keys: Sequence[str]) -> Tensor:
        """Finished states of points, ``n x (d + 1)``.

        Raises:
            InvalidKeyError: for a point of other dimensions or off the grid.
        """
        rows = [[*parse_point(key, self.dimensions, self.side), 1] for key in keys]
        return torch.tensor(rows, dtype=torch.int64).view(len(rows), self.dimensions + 1)

    def uniform(self, n: int, generator: Generator) -> Tensor:
        """N points anywhere on the grid; random steps would stop a few from the origin."""
        points = (rand(n, generator, self.dimensions) * self.side).long()
        return torch.cat([points, torch.ones_like(points[:, :1])], dim=1)

    def mutate(self, states: Tensor, generator: Generator) -> Tensor:
        """One to three coordinates go one step, or for a quarter of the rows one is redrawn."""
        n = len(states)
        redrawn = rand(n, generator) < 0.25
        count = (rand(n, generator) * 3).long() + 1
        rank = rand(n, generator, self.dimensions).argsort(dim=1).argsort(dim=1)
        chosen = rank < count.where(~redrawn, 1)[:, None]
        points = states[:, :-1]
        moved = torch.where(
            redrawn[:, None], self._redraw(points, generator), self._nudge(points, generator)
        )
        return torch.cat([torch.where(chosen, moved, points), states[:, -1:]], dim=1)

    def crossover(self, first: Tensor, second: Tensor, generator: Generator) -> Tensor:
        """Each coordinate from either parent, ``n x (d + 1)``."""
        taken = rand(len(first), generator, self.dimensions + 1) < 0.5
        return torch.where(taken, second, first)

    def _nudge(self, points: Tensor, generator: Generator) -> Tensor:
        """Every coordinate one step up or down, away from a border that is in the way."""
        change = (rand(len(points), generator, self.dimensions) < 0.5).long() * 2 - 1
        moved = points + change
        return torch.where((moved < 0) | (moved >= self.side), points - change, moved)

    def _redraw(self, points: Tensor, generator: Generator) -> Tensor:
        """Every coordinate at another value."""
        # Adding 1..side-1 modulo the side never lands on the same value.
        other = (rand(len(points), generator, self.dimensions) * (self.side - 1)).long() + 1
        return (points + other) % self.side


def hypergrid_log_reward(
    states: Tensor, *, side: int, r0: float = 0.1, r1: float = 0.5, r2: float = 2.0
) -> Tensor:
    """Log-reward of points (``n x (d + 1)``) of a hypergrid, ``n``.

    ``R = r0 + r1 [all |x/(side-1) - 0.5| > 0.25] + r2 [all 0.3 < |x/(side-1) - 0.5| < 0.4]``,
    as in Bengio et al. 2021, section 4.1 (arXiv 2106.04399), whose hardest grids lower `r0`
    to .01 and .001: a plateau nearly without reward, and a mode in every corner.
    """
    if r0 <= 0:
        raise ConfigError(f"r0 is {r0}", "every point needs a reward above zero")
    corner = (2 * _off_centre(states, side) > side - 1).all(dim=1)
    return torch.log(r0 + r1 * corner + r2 * is_mode(states, side=side))


def is_mode(states: Tensor, *, side: int) -> Tensor:
    """Whether points (``n x (d + 1)``) of a hypergrid are modes, with the ``r2`` term, bool ``n``.

    There are 16 in 4 dimensions at side 8.
    """
    distance = 5 * _off_centre(states, side)
    return ((distance > 3 * (side - 1)) & (distance < 4 * (side - 1))).all(dim=1)


def _off_centre(states: Tensor, side: int) -> Tensor:
    """``|x/(side-1) - 0.5|`` in units of ``1/(2 (side-1))``, ``n x d``.

    Whole numbers, so that rounding never moves a point across one of the reward's borders.
    """
    return (2 * states[:, :-1] - (side - 1)).abs()
