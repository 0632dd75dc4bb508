from itertools import permutations

import pytest
import torch
from torch import Tensor

from mfal.envs.fidelity import FidelityEnvironment
from mfal.gfn.agent import Agent
from mfal.gfn.exact import exact_distribution, finished_states
from mfal.gfn.guided import random_agent
from mfal.gfn.rollout import Given, rollout, ways_back
from mfal.gfn.trajectories import Trajectories
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.definitions import (
    ENVIRONMENTS,
    MERGING,
    assert_drawn_from,
    environment_of,
    log_pb_by_definition,
    log_pf_by_definition,
)
from tests.unit.gfn.problems import agent, dna, ladder, seeded, sharpen

TREES = sorted(set(ENVIRONMENTS) - set(MERGING))


def follow(seen: Agent, final: Tensor, seed: int = 0) -> Trajectories:
    """Rollout along ways to these states."""
    given = ways_back(seen, final, seeded(seed))
    return rollout(seen, seen.start(len(final)), seeded(seed + 1), given=given, with_states=True)


def some_finished(seen: Agent, n: int = 30) -> Tensor:
    states = finished_states(environment_of(seen))
    return states[torch.randint(len(states), (n,), generator=seeded(9))]


@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("learnt_backward", [False, True])
def test_ways_lead_to_the_wanted_states_and_are_rated(name: str, learnt_backward: bool) -> None:
    seen = sharpen(agent(ENVIRONMENTS[name], learnt_backward=learnt_backward))
    final = some_finished(seen)
    found = follow(seen, final)
    assert torch.equal(found.final, final)
    for got, expected in (
        (found.log_pf, log_pf_by_definition(seen, found)),
        (found.log_pb, log_pb_by_definition(seen, found)),
    ):
        torch.testing.assert_close(got.detach(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", MERGING)
@pytest.mark.parametrize("learnt_backward", [False, True])
def test_drawn_trajectories_are_rated_backwards(name: str, learnt_backward: bool) -> None:
    seen = sharpen(agent(ENVIRONMENTS[name], learnt_backward=learnt_backward))
    found = rollout(seen, seen.start(30), seeded(0), epsilon=0.5)
    expected = log_pb_by_definition(seen, found)
    assert expected.min() < -0.5
    torch.testing.assert_close(found.log_pb.detach(), expected, rtol=0, atol=1e-5)
    assert found.log_pb.requires_grad == learnt_backward


@pytest.mark.parametrize("name", TREES)
def test_one_way_back_has_the_probability_one(name: str) -> None:
    """Whatever a backward head says, and by schedule as well as step by step."""
    for learnt_backward in (False, True):
        seen = agent(ENVIRONMENTS[name], learnt_backward=learnt_backward)
        found = rollout(seen, seen.start(20), seeded(0))
        assert not found.log_pb.any() and len(found.log_pb) == len(found.log_pf)


class Walked(FidelityEnvironment):
    """Hides that there is one way back, and that time alone decides."""

    retrace = None  # type: ignore[assignment]
    schedule = None  # type: ignore[assignment]


@pytest.mark.parametrize("inner", ["sequences", "peptides"])
def test_retracing_is_walking_back(inner: str) -> None:
    """A tree has one way back, which the walk must find as well."""
    tree = ENVIRONMENTS[f"{inner} at fidelities"]
    assert isinstance(tree, FidelityEnvironment)
    walked = Walked(tree.environment, tree.n_fidelities)
    final = some_finished(random_agent(tree))
    ways = [ways_back(random_agent(one), final, seeded(0)) for one in (tree, walked)]
    assert torch.equal(ways[0].known, ways[1].known)
    known = ways[0].known
    assert torch.equal(ways[0].actions[known], ways[1].actions[known])


def test_uniform_backward_log_probabilities_count_the_ways() -> None:
    environment = GridEnvironment(side=4)
    final = environment.states(["2,1", "0,3", "0,0"])
    found = follow(random_agent(environment), final)
    assert found.states is not None
    ways = (environment.step(found.states, found.actions)[:, :2] > 0).sum(dim=1).double()
    expected = torch.where(found.actions == 2, 0.0, -ways.log())
    torch.testing.assert_close(found.log_pb.double(), expected)
    # Along an edge of the grid there is one way back only.
    assert found.total(found.log_pb)[1:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("learnt_backward", [False, True])
def test_ways_are_drawn_by_the_backward_policy(learnt_backward: bool) -> None:
    """All ten ways to the point (3, 2), against the products of their probabilities."""
    environment = GridEnvironment(side=5)
    seen = sharpen(agent(environment, learnt_backward=learnt_backward))
    ways = torch.tensor([[*way, 2] for way in sorted(set(permutations([0, 0, 0, 1, 1])))])
    given = Given(ways.T, torch.ones_like(ways.T, dtype=torch.bool))
    along = rollout(seen, seen.start(len(ways)), seeded(0), given=given)
    probabilities = along.total(log_pb_by_definition(seen, along)).double().exp()
    torch.testing.assert_close(probabilities.sum(), torch.tensor(1.0, dtype=torch.float64))
    drawn = ways_back(seen, environment.states(["3,2"] * 20_000), seeded(7))
    assert drawn.known.all()
    assert_drawn_from(drawn.actions.T, ways, probabilities)


def test_ways_of_unequal_length_stand_at_their_own_times() -> None:
    environment = GridEnvironment(side=4)
    final = environment.states(["0,0", "3,0", "0,1"])
    given = ways_back(random_agent(environment), final, seeded(0))
    assert given.known.T.tolist() == [
        [True, False, False, False],
        [True, True, True, True],
        [True, True, False, False],
    ]
    rows = [given.actions[given.known[:, i], i].tolist() for i in range(3)]
    assert rows == [[2], [0, 0, 0, 2], [1, 2]]


@pytest.mark.parametrize("name", ["sequences at fidelities", "grid at fidelities"])
def test_fresh_rows_come_before_given_ones(name: str) -> None:
    seen, n_fresh = sharpen(agent(ENVIRONMENTS[name], seed=2)), 20_000
    final = some_finished(seen, 200)
    given = ways_back(seen, final, seeded(1)).after_free(n_fresh)
    assert not given.known[:, :n_fresh].any()
    with torch.no_grad():
        found = rollout(seen, seen.start(n_fresh + 200), seeded(2), given=given)
    assert torch.equal(found.final[n_fresh:], final)
    assert_drawn_from(found.final[:n_fresh], *exact_distribution(seen))


def test_a_given_beginning_is_finished_by_the_policy() -> None:
    seen = agent(FidelityEnvironment(dna(4), 3))
    given = ways_back(seen, some_finished(seen, 200), seeded(0))
    known = given.known.clone()
    known[2:] = False
    found = rollout(seen, seen.start(200), seeded(1), given=Given(given.actions, known))
    assert torch.equal(found.final[:, :2], given.actions[:2].T)
    assert (found.final[:, 2] != given.actions[2]).double().mean() > 0.5


def test_ways_back_carry_no_gradients_and_leave_the_global_generator_alone() -> None:
    seen, state = agent(ladder(4), learnt_backward=True), torch.get_rng_state()
    first, again, other = (ways_back(seen, some_finished(seen), seeded(i)) for i in (0, 0, 1))
    assert torch.equal(first.actions, again.actions)
    assert not torch.equal(first.actions, other.actions)
    assert torch.equal(torch.get_rng_state(), state)
