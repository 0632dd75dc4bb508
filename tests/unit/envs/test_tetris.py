from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor

from mfal.envs.fidelity import FidelityEnvironment
from mfal.envs.pieces import SHAPES, board_text, orientations
from mfal.envs.tetris import TetrisEnvironment, tetris_log_reward
from mfal.errors import ConfigError, InvalidKeyError
from mfal.testing import EnvironmentChecks

NARROW: dict[str, Any] = {"height": 6, "width": 2, "rotations": (0, 180)}
SQUARE: dict[str, Any] = {"height": 4, "width": 4}
FLAT: dict[str, Any] = {"height": 3, "width": 4}
TALL: dict[str, Any] = {"height": 4, "width": 3}
FIVE: dict[str, Any] = {"height": 4, "width": 4, "pieces": "IOJLT"}


class TestNarrow(EnvironmentChecks):
    def environment(self) -> TetrisEnvironment:
        return TetrisEnvironment(**NARROW)

    def bad_keys(self) -> list[str]:
        unknown = ["", "K0@0,0", "J90@0,0", "J0", "J0@0", "J0@0,0,0", "J0 @0,0", "O90@0,0"]
        misplaced = ["O0@1,0", "O0@0,5", "O0@0,0 O0@0,1", "O0@0,1", "O0@0,0 O0@0,0"]
        return [*unknown, *misplaced, "O0@0,2 O0@0,0", "O0@00,0", "O0@0,0 ", "O0@0,-1"]


class TestSquare(EnvironmentChecks):
    def environment(self) -> TetrisEnvironment:
        return TetrisEnvironment(**SQUARE)


class TestStuck(EnvironmentChecks):
    def environment(self) -> TetrisEnvironment:
        return TetrisEnvironment(**FIVE, stop="stuck")

    def bad_keys(self) -> list[str]:
        return ["", "O0@0,0", "O0@0,0 O0@0,2", "O0@0,0 O0@1,3"]


class TestAllPieces(EnvironmentChecks):
    n = 8

    def environment(self) -> TetrisEnvironment:
        return TetrisEnvironment(height=9, width=6, pieces="IJLOSTZ")


class TestSquareWithFidelities(EnvironmentChecks):
    def environment(self) -> FidelityEnvironment:
        return FidelityEnvironment(TetrisEnvironment(**SQUARE), 3)

    def restore(self, environment: Any, states: Tensor) -> Tensor:
        return environment.states(environment.keys(states), environment.fidelities(states).tolist())


class TestStuckWithFidelities(TestSquareWithFidelities):
    def environment(self) -> FidelityEnvironment:
        return FidelityEnvironment(TetrisEnvironment(**NARROW, stop="stuck"), 2)


def walk(tetris: TetrisEnvironment) -> tuple[Tensor, Tensor, Tensor, int]:
    """All boards, the number of ways to each, all finished states, and the number of drops."""
    states, ways = tetris.initial(1), torch.ones(1, dtype=torch.long)
    boards, counts, finished, edges = [], [], [], 0
    while len(states):
        mask = tetris.forward_mask(states)
        boards.append(states)
        counts.append(ways)
        stop = torch.full((int(mask[:, -1].sum()),), tetris.n_actions - 1)
        finished.append(tetris.step(states[mask[:, -1]], stop))
        rows, actions = mask[:, :-1].nonzero(as_tuple=True)
        edges += len(rows)
        states, place = tetris.step(states[rows], actions).unique(dim=0, return_inverse=True)
        ways = torch.zeros(len(states), dtype=torch.long).index_add(0, place, ways[rows])
    return torch.cat(boards), torch.cat(counts), torch.cat(finished), edges


def exact_z(finished: Tensor) -> Fraction:
    filled = (finished[:, :-1] != 0).sum(dim=1).tolist()
    return sum((Fraction(k, finished.shape[1] - 1) ** 4 for k in filled), Fraction(0))


Board = frozenset[tuple[str, frozenset[tuple[int, int]]]]


