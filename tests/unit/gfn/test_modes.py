import torch

from mfal.gfn.modes import count_modes


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
