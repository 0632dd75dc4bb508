"""Losses with log flows through states or along actions, against their definitions."""

import math

import pytest
import torch
from torch import Tensor

from mfal.gfn.agent import Agent
from mfal.gfn.exact import levels
from mfal.gfn.flow_losses import DetailedBalance, FlowMatching, SubTrajectoryBalance
from mfal.gfn.losses import Loss
from mfal.gfn.rollout import rollout
from mfal.gfn.trajectories import Trajectories
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.definitions import environment_of
from tests.unit.gfn.problems import agent, seeded

LENGTHS = [2, 1, 5, 3, 5]


def ragged(lengths: list[int] = LENGTHS) -> tuple[Trajectories, Tensor]:
    """Trajectories of random numbers, interleaved in time, and log rewards; all with gradients."""
    rows = [r for time in range(max(lengths)) for r, length in enumerate(lengths) if time < length]
    owner, generator = torch.tensor(rows), seeded(0)
    parts = [
        torch.randn(len(rows), dtype=torch.float64, generator=generator).requires_grad_()
        for _ in range(3)
    ]
    n = len(lengths)
    log_reward = torch.randn(n, dtype=torch.float64, generator=generator).requires_grad_()
    found = Trajectories(owner, owner, parts[0], parts[1], torch.zeros(n, 1), log_flow=parts[2])
    return found, log_reward


def along(found: Trajectories, log_reward: Tensor, row: int) -> tuple[list[Tensor], list[Tensor]]:
    """One trajectory: log flows of all its states, and log P_F - log P_B of its steps."""
    assert found.log_flow is not None
    own = [i for i, owner in enumerate(found.rows.tolist()) if owner == row]
    flows = [*[found.log_flow[i] for i in own], log_reward[row]]
    return flows, [found.log_pf[i] - found.log_pb[i] for i in own]


def naive_detailed_balance(found: Trajectories, log_reward: Tensor) -> Tensor:
    squares = []
    for row in range(len(found)):
        flows, ratios = along(found, log_reward, row)
        squares += [(flows[i] + r - flows[i + 1]).square() for i, r in enumerate(ratios)]
    return torch.stack(squares).mean()


def naive_sub_trajectory_balance(found: Trajectories, log_reward: Tensor, decay: float) -> Tensor:
    each = []
    for row in range(len(found)):
        flows, ratios = along(found, log_reward, row)
        total, norm = torch.zeros(()).double(), 0.0
        for first in range(len(ratios)):
            for last in range(first + 1, len(ratios) + 1):
                imbalance = flows[first] + torch.stack(ratios[first:last]).sum() - flows[last]
                weight = decay ** (last - first)
                total, norm = total + weight * imbalance.square(), norm + weight
        each.append(total / norm)
    return torch.stack(each).mean()


def assert_same(
    found: Trajectories, log_reward: Tensor, value: Tensor, expected: Tensor, **tolerance: float
) -> None:
    """Values, and gradients for everything a loss may learn."""
    torch.testing.assert_close(value, expected, **tolerance)
    assert found.log_flow is not None
    inputs = [found.log_pf, found.log_pb, found.log_flow, log_reward]
    for got, wanted in zip(
        torch.autograd.grad(value, inputs), torch.autograd.grad(expected, inputs), strict=True
    ):
        assert wanted.abs().max() > 1e-3
        torch.testing.assert_close(got, wanted, **tolerance)


def test_detailed_balance_is_the_mean_over_all_transitions() -> None:
    found, log_reward = ragged()
    value = DetailedBalance()(found, log_reward)
    assert_same(found, log_reward, value, naive_detailed_balance(found, log_reward))


@pytest.mark.parametrize("decay", [0.5, 1.0, 1.5, 20.0])
def test_sub_trajectory_balance_is_the_weighted_mean_over_all_stretches(decay: float) -> None:
    found, log_reward = ragged()
    value = SubTrajectoryBalance(decay)(found, log_reward)
    expected = naive_sub_trajectory_balance(found, log_reward, decay)
    assert_same(found, log_reward, value, expected)


def test_sub_trajectory_balance_with_little_decay_left_is_detailed_balance() -> None:
    """Up to the weight of trajectories: here all are as long."""
    found, log_reward = ragged([4, 4, 4])
    value = SubTrajectoryBalance(1e-7)(found, log_reward)
    expected = naive_detailed_balance(found, log_reward)
    assert_same(found, log_reward, value, expected, rtol=1e-5, atol=1e-5)