def simulate(
    height: int, width: int, pieces: str = "JLO", rotations: tuple[int, ...] = (0, 90, 180, 270)
) -> dict[Board, tuple[int, bool]]:
    """Ways to each board and whether it is stuck, in plain Python and cell by cell.

    A board is its pieces as letter and cells; a piece is moved down from above, row by row,
    until it would hit something.
    """
    shapes = set()
    for letter in pieces:
        cells = {
            (-r, c) for r, row in enumerate(SHAPES[letter]) for c, m in enumerate(row) if m == "#"
        }
        for degrees in (0, 90, 180, 270):
            if degrees in rotations:
                low, left = min(r for r, _ in cells), min(c for _, c in cells)
                shapes.add((letter, frozenset((r - low, c - left) for r, c in cells)))
            cells = {(-c, r) for r, c in cells}
    ways: Counter[Board] = Counter({frozenset(): 1})
    found: dict[Board, tuple[int, bool]] = {}
    while ways:
        after: Counter[Board] = Counter()
        for board, n in ways.items():
            taken = {cell for _, cells in board for cell in cells}
            stuck = True
            for letter, shape in shapes:
                for column in range(width - max(c for _, c in shape)):
                    row = height
                    while row > 0 and not {(row - 1 + r, column + c) for r, c in shape} & taken:
                        row -= 1
                    landed = frozenset((row + r, column + c) for r, c in shape)
                    if max(r for r, _ in landed) < height:
                        stuck = False
                        after[board | {(letter, landed)}] += n
            found[board] = (n, stuck)
        ways = after
    return found


def cells_of(tetris: TetrisEnvironment, states: Tensor) -> set[Board]:
    """Boards in the words of `simulate`, read off the codes of the cells."""
    boards = set()
    for row in states[:, :-1].tolist():
        pieces: dict[tuple[int, int, int], set[tuple[int, int]]] = {}
        for cell, code in enumerate(row):
            if code:
                index, k = divmod(code - 1, 4)
                r, c = divmod(cell, tetris.width)
                up, right = tetris.orientations[index].cells[k]
                pieces.setdefault((index, r - up, c - right), set()).add((r, c))
        boards.add(
            frozenset(
                (tetris.orientations[i].piece, frozenset(p)) for (i, _, _), p in pieces.items()
            )
        )
    return boards


@pytest.mark.parametrize(
    ("board", "states", "merged", "most", "full", "z", "terminals", "z_stuck"),
    [
        (NARROW, 36, 0, 1, 5, Fraction(10), 25, Fraction(725, 81)),
        (SQUARE, 685, 198, 6, 19, Fraction(40379, 256), 478, Fraction(17739, 128)),
        (FLAT, 115, 31, 2, 6, Fraction(623, 27), None, None),
        (TALL, 99, 0, 1, 6, Fraction(1748, 81), None, None),
        (FIVE, 2328, 972, 24, 81, Fraction(158737, 256), None, None),
    ],
)
def test_boards_are_counted_exactly(
    board: dict[str, Any],
    states: int,
    merged: int,
    most: int,
    full: int,
    z: Fraction,
    terminals: int | None,
    z_stuck: Fraction | None,
) -> None:
    tetris = TetrisEnvironment(**board)
    boards, ways, finished, edges = walk(tetris)
    assert (len(boards), int((ways > 1).sum()), int(ways.max())) == (states, merged, most)
    assert len(finished) == states - 1
    assert (edges == states - 1) == (merged == 0)
    assert int((finished != 0).all(dim=1).sum()) == full
    assert exact_z(finished) == z
    if terminals is not None:
        _, _, stuck, _ = walk(TetrisEnvironment(**board, stop="stuck"))
        assert len(stuck) == terminals
        assert exact_z(stuck) == z_stuck


