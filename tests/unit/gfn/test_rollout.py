import math

import pytest
import torch
from torch import Tensor, nn

from mfal.envs.base import hook
from mfal.envs.fidelity import FidelityEnvironment
from mfal.gfn.agent import Agent
from mfal.gfn.exact import exact_distribution
from mfal.gfn.guided import random_agent
from mfal.gfn.heads import make_heads
from mfal.gfn.rollout import rollout
from tests.unit.gfn.definitions import (
    ENVIRONMENTS,
    assert_drawn_from,
    environment_of,
    log_pf_by_definition,
    states_of,
)
from tests.unit.gfn.problems import agent, dna, ladder, opaque, seeded, sharpen

NAMES = list(ENVIRONMENTS)
SCHEDULED = [name for name in NAMES if hook(ENVIRONMENTS[name], "schedule")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("with_states", [False, True])
def test_log_probabilities_are_the_policys(name: str, with_states: bool) -> None:
    seen = sharpen(agent(ENVIRONMENTS[name]))
    found = rollout(seen, seen.start(20), seeded(0), with_states=with_states)
    assert found.states is not None or name in SCHEDULED
    expected = log_pf_by_definition(seen, found)
    torch.testing.assert_close(found.log_pf.detach(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["sequences at fidelities", "grid at fidelities"])
def test_exploration_and_temperature_are_left_out_of_log_probabilities(name: str) -> None:
    seen = sharpen(agent(ENVIRONMENTS[name]))
    start = seen.start(20)
    plain = rollout(seen, start, seeded(0))
    for changes in ({"epsilon": 0.5}, {"temperature": 3.0}):
        found = rollout(seen, start, seeded(0), **changes)
        assert not torch.equal(found.final, plain.final)
        expected = log_pf_by_definition(seen, found)
        torch.testing.assert_close(found.log_pf.detach(), expected, rtol=0, atol=1e-5)


def test_schedules_are_where_they_are_expected() -> None:
    assert SCHEDULED == ["sequences", "sequences at fidelities"]


@pytest.mark.parametrize("name", SCHEDULED)
@pytest.mark.parametrize("context_features", [0, 2])
def test_a_schedule_draws_what_single_steps_draw(name: str, context_features: int) -> None:
    seen = sharpen(agent(ENVIRONMENTS[name], flow=True, context_features=context_features))
    context = torch.rand(50, 2, generator=seeded(1)) if context_features else None
    at_once, step_by_step = (
        rollout(
            seen,
            seen.start(50),
            seeded(0),
            context=context,
            epsilon=0.2,
            temperature=1.5,
            with_states=with_states,
        )
        for with_states in (False, True)
    )
    assert at_once.states is None and step_by_step.states is not None
    assert torch.equal(at_once.actions, step_by_step.actions)
    assert torch.equal(at_once.rows, step_by_step.rows)
    assert torch.equal(at_once.final, step_by_step.final)
    torch.testing.assert_close(at_once.log_pf, step_by_step.log_pf, rtol=0, atol=1e-5)
    assert torch.equal(at_once.log_pb, step_by_step.log_pb)


@pytest.mark.parametrize("name", ["sequences at fidelities", "peptides at fidelities", "tetris"])
def test_any_module_walks_as_the_perceptron_does(name: str) -> None:
    seen = sharpen(agent(ENVIRONMENTS[name]))
    followed = rollout(seen, seen.start(30), seeded(0))
    looked_at = rollout(opaque(seen), seen.start(30), seeded(0))
    assert torch.equal(followed.actions, looked_at.actions)
    torch.testing.assert_close(followed.log_pf, looked_at.log_pf, rtol=0, atol=1e-5)


class Stubborn(nn.Module):
    """Prefers what the masks forbid: a finished candidate's letters, an early fidelity."""

    def forward(self, observation: Tensor) -> Tensor:
        worst = observation.new_full((len(observation), 7), -1e4)
        worst[:, 4:] = 1e4
        return worst


@pytest.mark.parametrize("epsilon", [0.0, 1.0])
@pytest.mark.parametrize("with_states", [False, True])
def test_masks_are_respected(epsilon: float, with_states: bool) -> None:
    environment = ENVIRONMENTS["sequences at fidelities"]
    seen = Agent(environment, Stubborn(), make_heads(environment))
    found = rollout(seen, seen.start(200), seeded(0), epsilon=epsilon, with_states=with_states)
    states_of(seen, found)


@pytest.mark.parametrize("name", NAMES)
def test_samples_follow_the_exact_distribution(name: str) -> None:
    seen = sharpen(agent(ENVIRONMENTS[name], seed=2))
    states, probabilities = exact_distribution(seen)
    assert probabilities.max() > 3 / len(states)
    with torch.no_grad():
        final = rollout(seen, seen.start(40_000), seeded(3)).final
    assert_drawn_from(final, states, probabilities)


@pytest.mark.parametrize("name", ["sequences at fidelities", "hypergrid"])
def test_exploring_samples_follow_the_exact_mixture(name: str) -> None:
    seen = sharpen(agent(ENVIRONMENTS[name], seed=2))
    states, probabilities = exact_distribution(seen, epsilon=0.25)
    with torch.no_grad():
        final = rollout(seen, seen.start(40_000), seeded(3), epsilon=0.25).final
    assert_drawn_from(final, states, probabilities)


class Tempered(nn.Module):
    def __init__(self, policy: nn.Module, temperature: float) -> None:
        super().__init__()
        self.policy, self.temperature = policy, temperature

    def forward(self, observation: Tensor) -> Tensor:
        logits: Tensor = self.policy(observation)
        return logits / self.temperature


@pytest.mark.parametrize("name", ["sequences at fidelities", "grid at fidelities"])
@pytest.mark.parametrize("temperature", [0.5, 2.5])
def test_temperature_divides_the_logits(name: str, temperature: float) -> None:
    seen = sharpen(agent(ENVIRONMENTS[name], seed=2))
    environment, heads = environment_of(seen), seen.heads
    tempered = Agent(environment, Tempered(seen.policy, temperature), heads)
    with torch.no_grad():
        final = rollout(seen, seen.start(40_000), seeded(3), temperature=temperature).final
    assert_drawn_from(final, *exact_distribution(tempered))
    with pytest.raises(AssertionError):
        assert_drawn_from(final, *exact_distribution(seen))


def test_epsilon_one_is_uniform_whatever_the_policy() -> None:
    seen = agent(FidelityEnvironment(dna(4), 3))
    with torch.no_grad():
        seen.policy.biases[-1][0] = 50.0
        explored = rollout(seen, seen.start(4000), seeded(0), epsilon=1.0).final
        greedy = rollout(seen, seen.start(4000), seeded(0)).final
    assert (greedy[:, :4] == 0).all()
    share = (explored[:, :4] == 0).double().mean()
    assert abs(share - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 16_000)


def test_rollouts_depend_on_their_generator_alone() -> None:
    for name in NAMES:
        seen, state = agent(ENVIRONMENTS[name]), torch.get_rng_state()
        first, again, other = (rollout(seen, seen.start(30), seeded(i)) for i in (0, 0, 1))
        assert torch.equal(first.final, again.final)
        assert not torch.equal(first.final, other.final)
        assert torch.equal(torch.get_rng_state(), state)


def test_no_rows_make_no_trajectories() -> None:
    seen = random_agent(ladder(3))
    assert len(rollout(seen, seen.start(0), seeded(0))) == 0
