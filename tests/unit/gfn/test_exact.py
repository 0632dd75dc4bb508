import math

import torch

from mfal.envs.fidelity import FidelityEnvironment
from mfal.gfn.exact import (
    exact_distribution,
    exact_target,
    finished_states,
    total_variation,
)
from mfal.gfn.policy import UniformPolicy
from mfal.gfn.rollout import sample_backward
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.problems import dna, mlp


def test_a_tree_gives_the_product_of_its_choices() -> None:
    """In a tree a state's probability is that of its one trajectory."""
    environment = FidelityEnvironment(dna(3), 2)
    policy = mlp(environment)
    states, probabilities = exact_distribution(environment, policy)
    assert len(states) == 4**3 * 2
    assert math.isclose(float(probabilities.sum()), 1.0, rel_tol=1e-12)
    batch = sample_backward(environment, policy, states, torch.Generator().manual_seed(0))
    expected = batch.total(batch.log_pf.detach().double()).exp()
    torch.testing.assert_close(probabilities, expected, rtol=1e-5, atol=0)


def test_a_grid_adds_up_all_ways_to_a_point() -> None:
    environment = GridEnvironment(side=3)
    states, probabilities = exact_distribution(environment, UniformPolicy(3))
    got = dict(zip(environment.keys(states), probabilities.tolist(), strict=True))
    # 1/3 stops at the source; two ways to (1, 1), each of two steps with chance 1/3, then 1/3.
    assert math.isclose(got["0,0"], 1 / 3, rel_tol=1e-12)
    assert math.isclose(got["1,1"], 2 / 27, rel_tol=1e-12)
    # At (2, 0) only one way up and the stop are left.
    assert math.isclose(got["2,0"], 1 / 18, rel_tol=1e-12)
    assert math.isclose(sum(got.values()), 1.0, rel_tol=1e-12)


def test_targets_follow_the_order_of_the_states() -> None:
    environment = GridEnvironment(side=3)
    states = finished_states(environment)
    assert torch.equal(states, exact_distribution(environment, UniformPolicy(3))[0])
    target = exact_target(environment, lambda s: s[:, 0].double().mul(math.log(2)))
    torch.testing.assert_close(target, 2.0 ** states[:, 0].double() / 21)


def test_total_variation_is_half_the_distance() -> None:
    first, second = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.5, 0.2, 0.3])
    assert math.isclose(total_variation(first, second), 0.3, rel_tol=1e-6)
    assert total_variation(first, first) == 0.0
