import math

import pytest
import torch
from torch import Tensor

from mfal.envs.fidelity import FidelityEnvironment
from mfal.gfn.exact import exact_log_z, finished_states
from mfal.gfn.losses import TrajectoryBalance, VarGrad, make_loss, residual
from mfal.gfn.rewards import Rewards
from mfal.gfn.rollout import Trajectories, sample_backward
from tests.unit.gfn.problems import dna, mlp, potts


def _batch(log_pf: Tensor, log_pb: Tensor) -> Trajectories:
    """Three trajectories with 2, 1 and 2 transitions."""
    states = torch.zeros(5, 1, dtype=torch.long)
    rows = torch.tensor([0, 1, 2, 0, 2])
    return Trajectories(states, rows, rows, log_pf, log_pb, states[:3])


LOG_PF = torch.tensor([-0.5, -1.0, -2.0, -0.25, -1.5])
LOG_PB = torch.tensor([0.0, -0.7, 0.0, -0.1, -0.2])
LOG_REWARD = torch.tensor([1.0, -2.0, 0.5])
RESIDUAL = [-0.75 + 0.1 - 1.0, -1.0 + 0.7 + 2.0, -3.5 + 0.2 - 0.5]


def test_residuals_sum_over_trajectories() -> None:
    got = residual(_batch(LOG_PF, LOG_PB), LOG_REWARD)
    torch.testing.assert_close(got, torch.tensor(RESIDUAL))


def test_vargrad_value_and_gradient_in_closed_form() -> None:
    log_pf = LOG_PF.clone().requires_grad_()
    loss = VarGrad()(_batch(log_pf, LOG_PB), LOG_REWARD)
    mean = sum(RESIDUAL) / 3
    assert math.isclose(
        float(loss.detach()), sum((r - mean) ** 2 for r in RESIDUAL) / 3, rel_tol=1e-6
    )
    (gradient,) = torch.autograd.grad(loss, log_pf)
    # d/d log_pf = 2 (r - mean) / n: the gradient through the mean sums to zero.
    expected = [2 * (RESIDUAL[row] - mean) / 3 for row in (0, 1, 2, 0, 2)]
    torch.testing.assert_close(gradient, torch.tensor(expected))


def test_vargrad_gradient_of_a_network_is_that_of_trajectory_balance_at_the_batch_mean() -> None:
    environment = FidelityEnvironment(dna(4), 3)
    policy, generator = mlp(environment), torch.Generator().manual_seed(0)
    final = finished_states(environment)[::17]
    log_reward = Rewards(environment, potts(dna(4)))(final)
    batch = sample_backward(environment, policy, final, generator)
    log_z = -residual(batch, log_reward).mean().detach()
    balance = (log_z + residual(batch, log_reward)).square().mean()
    parameters = list(policy.parameters())
    expected = torch.autograd.grad(balance, parameters, retain_graph=True)
    got = torch.autograd.grad(VarGrad()(batch, log_reward), parameters)
    for one, other in zip(got, expected, strict=True):
        assert other.abs().max() > 1e-4
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_trajectory_balance_value_and_gradients() -> None:
    loss = TrajectoryBalance()
    log_pf = LOG_PF.clone().requires_grad_()
    loss(_batch(log_pf, LOG_PB), LOG_REWARD)
    assert math.isclose(float(loss.log_z.detach()), -sum(RESIDUAL) / 3, rel_tol=1e-6)
    with torch.no_grad():
        loss.log_z.fill_(1.5)
    value = loss(_batch(log_pf, LOG_PB), LOG_REWARD)
    assert math.isclose(
        float(value.detach()), sum((1.5 + r) ** 2 for r in RESIDUAL) / 3, rel_tol=1e-6
    )
    by_log_z, by_policy = torch.autograd.grad(value, [loss.log_z, log_pf])
    assert math.isclose(float(by_log_z), 2 * (1.5 + sum(RESIDUAL) / 3), rel_tol=1e-6)
    expected = [2 * (1.5 + RESIDUAL[row]) / 3 for row in (0, 1, 2, 0, 2)]
    torch.testing.assert_close(by_policy, torch.tensor(expected))


def test_both_losses_vanish_at_the_target_alone() -> None:
    log_z = 2.0
    log_reward = torch.tensor([-0.65, -0.3, -3.3]) + log_z
    for loss in (VarGrad(), TrajectoryBalance()):
        assert float(loss(_batch(LOG_PF, LOG_PB), log_reward).detach()) < 1e-10
        assert math.isclose(
            loss.estimate_log_z(_batch(LOG_PF, LOG_PB), log_reward), log_z, rel_tol=1e-5
        )
        assert float(loss(_batch(LOG_PF, LOG_PB), LOG_REWARD).detach()) > 1.0


@pytest.mark.parametrize(("name", "kind"), [("vargrad", VarGrad), ("tb", TrajectoryBalance)])
def test_losses_go_by_name(name: str, kind: type) -> None:
    assert type(make_loss(name)) is kind  # type: ignore[arg-type]


def test_exact_log_z_closes_the_balance() -> None:
    """log P_F of a perfect policy is log R - log Z, so the reward's sum is what TB must learn."""
    environment = FidelityEnvironment(dna(2), 3)
    rewards = Rewards(environment, potts(dna(2)))
    log_z = exact_log_z(environment, rewards)
    by_hand = sum(math.exp(v) for v in rewards(finished_states(environment)).tolist())
    assert math.isclose(log_z, math.log(by_hand), rel_tol=1e-6)
