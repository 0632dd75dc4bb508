"""The exercises are the problems that their names promise."""

import math

import pytest
import torch

from mfal.gfn.exact import finished_states
from mfal.verification import exercises
from tests.unit.gfn.enumerated import exact_log_z


@pytest.mark.parametrize(
    ("make", "n", "z", "n_modes", "mode"),
    [
        # The empty board is no candidate: 35 of the 36 states.
        (exercises.tetris, 35, 10.0, 5, 0.1),
        (exercises.tetris_4x4, 684, 157.730469, 19, 1 / 157.730469),
    ],
)
def test_boards_of_tetris(make: object, n: int, z: float, n_modes: int, mode: float) -> None:
    exercise = make()  # type: ignore[operator]
    states = finished_states(exercise.environment)
    assert len(states) == n
    assert math.exp(exact_log_z(exercise.environment, exercise.log_reward)) == pytest.approx(z)
    target = exercise.log_reward(states).double().softmax(dim=0)
    full = target > target.max() * 0.999
    assert int(full.sum()) == n_modes
    assert float(target.max()) == pytest.approx(mode, rel=1e-6)


@pytest.mark.parametrize(
    ("make", "r0"), [(exercises.hypergrid, 0.1), (exercises.sparse_hypergrid, 1e-3)]
)
def test_hypergrids(make: object, r0: float) -> None:
    exercise = make()  # type: ignore[operator]
    states = finished_states(exercise.environment)
    assert len(states) == 8**4
    assert exercise.is_mode is not None
    modes = exercise.is_mode(states)
    assert int(modes.sum()) == 16
    reward = exercise.log_reward(states).exp()
    torch.testing.assert_close(reward[modes], torch.full((16,), r0 + 2.5))
    # By hand: 4 of 8 coordinates on each axis have the outer reward.
    by_hand = 8**4 * r0 + 4**4 * 0.5 + 2**4 * 2.0
    assert float(reward.double().sum()) == pytest.approx(by_hand, rel=1e-5)


def test_short_sequences_have_the_reward_of_their_tables() -> None:
    exercise = exercises.dna6()
    fields, couplings = exercises.potts_tables(6, 4)
    for key in ("ACGTAC", "TTTTTT"):
        letters = ["ACGT".index(c) for c in key]
        score = sum(float(fields[i, a]) for i, a in enumerate(letters))
        score += sum(float(couplings[i, letters[i], letters[i + 1]]) for i in range(5))
        got = exercise.log_reward(exercise.environment.states([key]))
        assert float(got) == pytest.approx(0.7 * score, rel=1e-5)
    again = exercises.dna6()
    states = finished_states(exercise.environment)
    assert torch.equal(exercise.log_reward(states), again.log_reward(states))
