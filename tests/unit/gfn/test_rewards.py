from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from mfal.envs.fidelity import FidelityEnvironment
from mfal.gfn.rewards import RewardError, Rewards
from tests.unit.gfn.problems import dna

ENVIRONMENT = FidelityEnvironment(dna(2), 2)


class Counting:
    """Log reward: index of the letters, and ten more at the second fidelity."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, keys: Sequence[str]) -> Tensor:
        self.asked += keys
        states = dna(2).states(keys).double()
        low = 4 * states[:, 0] + states[:, 1]
        return torch.stack([low, low + 10], dim=1)


def test_each_candidate_is_asked_for_once() -> None:
    log_reward = Counting()
    rewards = Rewards(ENVIRONMENT, log_reward)
    rewards.ladder(["AC", "GT", "AC"])
    got = rewards(ENVIRONMENT.states(["GT", "TT", "GT", "AC"], [0, 1, 1, 0]))
    assert log_reward.asked == ["AC", "GT", "TT"]
    assert got.tolist() == [11.0, 25.0, 21.0, 1.0]
    assert len(rewards) == 3


def test_the_best_of_all_fidelities_come_first() -> None:
    rewards = Rewards(ENVIRONMENT, Counting())
    assert rewards.best(3) == []
    rewards.ladder(["AC", "TT", "AG"])
    assert rewards.best(4) == [("TT", 1), ("TT", 0), ("AG", 1), ("AC", 1)]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_reward_that_is_no_number_names_the_candidate(bad: float) -> None:
    def log_reward(keys: Sequence[str]) -> Tensor:
        return torch.tensor([[0.0, bad if key == "GT" else 1.0] for key in keys])

    with pytest.raises(RewardError, match="'GT'"):
        Rewards(ENVIRONMENT, log_reward).ladder(["AC", "GT"])


def test_a_reward_of_another_shape_is_refused() -> None:
    with pytest.raises(RewardError, match=r"2 candidates at 2 fidelities has the shape \(2,\)"):
        Rewards(ENVIRONMENT, lambda keys: torch.zeros(len(keys))).ladder(["AC", "GT"])


def test_those_that_differ_are_found_behind_many_that_are_alike() -> None:
    rewards = Rewards(ENVIRONMENT, Counting())
    # TT is the best; TG, TC and TA share its first letter, and so do not differ in all places.
    rewards.ladder(["TT", "TG", "TC", "TA", "GG", "AA"])
    assert rewards.best_apart(2, 0.75) == [("TT", 1), ("GG", 1)]
