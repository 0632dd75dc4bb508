"""What dropping a piece does to a Tetris board, as tables for whole batches."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from mfal.envs.pieces import Orientation


@dataclass(frozen=True)
class DropTables:
    """What each action does, looked up for a whole batch at once.

    Rows are the A drops, then stop. A piece narrower than four columns repeats its last one.
    Heights and rows are relative to the row where the piece ends.

    Attributes:
        seen: By cell and code, the column of the placement where the code is of a piece's
            first cell, else one column beyond the observation, ``cells x codes``.
        columns: Board columns of the piece, ``(A + 1) x 4``.
        bottoms: Its lowest row in each of them, ``(A + 1) x 4``.
        crowns: The code of its highest cell in each of them, ``(A + 1) x 4``.
        reach: Number of rows up to its highest cell in the first of them, ``A + 1``.
        heights: Rows that it takes in all, ``A + 1``.
        rises: 1 where the row matters, 0 for stop, ``A + 1``.
        cells: Entries of the state that it sets, in the lowest row, ``(A + 1) x 4``.
        codes: To what, ``(A + 1) x 4``.
        placement: Column of the observation for the lowest row, ``A + 1``.
        changes: Of the observation: of four cells and the placement, ``(A + 1) x 5``.
    """

    seen: Tensor
    columns: Tensor
    bottoms: Tensor
    crowns: Tensor
    reach: Tensor
    heights: Tensor
    rises: Tensor
    cells: Tensor
    codes: Tensor
    placement: Tensor
    changes: Tensor

    def to(self, device: torch.device) -> "DropTables":
        """The same tables on another device."""
        return DropTables(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def tabulate(
    pieces: Sequence[Orientation], drops: Sequence[tuple[int, int]], height: int, width: int
) -> DropTables:
    """The tables of drops, each an index into `pieces` and its leftmost column."""
    size = height * width
    drop_rows, placement = [], size
    seen = torch.zeros(size, 1 + 4 * len(pieces), dtype=torch.int64)
    for index, column in drops:
        piece, first_code = pieces[index], 1 + 4 * index
        own = [min(i, piece.width - 1) for i in range(4)]
        stacks = [piece.column(i) for i in own]
        cells = [row * width + column + i for row, i in piece.cells]
        drop_rows.append(
            (
                [column + i for i in own],
                [piece.cells[stack[0]][0] for stack in stacks],
                [first_code + stack[-1] for stack in stacks],
                piece.cells[stacks[0][-1]][0] + 1,
                piece.height,
                1,
                cells,
                [first_code + k for k in range(4)],
                placement,
                [1.0] * 5,
            )
        )
        levels = torch.arange(height - piece.height + 1)
        seen[cells[0] + levels * width, first_code] = placement + levels
        placement += len(levels)
    # Stop sets the entry after the board, four times over, and the last of the observation.
    zeros = [0] * 4
    drop_rows.append(
        (zeros, zeros, zeros, 0, 0, 0, [size] * 4, [1] * 4, placement, [0.0] * 4 + [1.0])
    )
    seen[seen == 0] = placement + 1
    return DropTables(seen, *(torch.tensor(column) for column in zip(*drop_rows, strict=True)))
