import math
from collections import Counter

import pytest
import torch
from torch import Generator, Tensor, nn

from mfal.envs.base import Environment
from mfal.envs.fidelity import FidelityEnvironment
from mfal.gfn.exact import exact_distribution
from mfal.gfn.policy import UniformPolicy
from mfal.gfn.rollout import Trajectories, join, sample_backward, sample_forward
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.problems import dna, mlp

ENVIRONMENTS = [
    FidelityEnvironment(dna(4), 3),
    FidelityEnvironment(GridEnvironment(side=4), 2),
]


def _seed(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def _reference(environment: Environment, policy: nn.Module, batch: Trajectories) -> list[float]:
    """Log-probability of each transition, one at a time and by the definition."""
    values = []
    for state, action in zip(batch.states, batch.actions.tolist(), strict=True):
        logits = policy(environment.observe(state[None]))[0].tolist()
        allowed = environment.forward_mask(state[None])[0].tolist()
        total = sum(math.exp(v) for v, ok in zip(logits, allowed, strict=True) if ok)
        assert allowed[action]
        values.append(logits[action] - math.log(total))
    return values


def _check_chains(environment: Environment, batch: Trajectories) -> None:
    """Every trajectory leads from the source to its end by its own actions."""
    for row in range(len(batch)):
        own = batch.rows == row
        states, actions = batch.states[own], batch.actions[own]
        after = environment.step(states, actions)
        assert torch.equal(states[:1], environment.initial(1))
        assert torch.equal(after[:-1], states[1:])
        assert torch.equal(after[-1], batch.final[row])


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_forward_log_probabilities_are_the_policys(
    environment: FidelityEnvironment, epsilon: float
) -> None:
    policy = mlp(environment)
    batch = sample_forward(environment, policy, environment.initial(20), _seed(0), epsilon=epsilon)
    _check_chains(environment, batch)
    reference = torch.tensor(_reference(environment, policy, batch))
    torch.testing.assert_close(batch.log_pf.detach(), reference, rtol=0, atol=1e-5)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_backward_trajectories_are_rated_by_the_policy(environment: FidelityEnvironment) -> None:
    policy = mlp(environment)
    start = environment.initial(20)
    final = sample_forward(environment, policy, start, _seed(0)).final
    batch = sample_backward(environment, policy, final, _seed(1))
    _check_chains(environment, batch)
    assert torch.equal(batch.final, final)
    reference = torch.tensor(_reference(environment, policy, batch))
    torch.testing.assert_close(batch.log_pf.detach(), reference, rtol=0, atol=1e-5)


def test_unrolling_is_walking_back() -> None:
    """A tree has one way back, which the walk must find as well."""

    class Walked(FidelityEnvironment):
        def unroll(self, states: Tensor) -> None:
            return None

    tree = ENVIRONMENTS[0]
    policy, final = mlp(tree), tree.states(["ACGT", "TTAG"], [2, 0])
    at_once = sample_backward(tree, policy, final, _seed(0))
    walked = sample_backward(Walked(dna(4), 3), policy, final, _seed(0))
    assert torch.equal(at_once.states, walked.states)
    assert torch.equal(at_once.actions, walked.actions)
    assert torch.equal(at_once.rows, walked.rows)
    assert torch.equal(at_once.log_pb, walked.log_pb)
    torch.testing.assert_close(at_once.log_pf, walked.log_pf)


def test_backward_log_probabilities_are_uniform() -> None:
    environment = GridEnvironment(side=4)
    final = environment.states(["2,1", "0,3", "0,0"])
    batch = sample_backward(environment, UniformPolicy(3), final, _seed(0))
    ways = (environment.step(batch.states, batch.actions)[:, :2] > 0).sum(dim=1).double()
    stop = batch.actions == 2
    expected = torch.where(stop, 0.0, -ways.log())
    torch.testing.assert_close(batch.log_pb.double(), expected)
    # Along an edge of the grid there is one way back only.
    assert batch.total(batch.log_pb)[1:].tolist() == [0.0, 0.0]


def test_ways_back_are_drawn_uniformly() -> None:
    environment = GridEnvironment(side=4)
    final = environment.states(["1,1"] * 4000)
    batch = sample_backward(environment, UniformPolicy(3), final, _seed(7))
    first = batch.actions[(batch.states == 0).all(dim=1)]
    assert abs(first.double().mean() - 0.5) < 4 * 0.5 / math.sqrt(4000)


class Stubborn(nn.Module):
    """Prefers what the masks forbid: a finished candidate's letters, a stopped walk."""

    def forward(self, observation: Tensor) -> Tensor:
        worst = observation.new_full((len(observation), 7), -1e4)
        worst[:, 4:] = 1e4
        return worst


@pytest.mark.parametrize("epsilon", [0.0, 1.0])
def test_masks_are_respected(epsilon: float) -> None:
    environment = ENVIRONMENTS[0]
    start = environment.initial(200)
    batch = sample_forward(environment, Stubborn(), start, _seed(0), epsilon=epsilon)
    _check_chains(environment, batch)
    assert environment.forward_mask(batch.states).gather(1, batch.actions[:, None]).all()
    assert not environment.forward_mask(batch.final).any()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_samples_follow_the_exact_distribution(environment: FidelityEnvironment) -> None:
    policy = mlp(environment, seed=2)
    with torch.no_grad():  # Far from uniform, so that a wrong noise shows.
        policy.weights[-1].mul_(8)
    states, probabilities = exact_distribution(environment, policy)
    n = 40_000
    with torch.no_grad():
        final = sample_forward(environment, policy, environment.initial(n), _seed(3)).final
    counted = Counter(map(tuple, final.tolist()))
    counts = torch.tensor([counted[tuple(s)] for s in states.tolist()], dtype=torch.float64)
    assert counts.sum() == n
    assert probabilities.max() > 3 / len(states)
    likely = n * probabilities > 5
    expected = torch.cat([n * probabilities[likely], (n * probabilities[~likely]).sum()[None]])
    observed = torch.cat([counts[likely], counts[~likely].sum()[None]])
    kept = expected > 5
    chi_square = float(((observed - expected).square() / expected)[kept].sum())
    freedom = int(kept.sum()) - 1
    assert abs(chi_square - freedom) < 4 * math.sqrt(2 * freedom)


def test_epsilon_one_is_uniform_whatever_the_policy() -> None:
    environment = ENVIRONMENTS[0]
    policy = mlp(environment)
    with torch.no_grad():
        policy.biases[-1][0] = 50.0
        start = environment.initial(4000)
        final = sample_forward(environment, policy, start, _seed(0), epsilon=1.0).final
        greedy = sample_forward(environment, policy, start, _seed(0), epsilon=0.0).final
    assert (greedy[:, :4] == 0).all()
    share = (final[:, :4] == 0).double().mean()
    assert abs(share - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 16_000)


def test_rollouts_may_start_half_way() -> None:
    environment = dna(4)
    partial = torch.tensor([[0, 1, -1, -1], [3, -1, -1, -1]])
    batch = sample_forward(environment, UniformPolicy(4), partial, _seed(0))
    assert torch.equal(batch.final[0, :2], partial[0, :2]) and batch.final[1, 0] == 3
    assert batch.total(torch.ones_like(batch.log_pf)).tolist() == [2, 3]


def test_joined_batches_keep_their_sums() -> None:
    environment = ENVIRONMENTS[1]
    policy = mlp(environment)
    parts = [
        sample_forward(environment, policy, environment.initial(n), _seed(n)) for n in (3, 5, 2)
    ]
    both = join(parts)
    assert len(both) == 10
    sums = torch.cat([part.total(part.log_pf) for part in parts])
    torch.testing.assert_close(both.total(both.log_pf), sums)
    _check_chains(environment, both)
