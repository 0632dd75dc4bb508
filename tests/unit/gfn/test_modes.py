import pytest
import torch
from torch import Tensor

from mfal.gfn.modes import apart, count_modes


def test_states_close_to_a_better_one_are_no_mode_of_their_own() -> None:
    best = torch.zeros(10, dtype=torch.long)
    close, apart = best.clone(), best.clone()
    close[0], apart[:2] = 1, 1  # A tenth, and a fifth of the entries.
    assert count_modes(torch.stack([best, close])) == 1
    assert count_modes(torch.stack([best, apart])) == 2
    # Close to a state that does not count itself, but not to one that does.
    chain = torch.zeros(4, 10, dtype=torch.long)
    for row in range(4):
        chain[row, :row] = 1
    assert count_modes(chain) == 2
    assert count_modes(chain[:0]) == 0


def test_only_the_hundred_best_are_looked_at() -> None:
    states = torch.arange(150)[:, None].expand(-1, 3)
    assert count_modes(states) == 100


def one_by_one(states: Tensor, least: float, most: int) -> list[int]:
    taken: list[int] = []
    for row, state in enumerate(states):
        far = [float((state != states[i]).double().mean()) >= least for i in taken]
        if len(taken) < most and all(far):
            taken.append(row)
    return taken


@pytest.mark.parametrize("most", [3, 130, 1000])
@pytest.mark.parametrize("least", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("scale", [1, -300, 0.1])
def test_rows_apart_are_those_found_one_by_one(scale: float, least: float, most: int) -> None:
    generator = torch.Generator().manual_seed(0)
    parents = torch.randint(4, (100, 20), generator=generator)
    states = parents[torch.randint(100, (400,), generator=generator)]
    changed = torch.rand(states.shape, generator=generator) < 0.15
    states = torch.where(changed, torch.randint(4, states.shape, generator=generator), states)
    states = states * scale
    expected = one_by_one(states, least, most)
    assert apart(states, least, most) == expected
