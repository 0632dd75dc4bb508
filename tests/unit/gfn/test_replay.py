import pytest
import torch

from mfal.gfn.replay import ReplayBuffer


def _rows(*numbers: int) -> tuple[list[str], torch.Tensor, torch.Tensor]:
    """Queries named after numbers, whose log reward is the number modulo 100."""
    values = torch.tensor(numbers)
    return [f"q{n}" for n in numbers], values[:, None], (values % 100).float()


def test_queries_are_held_once() -> None:
    buffer = ReplayBuffer(50)
    assert buffer.add(*_rows(1, 2, 1, 3)) == 3
    assert buffer.add(*_rows(3, 4)) == 1
    assert len(buffer) == 4
    assert buffer.states[:, 0].tolist() == [1, 2, 3, 4]
    assert buffer.log_rewards.tolist() == [1, 2, 3, 4]
    assert "q4" in buffer and "q5" not in buffer


def test_best_comes_first() -> None:
    buffer = ReplayBuffer(50)
    buffer.add(*_rows(5, 9, 1, 7))
    states, log_rewards = buffer.best(3)
    assert states[:, 0].tolist() == [9, 7, 5] and log_rewards.tolist() == [9, 7, 5]
    assert buffer.best(10)[0].shape == (4, 1)


def test_draws_are_uniform_and_keep_rewards_with_states() -> None:
    buffer = ReplayBuffer(50)
    buffer.add(*_rows(5, 9, 1, 7))
    states, log_rewards = buffer.uniform(4000, torch.Generator().manual_seed(0))
    assert torch.equal(states[:, 0].float(), log_rewards)
    counts = torch.bincount(states[:, 0], minlength=10)[[5, 9, 1, 7]]
    assert (counts - 1000).abs().max() < 4 * (4000 * 0.25 * 0.75) ** 0.5


def test_a_full_buffer_forgets_the_oldest_but_never_the_best() -> None:
    buffer = ReplayBuffer(40)
    buffer.add(*_rows(99, 98, 97, 96))
    for start in range(100, 1000, 10):
        buffer.add(*_rows(*[start + i for i in range(9)]))
        assert len(buffer) <= 40
        assert len(set(buffer.states[:, 0].tolist())) == len(buffer) == len(buffer.log_rewards)
        assert torch.equal(buffer.log_rewards, (buffer.states[:, 0] % 100).float())
    assert "q98" in buffer or buffer.best(4)[1].min() >= 98
    assert buffer.best(4)[1].tolist() == [99, 98, 98, 98]
    assert all(f"q{n}" in buffer for n in range(990, 999))
    assert "q100" not in buffer


def test_what_was_forgotten_may_come_back() -> None:
    buffer = ReplayBuffer(8)
    buffer.add(*_rows(*range(1, 21)))
    assert "q1" not in buffer and len(buffer) <= 8
    assert buffer.add(*_rows(1)) == 1


def test_an_empty_buffer_says_so() -> None:
    with pytest.raises(IndexError, match="empty"):
        _ = ReplayBuffer(8).states
