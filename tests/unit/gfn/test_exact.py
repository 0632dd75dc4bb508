import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon

from mfal.envs.base import Environment
from mfal.envs.fidelity import FidelityEnvironment
from mfal.envs.torus import TorusEnvironment
from mfal.gfn.exact import (
    exact_distribution,
    finished_states,
    jensen_shannon,
    levels,
    total_variation,
)
from mfal.gfn.guided import random_agent
from mfal.gfn.rollout import rollout, ways_back
from tests.unit.envs.exhaust import every_finished
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.enumerated import exact_target
from tests.unit.gfn.problems import agent, dna, ladder, seeded, sharpen


def test_a_tree_gives_the_product_of_its_choices() -> None:
    """In a tree a state's probability is that of its one trajectory."""
    seen = agent(FidelityEnvironment(dna(3), 2))
    states, probabilities = exact_distribution(seen)
    assert len(states) == 4**3 * 2
    assert math.isclose(float(probabilities.sum()), 1.0, rel_tol=1e-12)
    given = ways_back(seen, states, seeded(0))
    found = rollout(seen, seen.start(len(states)), seeded(0), given=given)
    expected = found.total(found.log_pf.detach().double()).exp()
    torch.testing.assert_close(probabilities, expected, rtol=1e-5, atol=0)


def test_a_grid_adds_up_all_ways_to_a_point() -> None:
    environment = GridEnvironment(side=3)
    states, probabilities = exact_distribution(random_agent(environment))
    got = dict(zip(environment.keys(states), probabilities.tolist(), strict=True))
    # 1/3 stops at the source; two ways to (1, 1), each of two steps with chance 1/3, then 1/3.
    assert math.isclose(got["0,0"], 1 / 3, rel_tol=1e-12)
    assert math.isclose(got["1,1"], 2 / 27, rel_tol=1e-12)
    # At (2, 0) only one way up and the stop are left.
    assert math.isclose(got["2,0"], 1 / 18, rel_tol=1e-12)
    assert math.isclose(sum(got.values()), 1.0, rel_tol=1e-12)


def test_exploration_mixes_each_step_with_a_uniform_one() -> None:
    """On a tree: the product of (1 - epsilon) P_F + epsilon / (number of choices)."""
    seen, epsilon = sharpen(agent(FidelityEnvironment(dna(2), 3))), 0.3
    states, mixed = exact_distribution(seen, epsilon=epsilon)
    given = ways_back(seen, states, seeded(0))
    found = rollout(seen, seen.start(len(states)), seeded(0), given=given, with_states=True)
    choices = torch.where(found.times() == 2, 3.0, 4.0).double()
    step = (1 - epsilon) * found.log_pf.detach().double().exp() + epsilon / choices
    torch.testing.assert_close(mixed, found.total(step.log()).exp(), rtol=1e-5, atol=0)
    assert not torch.allclose(mixed, exact_distribution(seen)[1], rtol=0.1)


def test_full_exploration_is_the_uniform_policy() -> None:
    environment = ladder(3)
    explored = exact_distribution(sharpen(agent(environment)), epsilon=1.0)[1]
    uniform = exact_distribution(random_agent(environment))[1]
    torch.testing.assert_close(explored, uniform)


def test_a_context_changes_where_a_policy_goes() -> None:
    seen = sharpen(agent(GridEnvironment(side=3), context_features=2))
    first, second = (
        exact_distribution(seen, context=torch.tensor([values]))[1]
        for values in ([1.0, 0.0], [0.0, 1.0])
    )
    assert math.isclose(float(first.sum()), 1.0, rel_tol=1e-9)
    assert total_variation(first, second) > 0.02


@pytest.mark.parametrize(
    ("environment", "count"), [(ladder(4), 32), (FidelityEnvironment(dna(3), 2), 128)]
)
def test_every_finished_state_is_listed_once(environment: Environment, count: int) -> None:
    states = finished_states(environment)
    assert len(states) == count
    assert torch.equal(states, every_finished(environment))


def test_levels_are_the_states_a_number_of_steps_away() -> None:
    found = [
        {tuple(state) for state in level.tolist()} for level in levels(GridEnvironment(side=2))
    ]
    assert found == [
        {(0, 0, 0)},
        {(0, 0, 1), (0, 1, 0), (1, 0, 0)},
        {(0, 1, 1), (1, 0, 1), (1, 1, 0)},
        {(1, 1, 1)},
    ]


def test_targets_follow_the_order_of_the_states() -> None:
    environment = GridEnvironment(side=3)
    states = finished_states(environment)
    assert torch.equal(states, exact_distribution(random_agent(environment))[0])
    target = exact_target(environment, lambda s: s[:, 0].double().mul(math.log(2)))
    torch.testing.assert_close(target, 2.0 ** states[:, 0].double() / 21)


def test_infinitely_many_states_are_refused() -> None:
    with pytest.raises(TypeError, match="TorusEnvironment cannot be enumerated"):
        exact_distribution(random_agent(TorusEnvironment(steps=2)))


def test_total_variation_is_half_the_distance() -> None:
    first, second = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.5, 0.2, 0.3])
    assert math.isclose(total_variation(first, second), 0.3, rel_tol=1e-6)
    assert total_variation(first, first) == 0.0


def test_jensen_shannon_is_zero_if_equal_and_log_two_if_disjoint() -> None:
    first = torch.tensor([0.5, 0.5, 0.0, 0.0], dtype=torch.float64)
    assert jensen_shannon(first, first) == 0.0
    assert math.isclose(jensen_shannon(first, first.flip(0)), math.log(2), rel_tol=1e-12)


def test_jensen_shannon_is_scipys_distance_squared() -> None:
    generator = seeded(0)
    for zeros in (0, 4):
        first, second = torch.rand(2, 12, dtype=torch.float64, generator=generator)
        first[:zeros] = 0.0
        first, second = first / first.sum(), second / second.sum()
        expected = float(jensenshannon(np.asarray(first), np.asarray(second))) ** 2
        assert math.isclose(jensen_shannon(first, second), expected, rel_tol=1e-9)
        assert math.isclose(jensen_shannon(second, first), expected, rel_tol=1e-9)