@pytest.mark.parametrize("board", [NARROW, SQUARE, FLAT, TALL, {**FLAT, "pieces": "ISTZ"}])
def test_boards_agree_with_a_plain_simulation(board: dict[str, Any]) -> None:
    expected = simulate(**board)
    tetris = TetrisEnvironment(**board)
    boards, ways, _, _ = walk(tetris)
    assert len(boards) == len(expected)
    assert cells_of(tetris, boards) == set(expected)
    assert Counter(ways.tolist()) == Counter(n for n, _ in expected.values())
    _, _, stuck, _ = walk(TetrisEnvironment(**board, stop="stuck"))
    assert cells_of(tetris, stuck) == {b for b, (_, is_stuck) in expected.items() if is_stuck}


def test_every_full_narrow_board_has_a_tenth_of_the_mass() -> None:
    _, _, finished, _ = walk(TetrisEnvironment(**NARROW))
    share = tetris_log_reward(finished).double().softmax(dim=0)
    full = (finished != 0).all(dim=1)
    assert share[full].tolist() == pytest.approx([0.1] * 5)


@pytest.mark.parametrize("board", [SQUARE, FIVE, {**FLAT, "pieces": "IJLOSTZ"}])
def test_ways_back_are_the_ways_forward(board: dict[str, Any]) -> None:
    """Each board has as many ways back as drops lead to it, and undoing inverts each."""
    tetris = TetrisEnvironment(**board)
    boards, _, _, edges = walk(tetris)
    rows, actions = tetris.backward_mask(boards).nonzero(as_tuple=True)
    assert len(rows) == edges
    before = tetris.undo(boards[rows], actions)
    assert tetris.forward_mask(before).gather(1, actions[:, None]).all()
    assert torch.equal(tetris.step(before, actions), boards[rows])


def test_the_reward_is_a_power_of_the_filled_fraction() -> None:
    tetris = TetrisEnvironment(**NARROW)
    states = tetris.states(["O0@0,0", "O0@0,0 O0@0,2 O0@0,4"])
    assert tetris_log_reward(states).exp().tolist() == pytest.approx([1 / 81, 1.0])
    assert tetris_log_reward(states, power=1).exp().tolist() == pytest.approx([1 / 3, 1.0])
    assert tetris_log_reward(tetris.initial(1)).item() == -float("inf")


def test_the_empty_board_may_not_be_stopped_at() -> None:
    tetris = TetrisEnvironment(**NARROW)
    assert tetris.forward_mask(tetris.initial(1)).tolist() == [[True] * 5 + [False]]


def test_a_stuck_board_may_only_be_stopped_at() -> None:
    for stop in ("anywhere", "stuck"):
        tetris = TetrisEnvironment(**NARROW, stop=stop)
        board = tetris.states(["O0@0,0 O0@0,2 O0@0,4"])
        board[:, -1] = 0
        assert tetris.forward_mask(board).tolist() == [[False] * 5 + [True]]


def test_the_order_of_drops_leaves_no_trace() -> None:
    tetris = TetrisEnvironment(**SQUARE)
    names = [(tetris.orientations[index].name, column) for index, column in tetris.drops]
    left, right = names.index(("O0", 0)), names.index(("J0", 2))
    ways = [tetris.initial(1), tetris.initial(1)]
    for drops, way in (((left, right), 0), ((right, left), 1)):
        for drop in drops:
            ways[way] = tetris.step(ways[way], torch.tensor([drop]))
    assert torch.equal(*ways)
    assert tetris.keys(ways[0]) == ["O0@0,0 J0@2,0"]
    assert int(tetris.backward_mask(ways[0]).sum()) == 2


def packings(tetris: TetrisEnvironment) -> list[list[tuple[int, int, int]]]:
    """Every way to lay pieces on the board without overlap, resting on something or not."""
    places = [
        (row, column, index)
        for row in range(tetris.height)
        for column in range(tetris.width)
        for index, o in enumerate(tetris.orientations)
        if row + o.height <= tetris.height and column + o.width <= tetris.width
    ]
    cells = [
        {(row + r, column + c) for r, c in tetris.orientations[index].cells}
        for row, column, index in places
    ]
    found: list[list[tuple[int, int, int]]] = []
    todo: list[tuple[list[int], set[tuple[int, int]]]] = [([], set())]
    while todo:
        chosen, taken = todo.pop()
        found.append([places[i] for i in chosen])
        later = range(chosen[-1] + 1 if chosen else 0, len(places))
        todo += [([*chosen, i], taken | cells[i]) for i in later if not taken & cells[i]]
    return found


