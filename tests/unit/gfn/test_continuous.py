"""Rollouts in which actions are real numbers: turns of the angles of a torus."""

import math

import pytest
import torch
from torch import Tensor, nn

from mfal.envs.torus import TorusEnvironment, torus_log_reward
from mfal.envs.vonmises import target_mixture
from mfal.gfn.agent import Agent
from mfal.gfn.guided import offspring, rebuild
from mfal.gfn.heads import make_heads
from mfal.gfn.losses import residual
from mfal.gfn.objectives import LossName
from mfal.gfn.policy import MLPPolicy
from mfal.gfn.rollout import rate_backward, rollout, ways_back
from mfal.gfn.settings import TrainSettings
from mfal.gfn.train import Trainer
from mfal.gfn.trajectories import Trajectories
from tests.unit.gfn.problems import agent, seeded, sharpen

TORUS = TorusEnvironment(steps=4, components=2)
CIRCLE = TorusEnvironment(steps=1, components=1, dimensions=1)


def states_of(found: Trajectories) -> Tensor:
    """The state before each transition, from the actions alone."""
    states = TORUS.initial(len(found))
    before = states.new_zeros(len(found.rows), states.shape[1])
    for time in range(4):
        own = found.times() == time
        before[own] = states[found.rows[own]]
        states[found.rows[own]] = TORUS.step(before[own], found.actions[own])
    torch.testing.assert_close(states, found.final, rtol=0, atol=1e-5)
    return before


def apart(first: Tensor, second: Tensor) -> Tensor:
    """Distance of angles around the circle."""
    return (torch.remainder(first - second + math.pi, 2 * math.pi) - math.pi).abs()


