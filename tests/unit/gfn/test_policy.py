from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mfal.envs.fidelity import FidelityEnvironment
from mfal.gfn.policy import MLPPolicy, UniformPolicy
from mfal.gfn.rollout import sample_forward
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.problems import dna, mlp

DNA = FidelityEnvironment(dna(5), 3)


class Opaque(nn.Module):
    """Hides that a policy can be followed by increments."""

    def __init__(self, policy: MLPPolicy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, observation: Tensor) -> Tensor:
        logits: Tensor = self.policy(observation)
        return logits


def _gradients(
    environment: FidelityEnvironment, policy: nn.Module, parameters: Sequence[Tensor]
) -> list[Tensor]:
    """Of a loss that weighs every transition differently."""
    generator = torch.Generator().manual_seed(5)
    batch = sample_forward(environment, policy, environment.initial(40), generator, epsilon=0.3)
    weights = torch.linspace(-1, 2, len(batch.log_pf))
    return list(torch.autograd.grad((weights * batch.log_pf.square()).sum(), parameters))


def test_a_rollout_has_the_gradients_of_the_plain_network() -> None:
    for environment in (DNA, FidelityEnvironment(GridEnvironment(side=4), 2)):
        policy = mlp(environment)
        parameters = list(policy.parameters())
        followed = _gradients(environment, policy, parameters)
        plain = _gradients(environment, Opaque(policy), parameters)
        for name, got, expected in zip(
            dict(policy.named_parameters()), followed, plain, strict=True
        ):
            assert expected.abs().max() > 1e-3, name
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5, msg=name)


def test_three_hidden_layers_have_the_gradients_of_the_plain_network() -> None:
    generator = torch.Generator().manual_seed(1)
    policy = MLPPolicy(DNA.n_features, DNA.n_actions, hidden=16, layers=3, generator=generator)
    parameters = list(policy.parameters())
    assert len(parameters) == 8
    followed = _gradients(DNA, policy, parameters)
    for got, expected in zip(followed, _gradients(DNA, Opaque(policy), parameters), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_shift_follows_the_first_layer() -> None:
    policy, states = mlp(DNA), DNA.initial(4)
    sums = policy.embed(DNA.observe(states))
    for actions in torch.randint(0, 4, (5, 4), generator=torch.Generator().manual_seed(2)):
        delta = DNA.observe_delta(states, actions)
        assert delta is not None
        sums, states = policy.shift(sums, *delta), DNA.step(states, actions)
        torch.testing.assert_close(sums, policy.embed(DNA.observe(states)), rtol=0, atol=1e-5)


def test_weights_come_from_the_generator_alone() -> None:
    state = torch.get_rng_state()
    first, again, other = mlp(DNA, seed=3), mlp(DNA, seed=3), mlp(DNA, seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.first, again.first)
    assert not torch.equal(first.first, other.first)


def test_uniform_policy_prefers_nothing() -> None:
    assert UniformPolicy(7)(torch.rand(3, 2)).tolist() == [[0.0] * 7] * 3