@pytest.mark.parametrize("board", [NARROW, FLAT, {**TALL, "pieces": "ISTZ"}])
def test_only_boards_that_drops_lead_to_have_a_key(board: dict[str, Any]) -> None:
    """Of all ways to lay pieces, those are accepted that the walk finds."""
    tetris = TetrisEnvironment(**board)
    accepted = set()
    for placed in packings(tetris):
        key = board_text(tetris.orientations, placed)
        try:
            tetris.states([key])
        except InvalidKeyError:
            continue
        accepted.add(key)
    _, _, finished, _ = walk(tetris)
    assert accepted == set(tetris.keys(finished))
    assert len(accepted) < len(packings(tetris)) - 1


@pytest.mark.parametrize(
    ("key", "match"),
    [
        ("O0@0,0 X0@0,2", "no known piece at 'X0@0,2'[\\s\\S]*J0, J90, J180, J270, L0"),
        ("O0@3,0", "O0@3,0 outside the board[\\s\\S]*4 columns and 4 rows"),
        ("O0@0,0 O0@1,1", "two pieces at column 1, row 1"),
        ("O0@0,0 O0@2,1", "O0@2,1 hanging in the air"),
        ("J0@2,0 O0@0,0", "not in canonical order[\\s\\S]*'O0@0,0 J0@2,0'"),
        ("", "'' is not finished[\\s\\S]*an empty board"),
    ],
)
def test_errors_say_what_is_wrong_with_a_key(key: str, match: str) -> None:
    with pytest.raises(InvalidKeyError, match=match) as error:
        TetrisEnvironment(**SQUARE).states(["O0@0,0", key])
    assert repr(key) in str(error.value)


def test_a_board_that_could_go_on_is_refused_where_only_stuck_ones_stop() -> None:
    with pytest.raises(InvalidKeyError, match=r"'O0@0,0' is not finished[\s\S]*no piece fits"):
        TetrisEnvironment(**NARROW, stop="stuck").states(["O0@0,0"])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({**SQUARE, "pieces": "JX"}, "'JX'"),
        ({**SQUARE, "pieces": "JJ"}, "'JJ'"),
        ({**SQUARE, "pieces": ""}, "''"),
        ({**SQUARE, "rotations": (45,)}, "45"),
        ({**SQUARE, "rotations": ()}, "rotations"),
        ({**SQUARE, "stop": "never"}, "'never'"),
        ({**FLAT, "pieces": "IJO", "rotations": (0,)}, "I fits a board of height 3 and width 4"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        TetrisEnvironment(**options)


def test_turns_that_look_alike_are_one_orientation() -> None:
    counts = Counter(o.piece for o in orientations("IJLOSTZ"))
    assert counts == {"I": 2, "J": 4, "L": 4, "O": 1, "S": 2, "T": 4, "Z": 2}
    assert [o.name for o in orientations("OS", (180, 270))] == ["O0", "S0", "S90"]


def test_a_large_board_with_all_pieces_is_played_to_the_end() -> None:
    tetris = TetrisEnvironment(height=20, width=10, pieces="IJLOSTZ", stop="stuck")
    generator, states = torch.Generator().manual_seed(0), tetris.initial(32)
    while (mask := tetris.forward_mask(states)).any():
        going = mask.any(dim=1)
        actions = mask[going].double().multinomial(1, generator=generator)[:, 0]
        states[going] = tetris.step(states[going], actions)
    assert (states[:, -1] == 1).all()
    assert torch.equal(tetris.states(tetris.keys(states)), states)
    assert ((states[:, :-1] != 0).sum(dim=1) % 4 == 0).all()
