"""Candidates of the exercises as pictures: Tetris boards and points of a grid, as SVG.

For `Problem.draw`, e.g. ``draw=lambda key: draw_tetris(environment, key)``.
"""

from xml.sax.saxutils import escape

from mfal.envs.hypergrid import HypergridEnvironment
from mfal.envs.tetris import TetrisEnvironment

CELL = 20
GAP = 12
EMPTY = "#eeeeee"
POINT = "#c2344b"
COLOURS = {
    "I": "#33a6b8",
    "J": "#2f6fb7",
    "L": "#e08214",
    "O": "#d9b310",
    "S": "#3a923a",
    "T": "#8457a5",
    "Z": "#c2344b",
}


def draw_tetris(environment: TetrisEnvironment, key: str) -> str:
    """The board that `key` names, the floor below, each piece in its usual colour.

    Raises:
        InvalidKeyError: for a key that is no board of the environment.
    """
    height, width = environment.height, environment.width
    codes = environment.states([key])[0, : height * width].tolist()
    cells = []
    for place, code in enumerate(codes):
        # A code is 0 where nothing lies, else 1 + 4 * orientation + which cell of the piece.
        piece = environment.orientations[(code - 1) // 4].piece if code else ""
        row, column = divmod(place, width)
        colour = COLOURS[piece] if piece else EMPTY
        cells.append(_cell(column, height - 1 - row, colour))
    return _svg(key, width * CELL, height * CELL, cells)


def draw_hypergrid(environment: HypergridEnvironment, key: str) -> str:
    """The point that `key` names: a square a pair of dimensions, a row for one left over.

    The first dimension of a pair runs to the right, the second upwards.

    Raises:
        InvalidKeyError: for a key that is no point of the environment.
    """
    side = environment.side
    point = environment.states([key])[0, : environment.dimensions].tolist()
    pairs = [point[i : i + 2] for i in range(0, len(point), 2)]
    cells = []
    for i, (across, *up) in enumerate(pairs):
        rows = side if up else 1
        for row in range(rows):
            for column in range(side):
                here = column == across and row == (up[0] if up else 0)
                cells.append(
                    _cell(column, side - 1 - row, POINT if here else EMPTY, i * (side * CELL + GAP))
                )
    return _svg(key, len(pairs) * (side * CELL + GAP) - GAP, side * CELL, cells)


def _cell(column: int, row: int, colour: str, left: int = 0) -> str:
    x, y = left + column * CELL, row * CELL
    return (
        f'<rect x="{x + 0.5}" y="{y + 0.5}" width="{CELL - 1}" height="{CELL - 1}" rx="2" '
        f'fill="{colour}"/>'
    )


def _svg(title: str, width: int, height: int, parts: list[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">'
    )
    return "\n".join([head, f"<title>{escape(title)}</title>", *parts, "</svg>"])