def assert_rated_by_the_environment(seen: Agent, found: Trajectories) -> None:
    """Both log-densities, recomputed one transition at a time."""
    own = None if found.context is None else found.context[found.rows]
    before = states_of(found)
    after = TORUS.step(before, found.actions)
    forwards, backwards = [], []
    for i in range(len(before)):
        now = slice(i, i + 1)
        context = None if own is None else own[now]
        outputs = seen.heads.forward_of(seen.outputs(before[now], context))
        forwards.append(TORUS.forward_actions(before[now], outputs).log_prob(found.actions[now]))
        back = None
        if seen.heads.backward:
            back = seen.heads.backward_of(seen.outputs(after[now], context))
        backwards.append(TORUS.backward_actions(after[now], back).log_prob(found.actions[now]))
    torch.testing.assert_close(found.log_pf, torch.cat(forwards), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.log_pb, torch.cat(backwards), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("learnt_backward", [False, True])
@pytest.mark.parametrize("context_features", [0, 2])
def test_rollouts_are_rated_by_the_environments_densities(
    learnt_backward: bool, context_features: int
) -> None:
    seen = sharpen(agent(TORUS, learnt_backward=learnt_backward, context_features=context_features))
    context = torch.rand(12, 2, generator=seeded(1)) if context_features else None
    found = rollout(seen, seen.start(12), seeded(0), context=context, epsilon=0.3)
    assert TORUS.finished(found.final).all() and len(found.rows) == 48
    assert found.log_pf.std() > 0.5
    assert found.log_pb.requires_grad == learnt_backward
    assert_rated_by_the_environment(seen, found)


@pytest.mark.parametrize("learnt_backward", [False, True])
def test_ways_back_start_at_the_source_and_lead_to_the_same_end(learnt_backward: bool) -> None:
    seen = sharpen(agent(TORUS, learnt_backward=learnt_backward))
    final = TORUS.initial(50)
    final[:, :2] = (torch.rand(50, 2, generator=seeded(2)) * 2 - 1) * 3.14
    final[:, 2] = 4
    given = ways_back(seen, final, seeded(0))
    assert given.known.all() and given.actions.shape == (4, 50, 2)
    states = final
    for actions in given.actions.flip(0):
        states = TORUS.undo(states, actions)
    assert torch.equal(states, TORUS.initial(50))
    found = rollout(seen, seen.start(50), seeded(1), given=given)
    assert apart(found.final[:, :2], final[:, :2]).max() < 1e-5
    assert torch.equal(found.final[:, 2], final[:, 2])
    assert_rated_by_the_environment(seen, found)


def test_fixed_ways_back_are_uniform_but_for_the_first_turn() -> None:
    seen = agent(TORUS)
    found = rollout(seen, seen.start(9), seeded(0))
    expected = torch.where(found.times() == 0, 0.0, -2 * math.log(2 * math.pi))
    torch.testing.assert_close(found.log_pb, expected)


class Aimed(nn.Module):
    """The same narrow turn everywhere: von Mises of mean 0 and concentration 50."""

    def forward(self, observation: Tensor) -> Tensor:
        outputs = observation.new_zeros(len(observation), CIRCLE.n_forward)
        outputs[:, 2] = math.log(50 / 450) + math.log(499)
        return outputs


def test_turns_follow_their_density() -> None:
    """Mean cosine I1(50)/I0(50); uniform, so 0, in the share epsilon of explored turns."""
    seen = Agent(CIRCLE, Aimed(), make_heads(CIRCLE))
    start, k = seen.start(20_000), torch.tensor(50.0)
    aimed = float(torch.special.i1e(k) / torch.special.i0e(k))
    for epsilon in (0.0, 0.4):
        final = rollout(seen, start, seeded(0), epsilon=epsilon).final
        mean = float(final[:, 0].cos().mean())
        assert abs(mean - (1 - epsilon) * aimed) < 4 * 0.6 / math.sqrt(20_000)


def test_importance_weights_give_the_integral_of_the_reward() -> None:
    """E[R P_B / P_F] = Z for any policy, which a wrong density would spoil."""
    target = target_mixture([1.0, 2.0], [[0.0, 1.0], [2.0, -2.0]], [[3.0, 1.0], [1.0, 2.0]])
    seen = agent(TORUS, learnt_backward=True)
    with torch.no_grad():
        found = rollout(seen, seen.start(40_000), seeded(0))
    weights = (-residual(found, torus_log_reward(found.final, target))).double().exp()
    spread = float(weights.std()) / math.sqrt(len(weights))
    assert spread < 0.1
    assert abs(float(weights.mean()) - 3.0) < 4 * spread


@pytest.mark.parametrize("learnt_backward", [False, True])
def test_rebuilding_undoes_half_of_the_turns_at_most(learnt_backward: bool) -> None:
    """A policy that hardly turns ends where the undoing stopped: one or two turns back."""
    still = TorusEnvironment(steps=4, components=1, max_concentration=1e5)
    heads = make_heads(still, learnt_backward=learnt_backward)
    policy = MLPPolicy(still.n_features, heads.n_outputs, generator=seeded(0))
    with torch.no_grad():
        policy.weights[-1].zero_()
        policy.biases[-1].zero_()
        policy.biases[-1][3:5] = 30.0
    seen, final = Agent(still, policy, heads), still.initial(400)
    final[:, :2] = torch.rand(400, 2, generator=seeded(2)) * 2 - 1
    final[:, 2] = 4
    children = rebuild(seen, final, seeded(3))
    actions = ways_back(seen, final, seeded(3)).actions
    one = still.undo(final, actions[3])
    two = still.undo(one, actions[2])
    near = torch.stack([apart(children, states)[:, :2].amax(dim=1) for states in (one, two)]) < 0.05
    assert near.any(dim=0).all()
    assert near.sum(dim=1).min() > 150
    assert (children[:, 2] == 4).all()


def test_offspring_on_a_torus_are_rebuilt_by_chance() -> None:
    parents = TORUS.initial(3)
    parents[:, :2], parents[:, 2] = torch.rand(3, 2, generator=seeded(0)), 4
    children = offspring(TORUS, parents, 2000, seeded(1))
    assert children.shape == (2000, 3) and (children[:, 2] == 4).all()
    assert children[:, :2].cos().mean().abs() < 4 * math.sqrt(0.5 / 4000)


def test_environments_without_densities_or_masks_are_refused() -> None:
    with pytest.raises(TypeError, match="neither masks nor densities"):
        rate_backward(nn.Identity(), torch.zeros(1, 1), None, torch.zeros(1))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("loss", "steps"),
    [
        ("vargrad", 200),
        pytest.param("tb", 200, marks=pytest.mark.slow),
        pytest.param("db", 400, marks=pytest.mark.slow),
        ("subtb", 300),
    ],
)
def test_training_reaches_the_target(loss: LossName, steps: int) -> None:
    """A peak whose integral is 3, and whose mean cosines along both angles are known.

    The bounds are half as much again as the worst of the seeds 0 to 3 and the four losses.
    """
    torus = TorusEnvironment(steps=2, components=2)
    target = target_mixture([3.0], [[1.0, -1.0]], [[4.0, 1.0]])
    settings = TrainSettings(
        loss=loss,
        backward="learnt",
        steps=steps,
        batch_size=64,
        learning_rate=5e-3,
        cooldown=0.5,
    )
    flow = settings.heads(torus).flow > 0
    seen = agent(torus, learnt_backward=True, flow=flow, hidden=128)
    trainer = Trainer(seen, lambda states, _: torus_log_reward(states, target), settings, seed=0)
    last = trainer.run()[-1]
    assert abs(last.log_z - math.log(3)) < 0.043
    assert last.effective_sample_size > 0.974
    with torch.no_grad():
        final = rollout(seen, seen.start(4000), seeded(0)).final
    k = target.concentrations[0, 0]
    expected = torch.special.i1e(k) / torch.special.i0e(k)
    cosines = (final[:, :2] - target.means[0]).cos().mean(dim=0)
    torch.testing.assert_close(cosines, expected, rtol=0, atol=0.035)
