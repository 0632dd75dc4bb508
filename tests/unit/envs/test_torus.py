import math

import pytest
import torch
from torch import Generator

from mfal.envs.base import Environment
from mfal.envs.torus import TorusEnvironment, torus_log_reward
from mfal.envs.vonmises import target_mixture
from mfal.errors import ConfigError, InvalidKeyError
from tests.unit.envs.angles import TorusChecks


class TestTorus(TorusChecks):
    def environment(self) -> TorusEnvironment:
        return TorusEnvironment(steps=4)

    def bad_keys(self) -> list[str]:
        bad = ["", "0.5", "0.5 0.5 0.5", "0.5,0.5", "0.5  0.5", "nan 0.0", "inf 0.0", "1e300 0.0"]
        return [*bad, "3.1415927 0.0", "0.0 -3.1415927", "0.50 0.5", "-0.0 0.5", "x 0.0"]


class TestCircle(TorusChecks):
    def environment(self) -> TorusEnvironment:
        return TorusEnvironment(steps=1, components=1, dimensions=1, max_concentration=5.0)


class TestSevenAngles(TorusChecks):
    def environment(self) -> TorusEnvironment:
        return TorusEnvironment(steps=3, components=2, dimensions=7, harmonics=1)


def test_it_is_no_discrete_environment() -> None:
    assert not isinstance(TorusEnvironment(steps=2), Environment)


def test_every_trajectory_has_the_given_number_of_turns() -> None:
    torus = TorusEnvironment(steps=3)
    states = torus.initial(5)
    for _ in range(3):
        assert not torus.finished(states).any()
        states = torus.step(states, torch.ones(5, 2))
    assert torus.finished(states).all()
    assert torch.allclose(states[:, :2], torch.tensor(3.0))


def test_the_last_step_back_is_certain_and_exact() -> None:
    torus, generator = TorusEnvironment(steps=3), Generator().manual_seed(0)
    states = torus.step(torus.initial(64), 3 * torch.randn(64, 2, generator=generator))
    outputs = torch.randn(64, torus.n_backward, generator=generator)
    for actions in (torus.backward_actions(states, o) for o in (None, outputs)):
        drawn = actions.draw(generator, epsilon=0.5)
        assert torch.equal(drawn, states[:, :2])
        assert (actions.log_prob(drawn) == 0).all()
        assert torch.equal(torus.undo(states, drawn), torus.initial(64))


def test_the_fixed_way_back_is_uniform() -> None:
    torus = TorusEnvironment(steps=5, dimensions=3)
    states = torch.tensor([[0.1, 0.2, 0.3, 2.0]])
    fixed = torus.backward_actions(states, None)
    log_prob = fixed.log_prob(torch.ones(1, 3))
    assert log_prob.item() == pytest.approx(-3 * math.log(2 * math.pi))


def test_epsilon_mixes_in_uniform_turns() -> None:
    torus, n = TorusEnvironment(steps=2, components=1, max_concentration=400.0), 20_000
    # One narrow peak at 0: a turn beyond 1 radian in both angles can only be a stray one.
    outputs = torch.tensor([[0.0] + 2 * [-torus._lattice[0, 0].item()] + 2 * [40.0]])
    actions = torus.forward_actions(torus.initial(n), outputs.expand(n, -1))
    drawn = actions.draw(Generator().manual_seed(5), epsilon=0.3)
    far = (drawn.abs() > 1).all(dim=1).double().mean().item()
    expected = 0.3 * (1 - 1 / math.pi) ** 2
    assert far == pytest.approx(expected, abs=4 * math.sqrt(expected / n))
    assert not (actions.draw(Generator().manual_seed(5)).abs() > 1).any()


def test_densities_of_turns_integrate_to_one() -> None:
    torus = TorusEnvironment(steps=2, max_concentration=50.0)
    outputs = torch.randn(1, torus.n_forward, generator=Generator().manual_seed(1)).double()
    grid = torch.arange(128, dtype=torch.float64) * (2 * math.pi / 128) - math.pi
    points = torch.cartesian_prod(grid, grid)
    states = torus.initial(1).expand(len(points), -1)
    outputs = 3 * outputs.expand(len(points), -1)
    density = torus.forward_actions(states, outputs).log_prob(points).exp()
    assert density.mean().item() * (2 * math.pi) ** 2 == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("size", [1.0, 100.0, 1e4])
