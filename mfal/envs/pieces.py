"""The seven tetrominoes, their orientations, and the text of boards made of them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mfal.errors import ConfigError, InvalidKeyError

SHAPES = {
    "I": ("#", "#", "#", "#"),
    "J": (".#", ".#", "##"),
    "L": ("#.", "#.", "##"),
    "O": ("##", "##"),
    "S": (".##", "##."),
    "T": ("###", ".#."),
    "Z": ("##.", ".##"),
}
"""Each piece at 0 degrees, top row first."""

DEGREES = (0, 90, 180, 270)

Placed = tuple[int, int, int]
"""Row and column of the lower left corner of a piece's bounding box; index of its orientation."""

_PLACED = re.compile(r"([A-Z])(\d{1,3})@(\d{1,6}),(\d{1,6})", re.ASCII)

EMPTY = 0

Cells = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Orientation:
    """A piece turned clockwise.

    Attributes:
        piece: Its letter.
        degrees: The smallest turn that gives this orientation, so that equal ones share a name.
        cells: Row and column of its four cells, counted from the lower left corner of its
            bounding box, lowest row first.
    """

    piece: str
    degrees: int
    cells: Cells

    @property
    def name(self) -> str:
        """Such as ``J180``."""
        return f"{self.piece}{self.degrees}"

    @property
    def height(self) -> int:
        """Rows of its bounding box."""
        return 1 + max(row for row, _ in self.cells)

    @property
    def width(self) -> int:
        """Columns of its bounding box."""
        return 1 + max(column for _, column in self.cells)

    def column(self, column: int) -> list[int]:
        """Indices of the cells in one of its columns, from below; they have no gap."""
        return [k for k, cell in enumerate(self.cells) if cell[1] == column]


def orientations(pieces: str, rotations: Sequence[int] | None = None) -> list[Orientation]:
    """The distinct orientations of `pieces`, in their order.

    Args:
        pieces: Letters among I, J, L, O, S, T and Z, each once.
        rotations: Degrees among 0, 90, 180 and 270, clockwise; all where None.

    Raises:
        ConfigError: for letters or degrees that do not exist, or none of them.
    """
    unknown = [letter for letter in pieces if letter not in SHAPES]
    if unknown or not pieces or len(set(pieces)) != len(pieces):
        raise ConfigError(
            f"the pieces are {pieces!r}", f"list each letter once, out of {''.join(SHAPES)}"
        )
    turns = DEGREES if rotations is None else tuple(rotations)
    if not turns or not set(turns) <= set(DEGREES):
        raise ConfigError(f"the rotations are {turns}", f"choose degrees out of {DEGREES}")
    found = [_turned(letter, degrees) for letter in pieces for degrees in sorted(turns)]
    return list(dict.fromkeys(found))


def _turned(piece: str, degrees: int) -> Orientation:
    wanted = _cells(piece, degrees)
    smallest = next(turn for turn in DEGREES if _cells(piece, turn) == wanted)
    return Orientation(piece, smallest, wanted)


def _cells(piece: str, degrees: int) -> Cells:
    rows = [list(row) for row in SHAPES[piece]]
    for _ in range(degrees // 90):
        rows = [list(row) for row in zip(*reversed(rows), strict=True)]
    return tuple(
        (row, column)
        for row, line in enumerate(reversed(rows))
        for column, mark in enumerate(line)
        if mark == "#"
    )


def board_text(pieces: Sequence[Orientation], placed: Iterable[Placed]) -> str:
    """Placed pieces from the lowest row up, such as ``O0@0,0 J180@2,0`` (column, row)."""
    return " ".join(f"{pieces[index].name}@{column},{row}" for row, column, index in sorted(placed))


def board_codes(pieces: Sequence[Orientation], height: int, width: int, key: str) -> list[int]:
    """The cells of a board given as text, the lowest row first.

    A cell is 0 where empty, else 1 + 4 * index of the piece + index of its cell.

    Raises:
        InvalidKeyError: for an unknown piece, one outside the board or upon another, or a
            text other than that of `board_text`.
    """
    board = [EMPTY] * (height * width)
    for row, column, index in _parse(pieces, height, width, key):
        for k, (up, right) in enumerate(pieces[index].cells):
            cell = (row + up) * width + column + right
            if board[cell] != EMPTY:
                raise InvalidKeyError(
                    f"board {key!r} has two pieces at column {column + right}, row {row + up}",
                    "pieces may not overlap",
                )
            board[cell] = 1 + 4 * index + k
    return board


def _parse(pieces: Sequence[Orientation], height: int, width: int, key: str) -> list[Placed]:
    """The inverse of `board_text`."""
    known = {piece.name: index for index, piece in enumerate(pieces)}
    placed = []
    for word in key.split(" ") if key else []:
        match = _PLACED.fullmatch(word)
        index = known.get(match[1] + match[2]) if match else None
        if match is None or index is None:
            raise InvalidKeyError(
                f"board {key!r} has no known piece at {word!r}",
                f"write PIECE@COLUMN,ROW with one of {', '.join(known)}",
            )
        column, row, piece = int(match[3]), int(match[4]), pieces[index]
        if column + piece.width > width or row + piece.height > height:
            raise InvalidKeyError(
                f"board {key!r} has {word} outside the board",
                f"it has {width} columns and {height} rows, counted from 0",
            )
        placed.append((row, column, index))
    if board_text(pieces, placed) != key:
        raise InvalidKeyError(
            f"board {key!r} is not in canonical order", f"write {board_text(pieces, placed)!r}"
        )
    return placed
