import xml.etree.ElementTree as ET

import pytest

from mfal.boards import CELL, COLOURS, EMPTY, POINT, draw_hypergrid, draw_tetris
from mfal.envs.hypergrid import HypergridEnvironment
from mfal.envs.tetris import TetrisEnvironment
from mfal.errors import InvalidKeyError


def painted(picture: str) -> dict[tuple[int, int], str]:
    """Column and row from the top -> colour."""
    root = ET.fromstring(picture)
    return {
        (int(float(r.attrib["x"])) // CELL, int(float(r.attrib["y"])) // CELL): r.attrib["fill"]
        for r in root.iter("{http://www.w3.org/2000/svg}rect")
    }


def test_a_tetris_board() -> None:
    environment = TetrisEnvironment(height=4, width=3, pieces="LO")
    # A square in the lower left corner, and nothing else.
    cells = painted(draw_tetris(environment, "O0@0,0"))
    assert len(cells) == 12
    assert {at for at, colour in cells.items() if colour == COLOURS["O"]} == {
        (0, 3),
        (1, 3),
        (0, 2),
        (1, 2),
    }
    assert [*cells.values()].count(EMPTY) == 8
    with pytest.raises(InvalidKeyError):
        draw_tetris(environment, "O0@2,0")


def test_a_point_of_a_plane() -> None:
    cells = painted(draw_hypergrid(HypergridEnvironment(dimensions=2, side=4), "3,1"))
    assert len(cells) == 16
    assert [at for at, colour in cells.items() if colour == POINT] == [(3, 2)]


def test_a_point_of_more_dimensions() -> None:
    environment = HypergridEnvironment(dimensions=5, side=4)
    root = ET.fromstring(draw_hypergrid(environment, "3,1,0,0,2"))
    fills = [r.attrib["fill"] for r in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert len(fills) == 16 + 16 + 4 and fills.count(POINT) == 3
    with pytest.raises(InvalidKeyError):
        draw_hypergrid(environment, "4,1,0,0,2")
