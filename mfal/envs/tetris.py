"""Tetris boards, filled by dropping pieces: a problem whose answer is known exactly."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from mfal.envs.drops import DropTables, tabulate
from mfal.envs.pieces import EMPTY, Placed, board_codes, board_text, orientations
from mfal.errors import ConfigError, InvalidKeyError


class TetrisEnvironment:
    """Boards on which pieces are dropped one by one, and a last action: stop.

    A piece falls straight down from above the board until it rests on the floor or on another
    piece, and must then lie inside the board. Rows do not clear. A state is the *set* of placed
    pieces: orders of play that end with the same pieces in the same places merge. That is how
    Tetris tests a GFlowNet, though on narrow boards nothing merges.

    A state is the board's cells, the lowest row first, and whether the game is stopped,
    ``n x (height * width + 1)``. A cell is 0 while empty, else 1 + 4 * orientation + which of
    the piece's four cells it is, so that a board tells its pieces apart. The actions are the
    pairs of an orientation and the leftmost column it takes, then stop.

    Args:
        height: Rows of the board.
        width: Columns of the board.
        pieces: Letters among I, J, L, O, S, T and Z, each once.
        rotations: Degrees among 0, 90, 180 and 270 by which pieces may be turned; all where
            None. Turns that look alike are one orientation.
        stop: When the game may be stopped: ``anywhere`` but on the empty board, which is no
            candidate (its reward, a power of the filled fraction, would be 0), or only when
            ``stuck``, where no piece fits any more.
    """

    def __init__(
        self,
        *,
        height: Annotated[int, Field(gt=0)],
        width: Annotated[int, Field(gt=0)],
        pieces: str = "JLO",
        rotations: tuple[int, ...] | None = None,
        stop: Literal["anywhere", "stuck"] = "anywhere",
    ) -> None:
        if stop not in ("anywhere", "stuck"):
            raise ConfigError(f"stop is {stop!r}", "choose 'anywhere' or 'stuck'")
        turned = orientations(pieces, rotations)
        self.orientations = [o for o in turned if o.height <= height and o.width <= width]
        outsized = sorted(set(pieces) - {o.piece for o in self.orientations})
        if outsized:
            raise ConfigError(
                f"no allowed turn of {', '.join(outsized)} fits a board of height {height} "
                f"and width {width}",
                "take a larger board, other pieces or more rotations",
            )
        self.height, self.width, self.stop = height, width, stop
        self.drops = [
            (index, column)
            for index, o in enumerate(self.orientations)
            for column in range(width - o.width + 1)
        ]
        self.n_actions = len(self.drops) + 1
        self.max_steps = height * width // 4 + 1
        placements = sum(height - self.orientations[index].height + 1 for index, _ in self.drops)
        self.n_features = height * width + placements + 1
        tables = tabulate(self.orientations, self.drops, height, width)
        self._tables = {tables.cells.device: tables}

    def initial(self, n: int) -> Tensor:
        """N empty boards, ``n x (height * width + 1)``."""
        return torch.zeros(n, self.height * self.width + 1, dtype=torch.int64)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        """Drop the piece that `actions` (``n``) names, or stop."""
        cells, _ = self._landing(states, actions)
        return states.scatter(1, cells, self._on(states).codes[actions])

    def undo(self, states: Tensor, actions: Tensor) -> Tensor:
        """Lift the piece that `actions` (``n``) names off each board, or take stopping back."""
        tables = self._on(states)
        tops = self._tops(states).gather(1, tables.columns[actions, :1])
        rows = (tops - tables.reach[actions, None]) * tables.rises[actions, None]
        return states.scatter(1, tables.cells[actions] + rows * self.width, EMPTY)

    def forward_mask(self, states: Tensor) -> Tensor:
        """The drops that end inside the board, and stop where allowed, bool ``n x n_actions``."""
        tables, tops = self._on(states), self._tops(states)
        rows = (self._by_drop(tops) - tables.bottoms[:-1].T[:, :, None]).amax(dim=0).T
        fits = rows + tables.heights[:-1] <= self.height
        may_stop = ~fits.any(dim=1) if self.stop == "stuck" else tops.any(dim=1)
        mask = torch.cat([fits, may_stop[:, None]], dim=1)
        return mask & (states[:, -1:] == EMPTY)

    def backward_mask(self, states: Tensor) -> Tensor:
        """The pieces with nothing above them, or stop, bool ``n x n_actions``.

        A piece is free where the highest cells of all its columns are its own. Two pieces of
        one orientation that share these columns lie one above the other, so only one is free.
        """
        tables, tops = self._on(states), self._tops(states)
        highest = (tops - 1).clamp_min(0) * self.width
        highest = highest + torch.arange(self.width, device=states.device)
        crowns = states.gather(1, highest)
        free = (self._by_drop(crowns) == tables.crowns[:-1].T[:, :, None]).all(dim=0).T
        stopped = states[:, -1:] != EMPTY
        return torch.cat([free & ~stopped, stopped], dim=1)

    def observe(self, states: Tensor) -> Tensor:
        """Occupied cells, one-hot placements and whether stopped, ``n x n_features``.

        There is a column for every orientation at every place inside the board, so that the
        policy sees which pieces fill the cells.
        """
        board = states[:, :-1]
        cell = torch.arange(board.shape[1], device=states.device)
        columns = self._on(states).seen[cell, board]
        # All but the first cells of pieces fall into a spare last column.
        seen = torch.zeros(len(states), self.n_features + 1, device=states.device)
        seen.scatter_(1, columns, 1.0)
        seen[:, : board.shape[1]] = board != EMPTY
        seen[:, -2] = states[:, -1]
        return seen[:, :-1]

    def observe_delta(self, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Entries of the observation that a step sets: four cells and a placement, or stop.

        Returns:
            Their columns and their changes, both ``n x 5``; unused changes are 0.
        """
        tables = self._on(states)
        cells, rows = self._landing(states, actions)
        placement = tables.placement[actions, None] + rows
        return torch.cat([cells, placement], dim=1), tables.changes[actions]

    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        """The share of the cells filled in either board that differ, ``k x n``."""
        ours, theirs = first[:, None, :-1], second[None, :, :-1]
        filled = ((ours != EMPTY) | (theirs != EMPTY)).sum(dim=2)
        return (ours != theirs).sum(dim=2) / filled.clamp(min=1)

    def keys(self, states: Tensor) -> list[str]:
        """The pieces from the lowest row up, such as ``O0@0,0 J180@2,0``, whatever their order.

        Each is its letter, its degrees, and column and row of the lower left corner of its
        bounding box.
        """
        return [board_text(self.orientations, placed) for placed in self._placed(states)]

    def states(self, keys: Sequence[str]) -> Tensor:
        """Finished states of keys, ``n x (height * width + 1)``.

        Raises:
            InvalidKeyError: for an unknown piece, one outside the board or upon another, a
                board that no order of drops gives, one where the game may not be stopped, or
                a text other than the canonical one.
        """
        rows = [
            [*board_codes(self.orientations, self.height, self.width, key), EMPTY] for key in keys
        ]
        boards = torch.tensor(rows, dtype=torch.int64).view(len(rows), self.height * self.width + 1)
        self._check_drops(keys, boards)
        for row in (~self.forward_mask(boards)[:, -1]).nonzero()[:, 0].tolist():
            raise InvalidKeyError(
                f"board {keys[row]!r} is not finished",
                "the game stops only where no piece fits"
                if self.stop == "stuck"
                else "an empty board is no candidate",
            )
        boards[:, -1] = 1
        return boards

    def _landing(self, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """The entries that actions set, ``n x 4``, and the row where the piece ends, ``n x 1``."""
        tables = self._on(states)
        tops = self._tops(states).gather(1, tables.columns[actions])
        rows = (tops - tables.bottoms[actions]).amax(dim=1, keepdim=True)
        rows = rows * tables.rises[actions, None]
        return tables.cells[actions] + rows * self.width, rows

    def _tops(self, states: Tensor) -> Tensor:
        """By column, the number of rows up to the highest piece, ``n x width``."""
        occupied = states[:, :-1].view(-1, self.height, self.width) != EMPTY
        level = torch.arange(1, self.height + 1, device=states.device)[:, None]
        return (occupied * level).amax(dim=1)

    def _by_drop(self, values: Tensor) -> Tensor:
        """Values by column (``n x width``) at the columns of each drop, ``4 x drops x n``.

        Copies whole rows, which is several times faster than picking entries.
        """
        columns = self._on(values).columns[:-1].T.flatten()
        picked = values.T.contiguous().index_select(0, columns)
        return picked.view(4, len(self.drops), len(values))

    def _on(self, states: Tensor) -> DropTables:
        if states.device not in self._tables:
            self._tables[states.device] = next(iter(self._tables.values())).to(states.device)
        return self._tables[states.device]

    def _placed(self, states: Tensor) -> list[list[Placed]]:
        board = states[:, :-1].cpu()
        rows, cells = ((board - 1) % 4 == 0).logical_and(board != EMPTY).nonzero(as_tuple=True)
        indices = ((board[rows, cells] - 1) // 4).tolist()
        placed: list[list[Placed]] = [[] for _ in range(len(states))]
        for row, cell, index in zip(rows.tolist(), cells.tolist(), indices, strict=True):
            level, column = divmod(cell, self.width)
            placed[row].append((level, column - self.orientations[index].cells[0][1], index))
        return placed

    def _check_drops(self, keys: Sequence[str], boards: Tensor) -> None:
        """Refuse boards that no order of drops gives.

        Lifts free pieces until none is left and drops them again in the opposite order. Which
        free piece goes first does not matter, since free pieces share no columns; and one is
        always free, since pieces without gaps in their columns cannot interlock.
        """
        rest, taken = boards, []
        while (mask := self.backward_mask(rest)).any():
            rows = mask.any(dim=1).nonzero()[:, 0]
            actions = mask[rows].long().argmax(dim=1)
            taken.append((rows, actions))
            rest = rest.index_copy(0, rows, self.undo(rest[rows], actions))
        for rows, actions in reversed(taken):
            rest = rest.index_copy(0, rows, self.step(rest[rows], actions))
        for row in (rest != boards).any(dim=1).nonzero()[:, 0].tolist():
            wanted, found = self._placed(torch.stack([boards[row], rest[row]]))
            hanging = board_text(self.orientations, [min(set(wanted) - set(found))])
            raise InvalidKeyError(
                f"board {keys[row]!r} has {hanging} hanging in the air",
                "a piece falls until it rests on the floor or on another piece",
            )


def tetris_log_reward(states: Tensor, *, power: float = 4.0) -> Tensor:
    """`power` times the log of the filled fraction of each board, float32 ``n``.

    The empty board has the log reward -inf.

    Args:
        states: States of `TetrisEnvironment`, ``n x (height * width + 1)``.
    """
    return power * (states[:, :-1] != EMPTY).to(torch.float32).mean(dim=1).log()
