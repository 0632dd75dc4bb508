import math

import pytest
import torch
from torch import Tensor

from mfal.gfn.replay import TOP, ReplayBuffer, ReplayName
from tests.unit.gfn.problems import seeded


def rows(*numbers: int) -> tuple[Tensor, Tensor]:
    """States made of numbers, whose log reward is the number modulo 100."""
    values = torch.tensor(numbers)
    return torch.stack([values, -values], dim=1), (values % 100).float()


def held(buffer: ReplayBuffer) -> list[int]:
    return buffer.states[:, 0].tolist()


def filled(n: int, capacity: int = 50) -> ReplayBuffer:
    buffer = ReplayBuffer(capacity)
    buffer.add(*rows(*torch.randperm(n, generator=seeded(0)).tolist()))
    return buffer


def shares(buffer: ReplayBuffer, name: ReplayName, n: int) -> Tensor:
    """How often each log reward, from the highest down, is drawn."""
    states, log_rewards = buffer.draw(name, n, seeded(0))
    assert torch.equal((states[:, 0] % 100).float(), log_rewards)
    counts = torch.bincount(log_rewards.long(), minlength=len(buffer)).double()
    return counts.flip(0) / n


def test_states_are_held_once() -> None:
    buffer = ReplayBuffer(50)
    assert buffer.add(*rows(1, 2, 1, 3)) == 3
    assert buffer.add(*rows(3, 4)) == 1
    assert len(buffer) == 4
    assert held(buffer) == [1, 2, 3, 4]
    assert buffer.log_rewards.tolist() == [1, 2, 3, 4]


def test_of_a_state_that_comes_again_the_first_reward_counts() -> None:
    buffer, (states, _) = ReplayBuffer(50), rows(1, 1)
    buffer.add(states, torch.tensor([5.0, 6.0]))
    buffer.add(states, torch.tensor([7.0, 8.0]))
    assert buffer.log_rewards.tolist() == [5.0]


def test_states_of_real_numbers_are_told_apart() -> None:
    states = torch.tensor([[0.1, 0.2], [0.1, 0.2], [0.1, 0.2000001]])
    buffer = ReplayBuffer(8)
    assert buffer.add(states, torch.zeros(3)) == 2
    assert torch.equal(buffer.states, states[1:])


def test_nothing_may_be_added() -> None:
    buffer = ReplayBuffer(8)
    assert buffer.add(torch.zeros(0, 2, dtype=torch.long), torch.zeros(0)) == 0
    assert len(buffer) == 0


def test_best_comes_first() -> None:
    buffer = ReplayBuffer(50)
    buffer.add(*rows(5, 9, 1, 7))
    states, log_rewards = buffer.best(3)
    assert states[:, 0].tolist() == [9, 7, 5] and log_rewards.tolist() == [9, 7, 5]
    assert buffer.best(10)[0].shape == (4, 2)


def test_uniform_draws_prefer_nothing() -> None:
    found = shares(filled(40), "uniform", 40_000)
    spread = math.sqrt(1 / 40 * 39 / 40 / 40_000)
    assert (found - 1 / 40).abs().max() < 4 * spread


def test_prioritised_draws_take_half_from_the_top_tenth() -> None:
    """Of 40 states the best 4 share one half and the other 36 the other."""
    assert TOP == 0.1
    found = shares(filled(40), "prioritised", 40_000)
    assert float(found[:4].sum()) == 0.5
    best, rest = 0.5 / 4, 0.5 / 36
    assert (found[:4] - best).abs().max() < 4 * math.sqrt(best / 40_000)
    assert (found[4:] - rest).abs().max() < 4 * math.sqrt(rest / 40_000)


def test_prioritised_draws_of_few_states_have_a_best_one() -> None:
    found = shares(filled(3), "prioritised", 3000)
    assert float(found[0]) == 0.5 and found.min() > 0.2
    buffer = ReplayBuffer(8)
    buffer.add(*rows(7))
    assert buffer.draw("prioritised", 3, seeded(0))[1].tolist() == [7.0] * 3


@pytest.mark.parametrize("name", ["uniform", "prioritised"])
def test_draws_depend_on_their_generator_alone(name: ReplayName) -> None:
    buffer, state = filled(40), torch.get_rng_state()
    first, again, other = (buffer.draw(name, 20, seeded(i))[0] for i in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_full_buffer_forgets_the_oldest_but_never_the_best() -> None:
    buffer = ReplayBuffer(40)
    buffer.add(*rows(99, 98, 97, 96))
    for start in range(100, 1000, 10):
        buffer.add(*rows(*[start + i for i in range(9)]))
        assert 30 <= len(buffer) <= 40 or start < 140
        assert len(set(held(buffer))) == len(buffer) == len(buffer.log_rewards)
        assert torch.equal(buffer.log_rewards, (buffer.states[:, 0] % 100).float())
    # 98 is the log reward of 98, 198, ...; the first of equals counts as the best.
    assert buffer.best(4)[1].tolist() == [99, 98, 98, 98]
    assert held(buffer)[:2] == [99, 98]
    assert held(buffer)[-9:] == list(range(990, 999))
    assert 100 not in held(buffer)


def test_more_than_fits_may_come_at_once() -> None:
    buffer = ReplayBuffer(20)
    assert buffer.add(*rows(*range(1, 101))) == 100
    assert len(buffer) <= 20 and held(buffer)[-5:] == [96, 97, 98, 99, 100]
    assert buffer.best(1)[1].tolist() == [99.0]


def test_what_was_forgotten_may_come_back() -> None:
    buffer = ReplayBuffer(8)
    buffer.add(*rows(*range(1, 21)))
    assert 1 not in held(buffer) and len(buffer) <= 8
    assert buffer.add(*rows(1)) == 1
    assert held(buffer)[-1] == 1


def test_a_restored_buffer_goes_on_as_the_one_that_was_kept() -> None:
    kept, restored = filled(90), ReplayBuffer(50)
    restored.add(*rows(500, 501))
    restored.restore(kept.state(), "cpu")
    assert held(restored) == held(kept)
    assert torch.equal(restored.log_rewards, kept.log_rewards)
    for buffer in (kept, restored):
        assert buffer.add(*rows(*held(kept)[:3])) == 0
        buffer.add(*rows(*range(200, 240)))
    assert held(restored) == held(kept)
    drawn = [buffer.draw("prioritised", 30, seeded(1))[0] for buffer in (kept, restored)]
    assert torch.equal(drawn[0], drawn[1])


def test_what_a_checkpoint_keeps_does_not_change_later() -> None:
    buffer = filled(10)
    state, before = buffer.state(), held(buffer)
    buffer.add(*rows(*range(200, 300)))
    assert state["states"][:, 0].tolist() == before


def test_an_empty_buffer_restores_as_empty() -> None:
    buffer = filled(10)
    buffer.restore(ReplayBuffer(50).state(), "cpu")
    assert len(buffer) == 0
    with pytest.raises(IndexError, match="empty"):
        _ = buffer.states
    assert buffer.add(*rows(3)) == 1


def test_an_empty_buffer_says_so() -> None:
    with pytest.raises(IndexError, match="empty"):
        _ = ReplayBuffer(8).states
