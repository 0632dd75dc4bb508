from typing import Any

import pytest
import torch
from torch import Tensor

from mfal.envs.hypergrid import HypergridEnvironment
from mfal.envs.torus import TorusEnvironment
from mfal.errors import ConfigError
from mfal.gfn.agent import Agent
from mfal.gfn.heads import make_heads
from mfal.gfn.policy import MLPPolicy, PolicySettings, UniformPolicy, make_policy
from mfal.gfn.recurrent import RecurrentPolicy
from mfal.gfn.rollout import rollout, ways_back
from mfal.gfn.walk import ModuleWalk, pays_to_follow, start_walk
from tests.unit.gfn.definitions import (
    ENVIRONMENTS,
    assert_same_gradients,
    assert_walks_as_it_looks,
    gradients,
)
from tests.unit.gfn.problems import Opaque, agent, opaque, seeded

FOLLOWED = ["sequences at fidelities", "peptides at fidelities", "hypergrid", "tetris"]
DNA = ENVIRONMENTS["sequences at fidelities"]


@pytest.fixture(params=["followed", "looked at"])
def _first_layer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MLPPolicy, "narrow", 0 if request.param == "followed" else 10_000)


@pytest.mark.usefixtures("_first_layer")
@pytest.mark.parametrize("name", [*FOLLOWED, "grid at fidelities"])
@pytest.mark.parametrize("all_heads", [False, True])
def test_a_rollout_has_the_gradients_of_the_plain_network(name: str, all_heads: bool) -> None:
    seen = agent(ENVIRONMENTS[name], learnt_backward=all_heads, flow=all_heads)
    assert_same_gradients(gradients(seen, 40), gradients(opaque(seen), 40))


@pytest.mark.usefixtures("_first_layer")
@pytest.mark.parametrize("layers", [1, 3])
def test_any_number_of_layers_has_the_gradients_of_the_plain_network(layers: int) -> None:
    seen = agent(ENVIRONMENTS["tetris"], hidden=16, layers=layers, learnt_backward=True)
    assert len(list(seen.policy.parameters())) == 2 * layers + 2
    assert_same_gradients(gradients(seen, 40), gradients(opaque(seen), 40))


@pytest.mark.usefixtures("_first_layer")
def test_gradients_with_a_context_are_those_of_the_plain_network() -> None:
    seen = agent(ENVIRONMENTS["hypergrid"], learnt_backward=True, context_features=2)
    context = torch.rand(100, 2, generator=seeded(0))
    expected = gradients(opaque(seen), 100, context)
    assert_same_gradients(gradients(seen, 100, context), expected)


class Watched(HypergridEnvironment):
    """Counts the states that are looked at."""

    def __init__(self) -> None:
        super().__init__(dimensions=4, side=8)
        self.looked_at: list[int] = []

    def observe(self, states: Tensor) -> Tensor:
        self.looked_at.append(len(states))
        return super().observe(states)


def test_a_state_in_which_several_rows_stand_is_looked_at_once() -> None:
    environment = Watched()
    seen = agent(environment)
    found = rollout(seen, seen.start(200), seeded(0), epsilon=1.0)
    assert found.states is not None
    at_each_time = found.states.split(found.times().bincount().tolist())
    first, *looked_at = environment.looked_at
    assert first == 200  # what the walk is begun with
    assert looked_at[:4] == [len(states.unique(dim=0)) for states in at_each_time[:4]]
    assert looked_at[0] == 1 and sum(looked_at) < 0.8 * len(found.rows)


@pytest.mark.usefixtures("_first_layer")
@pytest.mark.parametrize("name", FOLLOWED)
def test_large_batches_have_the_gradients_of_the_plain_network(name: str) -> None:
    """Several chunks that fit the cache, and products by other kernels."""
    seen = agent(ENVIRONMENTS[name], hidden=128, learnt_backward=True, flow=True)
    assert_same_gradients(gradients(seen, 700), gradients(opaque(seen), 700))


@pytest.mark.parametrize("name", FOLLOWED)
@pytest.mark.parametrize("follows", [True, False])
def test_a_walk_has_the_outputs_of_looking_anew(name: str, follows: bool) -> None:
    seen = agent(ENVIRONMENTS[name], learnt_backward=True, flow=True)
    assert_walks_as_it_looks(seen, 60, follows=follows)


@pytest.mark.usefixtures("_first_layer")
def test_half_precision_stays_close() -> None:
    """bfloat16 has 8 bits: outputs within a hundredth, gradients within a twentieth."""
    for name in FOLLOWED:
        exact = agent(ENVIRONMENTS[name], hidden=128, flow=True)
        rough = agent(ENVIRONMENTS[name], hidden=128, flow=True, precision="bfloat16")
        final = rollout(exact, exact.start(300), seeded(0), epsilon=1.0).final
        given = ways_back(exact, final, seeded(1))
        found = []
        for seen in (exact, rough):
            along = rollout(seen, seen.start(300), seeded(2), given=given)
            assert along.log_pf.dtype == torch.float32 and torch.equal(along.final, final)
            assert along.log_flow is not None
            loss = along.total(along.log_pf).square().mean() + along.log_flow.square().mean()
            slopes = torch.autograd.grad(loss, list(seen.policy.parameters()))
            assert all(slope.dtype == torch.float32 for slope in slopes)
            found.append((along.log_pf.detach(), torch.cat([s.flatten() for s in slopes])))
        assert not torch.equal(found[0][0], found[1][0])
        torch.testing.assert_close(found[1][0], found[0][0], rtol=0, atol=0.01)
        assert (found[1][1] - found[0][1]).norm() < 0.05 * found[0][1].norm()