def test_sub_trajectory_balance_with_a_large_lambda_is_that_of_whole_trajectories() -> None:
    found, log_reward = ragged()
    squares = []
    for row in range(len(found)):
        flows, ratios = along(found, log_reward, row)
        squares.append((flows[0] + torch.stack(ratios).sum() - flows[-1]).square())
    value, expected = SubTrajectoryBalance(1e7)(found, log_reward), torch.stack(squares).mean()
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("loss", [DetailedBalance(), SubTrajectoryBalance(0.9)])
def test_log_z_is_the_flow_through_the_source(loss: Loss) -> None:
    found, log_reward = ragged()
    assert found.log_flow is not None
    first = found.log_flow[: len(LENGTHS)]  # Rows start in order, all at time 0.
    assert math.isclose(float(loss.log_z(found, log_reward).detach()), float(first.detach().mean()))


def naive_flow_matching(seen: Agent, found: Trajectories, log_reward: Tensor) -> Tensor:
    """Flows into a state by looking at every action of every state there is."""
    environment, squares = environment_of(seen), []
    everything = torch.cat(list(levels(environment)))
    sources, actions = environment.forward_mask(everything).nonzero(as_tuple=True)
    targets = environment.step(everything[sources], actions)
    assert found.states is not None

    def logits(states: Tensor, row: int) -> Tensor:
        context = None if found.context is None else found.context[row].expand(len(states), -1)
        return seen.heads.forward_of(seen.outputs(states, context))

    def inflow(state: Tensor, row: int) -> Tensor:
        edges = (targets == state).all(dim=1).nonzero()[:, 0]
        flows = logits(everything[sources[edges]], row)
        return flows[torch.arange(len(edges)), actions[edges]].logsumexp(dim=0)

    for state, row in zip(found.states, found.rows.tolist(), strict=True):
        if (state != environment.initial(1)[0]).any():
            allowed = environment.forward_mask(state[None])[0]
            out = logits(state[None], row)[0][allowed].logsumexp(dim=0)
            squares.append((inflow(state, row) - out).square())
    for row, state in enumerate(found.final):
        squares.append((inflow(state, row) - log_reward[row]).square())
    return torch.stack(squares).mean()


@pytest.mark.parametrize("context_features", [0, 2])
def test_flow_matching_compares_all_flows_into_a_state_with_all_out_of_it(
    context_features: int,
) -> None:
    seen = agent(GridEnvironment(side=3), context_features=context_features)
    context = torch.rand(12, 2, generator=seeded(1)) if context_features else None
    with torch.no_grad():
        found = rollout(seen, seen.start(12), seeded(0), context=context, with_states=True)
    assert len(set(found.lengths().tolist())) > 2
    log_reward, loss = torch.randn(12, generator=seeded(2)), FlowMatching(seen)
    value, expected = loss(found, log_reward), naive_flow_matching(seen, found, log_reward)
    torch.testing.assert_close(value, expected)
    parameters = list(seen.policy.parameters())
    for got, wanted in zip(
        torch.autograd.grad(value, parameters),
        torch.autograd.grad(expected, parameters),
        strict=True,
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_flow_matching_takes_log_z_for_the_flow_out_of_the_source() -> None:
    seen = agent(GridEnvironment(side=3))
    with torch.no_grad():
        found = rollout(seen, seen.start(5), seeded(0), with_states=True)
        expected = seen.outputs(seen.start(1))[0].logsumexp(dim=0)
        log_z = FlowMatching(seen).log_z(found, torch.zeros(5))
    torch.testing.assert_close(log_z, expected)


def test_flow_matching_takes_nothing_from_the_trajectories_but_where_they_went() -> None:
    """It asks the policy itself, so the rollout may go without gradients."""
    seen = agent(GridEnvironment(side=3))
    with torch.no_grad():
        found = rollout(seen, seen.start(5), seeded(0), with_states=True)
    loss = FlowMatching(seen)(found, torch.zeros(5))
    assert not found.log_pf.requires_grad and loss.requires_grad


def test_a_large_lambda_leaves_short_trajectories_their_weight() -> None:
    rows = torch.tensor([0, *[1] * 50])
    nothing = torch.zeros(51)
    found = Trajectories(rows, rows, nothing - 1, nothing, torch.zeros(2, 1), log_flow=nothing)
    loss = SubTrajectoryBalance(10.0)(found, torch.zeros(2))
    assert loss.isfinite()
