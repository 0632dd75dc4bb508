import math

import pytest
import torch
from torch import Tensor

from mfal.envs.fidelity import FidelityEnvironment
from mfal.envs.torus import TorusEnvironment
from mfal.errors import ConfigError
from mfal.gfn.exact import finished_states
from mfal.gfn.flow_losses import DetailedBalance, FlowMatching, SubTrajectoryBalance
from mfal.gfn.guided import random_agent
from mfal.gfn.losses import FASTER, TrajectoryBalance, VarGrad, log_mean_exp, residual
from mfal.gfn.objectives import LOSSES, LossName, make_loss
from mfal.gfn.rewards import Rewards
from mfal.gfn.rollout import rollout, ways_back
from mfal.gfn.trajectories import Trajectories
from tests.unit.gfn.problems import agent, dna, potts, seeded

ROWS = torch.tensor([0, 1, 2, 0, 2])
LOG_PF = torch.tensor([-0.5, -1.0, -2.0, -0.25, -1.5])
LOG_PB = torch.tensor([0.0, -0.7, 0.0, -0.1, -0.2])
LOG_REWARD = torch.tensor([1.0, -2.0, 0.5])
RESIDUAL = [-0.75 + 0.1 - 1.0, -1.0 + 0.7 + 2.0, -3.5 + 0.2 - 0.5]


def batch(
    log_pf: Tensor = LOG_PF, log_pb: Tensor = LOG_PB, context: Tensor | None = None
) -> Trajectories:
    """Three trajectories with 2, 1 and 2 transitions."""
    return Trajectories(ROWS, ROWS, log_pf, log_pb, torch.zeros(3, 1), context=context)


def test_residuals_sum_over_trajectories() -> None:
    torch.testing.assert_close(residual(batch(), LOG_REWARD), torch.tensor(RESIDUAL))


def test_vargrad_value_and_gradient_in_closed_form() -> None:
    log_pf, log_pb = LOG_PF.clone().requires_grad_(), LOG_PB.clone().requires_grad_()
    loss = VarGrad()(batch(log_pf, log_pb), LOG_REWARD)
    mean = sum(RESIDUAL) / 3
    expected = sum((r - mean) ** 2 for r in RESIDUAL) / 3
    assert math.isclose(float(loss.detach()), expected, rel_tol=1e-6)
    forwards, backwards = torch.autograd.grad(loss, [log_pf, log_pb])
    # d/d log_pf = 2 (r - mean) / n: the gradient through the mean sums to zero.
    gradient = torch.tensor([2 * (RESIDUAL[row] - mean) / 3 for row in ROWS.tolist()])
    torch.testing.assert_close(forwards, gradient)
    torch.testing.assert_close(backwards, -gradient)


def test_vargrad_gradient_of_a_network_is_that_of_trajectory_balance_at_the_batch_mean() -> None:
    environment = FidelityEnvironment(dna(4), 3)
    seen = agent(environment)
    final = finished_states(environment)[::17]
    log_reward = Rewards(environment, potts(dna(4)))(final)
    given = ways_back(seen, final, seeded(0))
    found = rollout(seen, seen.start(len(final)), seeded(0), given=given)
    log_z = -residual(found, log_reward).mean().detach()
    balance = (log_z + residual(found, log_reward)).square().mean()
    parameters = list(seen.policy.parameters())
    expected = torch.autograd.grad(balance, parameters, retain_graph=True)
    got = torch.autograd.grad(VarGrad()(found, log_reward), parameters)
    for one, other in zip(got, expected, strict=True):
        assert other.abs().max() > 1e-4
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_vargrad_estimates_log_z_by_importance() -> None:
    expected = math.log(sum(math.exp(-r) for r in RESIDUAL) / 3)
    got = VarGrad().log_z(batch(), LOG_REWARD)
    assert math.isclose(float(got), expected, rel_tol=1e-6)
    assert math.isclose(float(log_mean_exp(torch.tensor([1000.0, 1000.0]))), 1000.0)


def test_vargrad_compares_within_equal_contexts() -> None:
    context = torch.tensor([[0.5, 1.0], [0.5, 2.0], [0.5, 1.0]])
    log_pf = LOG_PF.clone().requires_grad_()
    found, (first, second, third) = batch(log_pf, context=context), RESIDUAL
    loss = VarGrad()(found, LOG_REWARD)
    # The one trajectory of the second context has nothing to differ from.
    expected = 2 * ((first - third) / 2) ** 2 / 3
    assert math.isclose(float(loss.detach()), expected, rel_tol=1e-6)
    (gradient,) = torch.autograd.grad(loss, log_pf)
    weight = 2 * (first - third) / 2 / 3
    torch.testing.assert_close(gradient, torch.tensor([weight, 0, -weight, weight, -weight]))
    by_context = [math.log((math.exp(-first) + math.exp(-third)) / 2), -second]
    log_z = (2 * by_context[0] + by_context[1]) / 3
    assert math.isclose(float(VarGrad().log_z(found, LOG_REWARD).detach()), log_z, rel_tol=1e-6)