def test_errors_of_half_precision_do_not_add_up_along_a_walk() -> None:
    steps, n = 240, 32
    policy = MLPPolicy(4 * steps, 4, generator=seeded(0), precision="bfloat16")
    observation, generator = torch.zeros(n, 4 * steps), seeded(1)
    walk = policy.walk(observation, n * steps, follows=True)
    errors = []
    with torch.no_grad():
        for step in range(steps):
            errors.append((walk.outputs().float() - policy(observation)).abs().max())
            columns = 4 * step + torch.randint(4, (n,), generator=generator)
            observation = observation.scatter(1, columns[:, None], 1.0)
            walk.shift(columns, None)
    assert max(errors) < 1e-3


@pytest.mark.parametrize("grad", [True, False])
def test_gradients_of_an_overwritten_walk_are_refused(grad: bool) -> None:
    seen = agent(DNA)
    found = rollout(seen, seen.start(5), seeded(0))
    with torch.set_grad_enabled(grad):
        rollout(seen, seen.start(5), seeded(1))
    with pytest.raises(RuntimeError, match="later walk of the same policy"):
        found.log_pf.sum().backward()


def test_another_policys_walk_overwrites_nothing() -> None:
    seen, other = agent(DNA), agent(DNA, seed=1)
    found = rollout(seen, seen.start(5), seeded(0))
    rollout(other, other.start(5), seeded(0))
    found.log_pf.sum().backward()


def test_buffers_of_a_larger_walk_serve_a_smaller_one() -> None:
    seen = agent(DNA)
    for n in (200, 30, 50, 300):
        assert_same_gradients(gradients(seen, n), gradients(opaque(seen), n))


@pytest.mark.parametrize("follows", [True, False])
def test_a_walk_takes_over_the_buffers_of_the_one_before(follows: bool) -> None:
    policy, observation = agent(DNA).policy, DNA.observe(DNA.initial(3))
    first, second = (
        start_walk(policy, observation, 9, follows=follows).outputs().data_ptr() for _ in range(2)
    )
    assert first == second


def test_gradients_may_be_taken_twice() -> None:
    seen = agent(DNA)
    loss = rollout(seen, seen.start(20), seeded(0)).log_pf.square().sum()
    parameters = list(seen.policy.parameters())
    first = torch.autograd.grad(loss, parameters, retain_graph=True)
    for one, other in zip(torch.autograd.grad(loss, parameters), first, strict=True):
        assert torch.equal(one, other)


def test_a_walk_is_told_one_thing() -> None:
    policy, observation = agent(DNA).policy, DNA.observe(DNA.initial(3))
    told = start_walk(policy, observation, 9, follows=True)
    with pytest.raises(TypeError, match="told what changes"):
        told.move(observation)
    looking = start_walk(policy, observation, 9, follows=False)
    with pytest.raises(TypeError, match="looks at the observation"):
        looking.shift(torch.zeros(3, dtype=torch.long), None)


def test_a_narrow_observation_is_not_worth_following() -> None:
    policy = agent(DNA).policy
    assert not pays_to_follow(policy, torch.zeros(3, 64))
    assert pays_to_follow(policy, torch.zeros(3, 65))
    assert pays_to_follow(Opaque(policy), torch.zeros(3, 1))


def test_any_other_module_looks_anew() -> None:
    observation = DNA.observe(DNA.initial(3))
    walk = start_walk(Opaque(agent(DNA).policy), observation, 9, follows=True)
    assert isinstance(walk, ModuleWalk)


def test_weights_come_from_the_generator_alone() -> None:
    state = torch.get_rng_state()
    first, again, other = (agent(DNA, seed=seed).policy.state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    for name, values in first.items():
        assert torch.equal(values, again[name])
        assert not torch.equal(values, other[name])


def test_weights_are_drawn_as_torch_draws_them() -> None:
    policy = agent(DNA, hidden=256).policy
    assert isinstance(policy, MLPPolicy)
    for values, fan_in in ((policy.first, DNA.n_features), (policy.weights[0], 256)):
        bound = fan_in**-0.5
        assert 0.99 * bound < values.max() <= bound and -bound <= values.min() < -0.99 * bound


def test_uniform_policy_prefers_nothing() -> None:
    assert UniformPolicy(7)(torch.rand(3, 2)).tolist() == [[0.0] * 7] * 3


def test_settings_name_the_network() -> None:
    heads = make_heads(DNA, flow=True)
    settings = PolicySettings(hidden=24, layers=3, precision="bfloat16")
    policy = make_policy(settings, DNA, heads, seeded(0), context_features=2)
    assert isinstance(policy, MLPPolicy) and policy.precision == "bfloat16"
    assert policy.first.shape == (DNA.n_features + 2, 24) and len(policy.weights) == 3
    assert policy(torch.zeros(2, DNA.n_features + 2)).shape == (2, heads.n_outputs)
    gru = make_policy(PolicySettings(kind="gru", hidden=24), DNA, heads, seeded(0))
    assert isinstance(gru, RecurrentPolicy) and gru.unit.hidden_size == 24


@pytest.mark.parametrize("option", [{"layers": 4}, {"precision": "bfloat16"}])
def test_the_recurrent_network_takes_no_option_of_the_perceptron(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="kind 'gru' has neither"):
        PolicySettings(kind="gru", **option)


def test_a_continuous_environment_is_looked_at_anew() -> None:
    torus = TorusEnvironment(steps=3)
    seen = agent(torus)
    plain = Agent(torus, Opaque(seen.policy), seen.heads)
    assert_same_gradients(gradients(seen, 10), gradients(plain, 10))