def test_gradients_are_finite_for_large_outputs(size: float) -> None:
    torus = TorusEnvironment(steps=2, max_concentration=1e5)
    generator = Generator().manual_seed(2)
    outputs = (size * torch.randn(256, torus.n_forward, generator=generator)).requires_grad_()
    actions = torus.forward_actions(torus.initial(256), outputs)
    log_prob = actions.log_prob(actions.draw(generator, epsilon=0.5))
    assert log_prob.isfinite().all()
    (gradient,) = torch.autograd.grad(log_prob.sum(), outputs)
    assert gradient.isfinite().all()


def test_outputs_of_zero_look_everywhere() -> None:
    torus = TorusEnvironment(steps=2)
    mixture = torus.forward_actions(torus.initial(1), torch.zeros(1, torus.n_forward)).mixture
    assert mixture is not None
    assert torch.allclose(mixture.concentrations, torch.ones(1, 5, 2))
    means = mixture.means[0].remainder(2 * math.pi)
    for column in means.T:
        assert torch.allclose(column.sort().values, torch.arange(5) / 5 * 2 * math.pi, atol=1e-5)


def test_the_first_turn_reaches_the_extremes_of_the_torus() -> None:
    torus = TorusEnvironment(steps=1)
    edge = torch.tensor([[math.pi, -math.pi], [100 * math.pi, 3.1415925]])
    states = torus.step(torus.initial(2), edge)
    assert (states[:, :2].double() >= -math.pi).all()
    assert (states[:, :2].double() < math.pi).all()
    assert torch.equal(torus.states(torus.keys(states)), states)


def test_keys_are_short_and_exact() -> None:
    torus = TorusEnvironment(steps=2)
    states = torch.tensor([[0.1, -1.5, 2.0], [1e-7, -0.0, 2.0]])
    assert torus.keys(states) == ["0.1 -1.5", "1e-07 0.0"]
    many = torch.rand(5000, 2, generator=Generator().manual_seed(3)) * 6.28 - 3.14
    states = torch.cat([many, torch.full((5000, 1), 2.0)], dim=1)
    assert torch.equal(torus.states(torus.keys(states)), states)


@pytest.mark.parametrize(
    ("key", "match"),
    [
        ("0.5", "'0.5' has 1 angles[\\s\\S]*has 2"),
        ("0.5 4.0", "'0.5 4.0' leave"),
        ("0.5 a", "'0.5 a': could not convert string to float: 'a'"),
        ("0.5 1.00", "'0.5 1.00' are not in canonical form[\\s\\S]*'0.5 1.0'"),
    ],
)
def test_errors_say_what_is_wrong_with_a_key(key: str, match: str) -> None:
    with pytest.raises(InvalidKeyError, match=match):
        TorusEnvironment(steps=2).states(["0.5 0.5", key])


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0},
        {"steps": 2, "components": 0},
        {"steps": 2, "dimensions": 0},
        {"steps": 2, "max_concentration": 1.0},
        {"steps": 2, "max_concentration": math.inf},
    ],
)
def test_bad_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        TorusEnvironment(**options)


def test_the_reward_has_a_known_integral() -> None:
    target = target_mixture([2.0, 0.5], [[0.0, 3.0], [1.0, -1.0]], [[4.0, 2.0], [10.0, 0.0]])
    grid = torch.arange(96) * (2 * math.pi / 96) - math.pi
    states = torch.nn.functional.pad(torch.cartesian_prod(grid, grid), (0, 1), value=3.0)
    total = torus_log_reward(states, target).double().exp().mean() * (2 * math.pi) ** 2
    assert total.item() == pytest.approx(2.5, rel=1e-5)
    assert target.log_total().item() == pytest.approx(math.log(2.5))


@pytest.mark.parametrize("learnt", [False, True])
def test_weighted_trajectories_average_to_the_integral(learnt: bool) -> None:
    """The weight of a trajectory is reward times its way back over its way forward."""
    torus, n, generator = TorusEnvironment(steps=3), 40_000, Generator().manual_seed(8)
    target = target_mixture([2.0, 0.5], [[0.0, 3.0], [1.0, -1.0]], [[1.0, 0.5], [2.0, 0.0]])
    states, log_weight = torus.initial(n), torch.zeros(n)
    for _ in range(torus.steps):
        outputs = 0.5 * torch.randn(torus.n_forward, generator=generator).expand(n, -1)
        forward = torus.forward_actions(states, outputs)
        turns = forward.draw(generator)
        states = torus.step(states, turns)
        back = torus.backward_actions(states, outputs.flip(1) if learnt else None)
        log_weight += back.log_prob(turns) - forward.log_prob(turns)
    weight = (log_weight + torus_log_reward(states, target)).double().exp()
    error = weight.std().item() / math.sqrt(n)
    assert error < 0.05
    assert weight.mean().item() == pytest.approx(2.5, abs=4 * error)
