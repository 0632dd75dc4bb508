import math
from itertools import product

import pytest
import torch

from mfal.envs.fidelity import FidelityEnvironment
from mfal.envs.hypergrid import HypergridEnvironment, hypergrid_log_reward, is_mode
from mfal.errors import ConfigError, InvalidKeyError
from mfal.testing import EnvironmentChecks
from tests.unit.envs.exhaust import every_finished


class TestHypergrid(EnvironmentChecks):
    def environment(self) -> HypergridEnvironment:
        return HypergridEnvironment(dimensions=3, side=4)

    def bad_keys(self) -> list[str]:
        return ["0,1", "0,1,2,3", "0,1,4", "0,-1,2", "0,01,2", "0, 1,2", "0,x,2", "0,²,2", ""]


class TestLine(EnvironmentChecks):
    """One dimension of two points: the smallest grid."""

    def environment(self) -> HypergridEnvironment:
        return HypergridEnvironment(dimensions=1, side=2)


class TestHypergridWithFidelities(EnvironmentChecks):
    def environment(self) -> FidelityEnvironment:
        return FidelityEnvironment(HypergridEnvironment(dimensions=2, side=5), 3)


@pytest.fixture
def grid() -> HypergridEnvironment:
    return HypergridEnvironment(dimensions=4, side=8)


def _points(grid: HypergridEnvironment) -> torch.Tensor:
    points = product(range(grid.side), repeat=grid.dimensions)
    return grid.states([",".join(map(str, point)) for point in points])


def test_every_point_of_the_grid_is_reached_once(grid: HypergridEnvironment) -> None:
    found = every_finished(grid)
    assert len(found) == 8**4
    assert torch.equal(found, _points(grid))


def test_a_walk_step_by_step() -> None:
    grid = HypergridEnvironment(dimensions=2, side=3)
    states = grid.initial(1)
    for action, after, allowed in (
        (0, [1, 0, 0], [True, True, True]),
        (0, [2, 0, 0], [False, True, True]),
        (1, [2, 1, 0], [False, True, True]),
        (2, [2, 1, 1], [False, False, False]),
    ):
        states = grid.step(states, torch.tensor([action]))
        assert states.tolist() == [after]
        assert grid.forward_mask(states).tolist() == [allowed]
    assert grid.keys(states) == ["2,1"]
    assert grid.observe(states).tolist() == [[0, 0, 1, 0, 1, 0, 1]]
    assert grid.backward_mask(states).tolist() == [[False, False, True]]


def test_observe_delta_of_a_step_and_of_a_stop() -> None:
    grid = HypergridEnvironment(dimensions=2, side=3)
    columns, changes = grid.observe_delta(
        torch.tensor([[1, 0, 0], [2, 2, 0]]), torch.tensor([1, 2])
    )
    assert columns.tolist() == [[3, 4], [6, 6]]
    assert changes.tolist() == [[-1, 1], [1, 0]]


def test_the_longest_walk_has_max_steps(grid: HypergridEnvironment) -> None:
    assert grid.max_steps == 4 * 7 + 1
    assert (grid.n_actions, grid.n_features) == (5, 33)


@pytest.mark.parametrize(
    ("key", "reward"),
    [
        ("0,0,0,0", 0.6),  # Every |x/7 - .5| is .5: a corner, beyond the ring.
        ("1,1,1,1", 2.6),  # .357: a mode.
        ("6,1,6,1", 2.6),
        ("0,1,6,7", 0.6),  # A corner, not all within the ring.
        ("1,1,1,2", 0.1),  # .214: nothing.
        ("3,4,3,4", 0.1),
    ],
)
def test_log_reward_by_hand(grid: HypergridEnvironment, key: str, reward: float) -> None:
    states = grid.states([key])
    assert hypergrid_log_reward(states, side=8).item() == pytest.approx(math.log(reward))
    assert is_mode(states, side=8).tolist() == [reward > 2]


def test_rewards_of_the_whole_grid(grid: HypergridEnvironment) -> None:
    points = _points(grid)
    rewards, counts = hypergrid_log_reward(points, side=8).exp().unique(return_counts=True)
    assert rewards.tolist() == pytest.approx([0.1, 0.6, 2.6])
    assert counts.tolist() == [4096 - 256, 256 - 16, 16]
    assert int(is_mode(points, side=8).sum()) == 16


def test_reward_constants_are_options(grid: HypergridEnvironment) -> None:
    states = grid.states(["3,3,3,3", "0,0,0,0", "1,1,1,1"])
    log_reward = hypergrid_log_reward(states, side=8, r0=0.001, r1=1.0, r2=3.0)
    assert log_reward.exp().tolist() == pytest.approx([0.001, 1.001, 4.001])


def test_points_on_a_border_of_the_reward_are_outside() -> None:
    # At side 11, |x/10 - .5| of x = 1 and 2 is exactly .4 and .3; at side 5, of x = 1 exactly .25.
    line = HypergridEnvironment(dimensions=1, side=11)
    assert not is_mode(line.states(["1", "2", "8", "9"]), side=11).any()
    small = HypergridEnvironment(dimensions=1, side=5).states(["0", "1"])
    assert hypergrid_log_reward(small, side=5).exp().tolist() == pytest.approx([0.6, 0.1])


def test_a_reward_of_zero_is_refused(grid: HypergridEnvironment) -> None:
    with pytest.raises(ConfigError, match="r0 is 0"):
        hypergrid_log_reward(grid.states(["0,0,0,0"]), side=8, r0=0.0)


def test_error_names_the_coordinate_and_its_position(grid: HypergridEnvironment) -> None:
    with pytest.raises(InvalidKeyError, match=r"'0,8,1,1'.*'8' at position 2[\s\S]*0 to 7"):
        grid.states(["0,0,0,0", "0,8,1,1"])


def test_error_names_the_wrong_dimensions(grid: HypergridEnvironment) -> None:
    with pytest.raises(InvalidKeyError, match=r"'0,8' has 2 coordinates[\s\S]*4 dimensions"):
        grid.states(["0,8"])


@pytest.mark.parametrize(("dimensions", "side"), [(0, 8), (4, 1), (-1, -1)])
def test_an_empty_grid_is_refused(dimensions: int, side: int) -> None:
    with pytest.raises(ConfigError):
        HypergridEnvironment(dimensions=dimensions, side=side)


def test_mutants_are_few_steps_or_one_redraw(grid: HypergridEnvironment) -> None:
    generator = torch.Generator().manual_seed(1)
    parents = grid.states(["0,3,7,5"]).expand(2000, -1)
    mutants = grid.mutate(parents, generator)
    change = (mutants - parents).abs()[:, :-1]
    changed = (change > 0).sum(dim=1)
    assert set(changed.tolist()) == {1, 2, 3}
    redrawn = (change > 1).any(dim=1)
    assert 0.1 < redrawn.double().mean() < 0.3
    assert (changed[redrawn] == 1).all()
    reached = {tuple(point) for point in mutants[changed == 1].tolist()}
    assert len(reached) == 4 * 7  # One coordinate to any other value.


def test_crossover_takes_each_coordinate_from_a_parent(grid: HypergridEnvironment) -> None:
    generator = torch.Generator().manual_seed(2)
    first = grid.states(["0,1,2,3"]).expand(500, -1)
    second = grid.states(["7,6,5,4"]).expand(500, -1)
    children = grid.crossover(first, second, generator)
    assert ((children == first) | (children == second)).all()
    assert len(children.unique(dim=0)) == 2**4