def test_trajectory_balance_starts_at_the_first_batchs_log_z() -> None:
    loss = TrajectoryBalance()
    value = loss(batch(), LOG_REWARD)
    mean = sum(RESIDUAL) / 3
    assert math.isclose(float(loss.offset.detach()), -mean, rel_tol=1e-6)
    assert math.isclose(
        float(value.detach()), sum((r - mean) ** 2 for r in RESIDUAL) / 3, rel_tol=1e-6
    )
    loss(batch(), LOG_REWARD + 5.0)
    assert math.isclose(float(loss.log_z(batch(), LOG_REWARD).detach()), -mean, rel_tol=1e-6)


def test_trajectory_balance_value_and_gradients() -> None:
    loss = TrajectoryBalance()
    log_pf = LOG_PF.clone().requires_grad_()
    loss(batch(log_pf), LOG_REWARD)
    with torch.no_grad():
        loss.offset.fill_(1.5)
    value = loss(batch(log_pf), LOG_REWARD)
    expected = sum((1.5 + r) ** 2 for r in RESIDUAL) / 3
    assert math.isclose(float(value.detach()), expected, rel_tol=1e-6)
    by_log_z, by_policy = torch.autograd.grad(value, [loss.offset, log_pf])
    assert math.isclose(float(by_log_z), 2 * (1.5 + sum(RESIDUAL) / 3), rel_tol=1e-6)
    gradient = [2 * (1.5 + RESIDUAL[row]) / 3 for row in ROWS.tolist()]
    torch.testing.assert_close(by_policy, torch.tensor(gradient))


def test_trajectory_balance_learns_log_z_by_context() -> None:
    loss, context = TrajectoryBalance(2, seeded(0)), torch.rand(3, 2, generator=seeded(1))
    assert loss.by_context is not None
    found = batch(context=context)
    loss(found, LOG_REWARD)
    network = list(loss.by_context.parameters())
    hidden = torch.relu(context @ network[0].T + network[1])
    log_z = loss.offset + (hidden @ network[2].T + network[3])[:, 0]
    assert log_z.std() > 0.01
    expected = (log_z + torch.tensor(RESIDUAL)).square().mean()
    torch.testing.assert_close(loss(found, LOG_REWARD), expected)
    torch.testing.assert_close(loss.log_z(found, LOG_REWARD), log_z.mean())
    for got, wanted in zip(
        torch.autograd.grad(loss(found, LOG_REWARD), network),
        torch.autograd.grad(expected, network),
        strict=True,
    ):
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize(("width", "context"), [(0, torch.zeros(3, 2)), (2, None)])
def test_a_context_on_one_side_only_is_refused(width: int, context: Tensor | None) -> None:
    with pytest.raises(ConfigError, match="disagree on whether there is a context") as raised:
        TrajectoryBalance(width)(batch(context=context), LOG_REWARD)
    assert "context_features" in raised.value.hint


def test_weights_by_context_come_from_the_generator() -> None:
    first, again, other = (
        torch.cat([p.detach().flatten() for p in TrajectoryBalance(3, seeded(i)).parameters()])
        for i in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_the_offset_learns_faster_and_the_network_at_the_policys_pace() -> None:
    assert VarGrad().parameter_groups(0.1) == []
    loss = TrajectoryBalance(2, seeded(0))
    offset, network = loss.parameter_groups(0.1)
    assert offset == {"params": [loss.offset], "lr": 0.1 * FASTER}
    assert loss.by_context is not None
    assert network == {"params": list(loss.by_context.parameters()), "lr": 0.1}


KINDS = {
    "vargrad": VarGrad,
    "tb": TrajectoryBalance,
    "db": DetailedBalance,
    "subtb": SubTrajectoryBalance,
    "fm": FlowMatching,
}


@pytest.mark.parametrize("name", KINDS)
def test_losses_go_by_name(name: LossName) -> None:
    loss = make_loss(name, agent(dna(2)), decay=0.7)
    assert type(loss) is KINDS[name] is LOSSES[name]
    assert loss.needs_flow == (name in ("db", "subtb"))
    assert loss.looks_anew == (name == "fm")
    assert not isinstance(loss, SubTrajectoryBalance) or loss.decay == 0.7


@pytest.mark.parametrize("name", ["db", "subtb"])
def test_a_missing_flow_is_named(name: LossName) -> None:
    with pytest.raises(ConfigError, match="needs a log flow"):
        make_loss(name, agent(dna(2)))(batch(), LOG_REWARD)


def test_flow_matching_needs_finitely_many_actions_and_the_states() -> None:
    with pytest.raises(ConfigError, match="infinitely many") as raised:
        make_loss("fm", random_agent(TorusEnvironment(steps=2)))
    assert "vargrad" in raised.value.hint
    with pytest.raises(ConfigError, match="needs the states"):
        make_loss("fm", agent(dna(2)))(batch(), LOG_REWARD)


def test_weights_by_context_come_from_the_generator_alone() -> None:
    state = torch.get_rng_state()
    TrajectoryBalance(2, seeded(0))
    assert torch.equal(torch.get_rng_state(), state)


def test_vargrad_refuses_contexts_that_never_repeat() -> None:
    """Its loss would be 0, and nothing would be learnt."""
    found = batch(context=torch.tensor([[1.0], [2.0], [3.0]]))
    with pytest.raises(ConfigError, match="no context comes twice"):
        VarGrad()(found, LOG_REWARD)
