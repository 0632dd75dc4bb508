"""What else a policy puts out than the next action, and what it is conditioned on."""

import pytest
import torch
from torch import Tensor, nn

from mfal.envs.fidelity import FidelityEnvironment
from mfal.envs.torus import TorusEnvironment
from mfal.gfn.agent import Agent
from mfal.gfn.heads import Heads, make_heads
from mfal.gfn.rollout import rollout, ways_back
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.definitions import (
    ENVIRONMENTS,
    log_pb_by_definition,
    log_pf_by_definition,
    states_of,
)
from tests.unit.gfn.problems import agent, dna, opaque, seeded, sharpen

PREFERENCES = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, -1.0]])


def test_outputs_are_cut_in_order() -> None:
    heads, outputs = Heads(forward=3, backward=2, flow=1), torch.arange(12.0).view(2, 6)
    assert heads.n_outputs == 6
    assert heads.forward_of(outputs).tolist() == [[0, 1, 2], [6, 7, 8]]
    assert heads.backward_of(outputs).tolist() == [[3, 4], [9, 10]]
    assert heads.flow_of(outputs).tolist() == [5, 11]


def test_heads_are_as_wide_as_the_environment_says() -> None:
    grid, torus = ENVIRONMENTS["grid at fidelities"], TorusEnvironment(steps=2, components=3)
    assert make_heads(grid) == Heads(5)
    assert make_heads(grid, learnt_backward=True, flow=True) == Heads(5, 5, 1)
    assert make_heads(torus, learnt_backward=True) == Heads(15, 15)
    with pytest.raises(TypeError, match="neither masks nor action distributions"):
        make_heads(nn.Identity())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("with_states", [False, True])
def test_the_flow_head_is_that_of_the_state_before(name: str, with_states: bool) -> None:
    seen = agent(ENVIRONMENTS[name], learnt_backward=True, flow=True)
    found = rollout(seen, seen.start(20), seeded(0), with_states=with_states)
    assert found.log_flow is not None
    expected = seen.heads.flow_of(seen.outputs(states_of(seen, found)))
    assert expected.std() > 0.01
    torch.testing.assert_close(found.log_flow, expected, rtol=0, atol=1e-5)


def test_without_a_flow_head_there_is_no_flow() -> None:
    for environment in ENVIRONMENTS.values():
        seen = agent(environment)
        assert rollout(seen, seen.start(3), seeded(0)).log_flow is None


def _contexts(n: int) -> Tensor:
    return PREFERENCES[torch.randint(3, (n,), generator=seeded(4))]


@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("hidden_walk", [False, True])
def test_a_context_is_seen_at_every_step(name: str, hidden_walk: bool) -> None:
    seen = sharpen(agent(ENVIRONMENTS[name], learnt_backward=True, context_features=2))
    walked, context = opaque(seen) if hidden_walk else seen, _contexts(30)
    found = rollout(walked, seen.start(30), seeded(0), context=context)
    for got, expected in (
        (found.log_pf, log_pf_by_definition(seen, found)),
        (found.log_pb, log_pb_by_definition(seen, found)),
    ):
        torch.testing.assert_close(got.detach(), expected, rtol=0, atol=1e-5)
    assert found.context is context


def test_ways_back_see_each_rows_own_context() -> None:
    """At (1, 1) either coordinate may have been the last; after that the way is told.

    Rows with a shorter way come first, and leave.
    """
    environment, n = GridEnvironment(side=4), 4000
    seen = sharpen(agent(environment, learnt_backward=True, context_features=2), 40.0)
    final = environment.states(["0,0"] * 50 + ["1,1"] * 3 * n)
    point = environment.undo(final[-3:], torch.tensor([2, 2, 2]))
    logits = seen.heads.backward_of(seen.outputs(point, PREFERENCES))[:, :2]
    expected = logits.softmax(dim=1)[:, 1].detach()
    assert expected.std() > 0.05
    context = torch.cat([PREFERENCES[:1].expand(50, -1), PREFERENCES.repeat(n, 1)])
    actions = ways_back(seen, final, seeded(0), context).actions
    share = actions[1, 50:].view(n, 3).double().mean(dim=0)
    spread = (expected * (1 - expected) / n).sqrt()
    assert ((share - expected).abs() < 4 * spread).all()


class Deaf(nn.Module):
    """A policy that ignores the context."""

    def __init__(self, policy: nn.Module, width: int) -> None:
        super().__init__()
        self.policy, self.width = policy, width

    def forward(self, observation: Tensor) -> Tensor:
        outputs: Tensor = self.policy(observation[:, : self.width])
        return outputs


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_policy_that_ignores_the_context_is_one_without(name: str) -> None:
    environment = ENVIRONMENTS[name]
    seen = agent(environment, learnt_backward=True, flow=True)
    deaf = Agent(environment, Deaf(seen.policy, environment.n_features), seen.heads)
    with_context = rollout(deaf, seen.start(30), seeded(0), context=_contexts(30))
    without = rollout(seen, seen.start(30), seeded(0))
    assert torch.equal(with_context.final, without.final)
    for part in ("log_pf", "log_pb", "log_flow"):
        torch.testing.assert_close(getattr(with_context, part), getattr(without, part))
    assert without.context is None


@pytest.mark.parametrize("grad", [True, False])
def test_a_later_rollout_leaves_the_log_flow_of_an_earlier_one(grad: bool) -> None:
    seen = agent(FidelityEnvironment(dna(4), 2), flow=True)
    with torch.set_grad_enabled(grad):
        found = rollout(seen, seen.start(5), seeded(0))
        assert found.log_flow is not None
        before = found.log_flow.detach().clone()
        rollout(seen, seen.start(5), seeded(1))
    assert torch.equal(found.log_flow.detach(), before)
