import torch
from torch import Tensor

from mfal.gfn.trajectories import Trajectories
from tests.unit.gfn.problems import seeded


def trajectories(rows: list[int], n: int) -> Trajectories:
    """Of transitions that belong to these rows."""
    owner, nothing = torch.tensor(rows, dtype=torch.long), torch.zeros(len(rows))
    return Trajectories(owner, owner, nothing, nothing, torch.zeros(n, 1))


# Three trajectories with 3, 1 and 2 transitions, the last of which begins late.
RAGGED = trajectories([1, 0, 2, 0, 2, 0], 3)


def shuffled(n: int, n_transitions: int) -> Trajectories:
    """Transitions in a random order, which `rows` alone tells."""
    rows = torch.randint(n, (n_transitions,), generator=seeded(0)).tolist()
    return trajectories(rows, n)


def by_hand(found: Trajectories) -> list[list[int]]:
    """Places in the list of each trajectory's transitions, in order of time."""
    rows = found.rows.tolist()
    return [[place for place, own in enumerate(rows) if own == row] for row in range(len(found))]


def test_totals_are_sums_over_each_trajectory() -> None:
    values = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    assert RAGGED.total(values).tolist() == [42.0, 1.0, 20.0]


def test_totals_carry_gradients() -> None:
    values = torch.ones(6, requires_grad=True)
    weights = torch.tensor([1.0, 10.0, 100.0])
    (RAGGED.total(values) * weights).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [10.0, 1.0, 100.0, 1.0, 100.0, 1.0]


def test_the_next_transition_is_the_trajectorys_own() -> None:
    assert RAGGED.next().tolist() == [6 + 1, 3, 4, 5, 6 + 2, 6 + 0]


def test_times_and_lengths_count_each_trajectorys_steps() -> None:
    assert RAGGED.times().tolist() == [0, 0, 0, 1, 1, 2]
    assert RAGGED.lengths().tolist() == [3, 1, 2]
    assert len(RAGGED) == 3


def test_a_trajectory_without_transitions_has_length_zero() -> None:
    found = trajectories([0, 2], 4)
    assert found.lengths().tolist() == [1, 0, 1, 0]
    assert found.total(torch.ones(2)).tolist() == [1.0, 0.0, 1.0, 0.0]


def test_any_interleaving_is_told_apart() -> None:
    found = shuffled(7, 60)
    after, times = found.next().tolist(), found.times().tolist()
    for row, places in enumerate(by_hand(found)):
        assert [after[place] for place in places] == [*places[1:], 60 + row]
        assert [times[place] for place in places] == list(range(len(places)))
        assert found.lengths()[row] == len(places)


def test_a_list_with_the_ends_behind_it_is_read_by_next() -> None:
    """Which is how losses look up what a transition leads to."""
    found = shuffled(5, 30)
    values: Tensor = torch.arange(30.0)
    ends = -torch.arange(5.0)
    after = torch.cat([values, ends])[found.next()]
    for row, places in enumerate(by_hand(found)):
        assert after[places[-1]] == ends[row]
        assert after[places[:-1]].tolist() == values[places[1:]].tolist()
