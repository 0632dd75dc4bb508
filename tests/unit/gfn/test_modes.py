import pytest
import torch
from torch import Tensor

from mfal.envs.fidelity import FidelityEnvironment
from mfal.envs.hypergrid import HypergridEnvironment
from mfal.envs.sequence import SequenceEnvironment
from mfal.envs.tetris import TetrisEnvironment
from mfal.envs.torus import TorusEnvironment
from mfal.envs.variable import VariableSequenceEnvironment
from mfal.gfn.modes import apart, count_modes

STRANDS = SequenceEnvironment(alphabet="ACGT", length=10)


def test_states_close_to_a_better_one_are_no_mode_of_their_own() -> None:
    best = torch.zeros(10, dtype=torch.long)
    close, apart = best.clone(), best.clone()
    close[0], apart[:2] = 1, 1  # A tenth, and a fifth of the entries.
    assert count_modes(STRANDS, torch.stack([best, close])) == 1
    assert count_modes(STRANDS, torch.stack([best, apart])) == 2
    # Close to a state that does not count itself, but not to one that does.
    chain = torch.zeros(4, 10, dtype=torch.long)
    for row in range(4):
        chain[row, :row] = 1
    assert count_modes(STRANDS, chain) == 2
    assert count_modes(STRANDS, chain[:0]) == 0


def test_only_the_hundred_best_are_looked_at() -> None:
    states = torch.arange(150)[:, None].expand(-1, 3)
    assert count_modes(STRANDS, states) == 100


def test_one_candidate_at_every_fidelity_is_one_mode() -> None:
    environment = FidelityEnvironment(SequenceEnvironment(alphabet="AC", length=2), 3)
    states = environment.states(["AC"] * 3, [0, 1, 2])
    assert count_modes(environment, states) == 1


def test_empty_places_make_short_texts_no_more_alike() -> None:
    """Of 40 places these fill five; a fifth of these is one."""
    environment = VariableSequenceEnvironment(alphabet="ACGT", max_length=40)
    states = environment.states(["AAAA", "AAAC", "AAAA" + "C" * 36, "AAAA" + "C" * 35 + "A"])
    assert apart(environment, states, 0.2, 10) == [0, 1, 2]
    # The end counts as a place: without it "AAAA" and "AAAAC" would not differ in any.
    assert apart(environment, environment.states(["AAAA", "AAAAC"]), 2 / 6, 10) == [0, 1]
    assert apart(environment, environment.states(["AAAA", "AAAAC"]), 0.34, 10) == [0]


def test_modes_of_a_grid_are_places_far_apart() -> None:
    grid = HypergridEnvironment(dimensions=2, side=101)
    around = [f"{50 + i},{50 + j}" for i in range(-5, 6) for j in range(-5, 6)]
    assert count_modes(grid, grid.states([*around[:90], "10,52", "52,70", "52,71"])) == 3


def test_boards_differ_in_the_cells_that_either_fills() -> None:
    board = TetrisEnvironment(height=10, width=10, pieces="O")
    corner, middle, both = "O0@0,0", "O0@4,0", "O0@0,0 O0@4,0"
    states = board.states([corner, middle, both])
    # A board of one piece and one of that and another: half of the filled cells differ.
    assert apart(board, states, 0.5, 10) == [0, 1, 2]
    assert apart(board, states, 0.51, 10) == [0, 1]


def test_modes_of_a_torus_are_angles_far_apart_either_way_round() -> None:
    torus = TorusEnvironment(steps=2)
    angles = torch.tensor([[3.1, 0.0], [-3.1, 0.0], [3.1, 0.62], [3.1, 0.64]])
    states = torch.cat([angles, torch.full((4, 1), 2.0)], dim=1)
    assert apart(torus, states, 0.2, 10) == [0, 3]  # A fifth of half a turn is .628.


def one_by_one(states: Tensor, least: float, most: int) -> list[int]:
    taken: list[int] = []
    for row, state in enumerate(states):
        if len(taken) < most and (_shares(state, states[taken]) >= least).all():
            taken.append(row)
    return taken


def _shares(one: Tensor, others: Tensor) -> Tensor:
    """Of the places that either fills, those in which a state differs from each of the others."""
    filled = (one != -1) | (others != -1)
    return (one != others).sum(dim=1).double() / filled.sum(dim=1)


@pytest.mark.parametrize("most", [3, 130, 1000])
@pytest.mark.parametrize("least", [0.1, 0.2, 0.5])
@pytest.mark.parametrize(("first", "scale"), [(0, 1), (0, 300), (0, 0.1), (-1, 1)])
def test_rows_apart_are_those_found_one_by_one(
    first: int, scale: float, least: float, most: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    parents = torch.randint(first, 4, (100, 20), generator=generator)
    states = parents[torch.randint(100, (400,), generator=generator)]
    changed = torch.rand(states.shape, generator=generator) < 0.15
    fresh = torch.randint(first, 4, states.shape, generator=generator)
    states = torch.where(changed, fresh, states) * scale
    assert apart(STRANDS, states, least, most) == one_by_one(states, least, most)
