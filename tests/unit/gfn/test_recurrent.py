import pytest
import torch

from mfal.envs.base import Buildable
from mfal.envs.fidelity import FidelityEnvironment
from mfal.errors import ConfigError
from mfal.gfn.agent import Agent
from mfal.gfn.exact import exact_distribution
from mfal.gfn.heads import make_heads
from mfal.gfn.policy import PolicySettings, make_policy
from mfal.gfn.recurrent import RecurrentPolicy, sequence_shape
from mfal.gfn.rollout import rollout
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.definitions import (
    PEPTIDES,
    assert_drawn_from,
    assert_same_gradients,
    assert_walks_as_it_looks,
    gradients,
    log_pf_by_definition,
)
from tests.unit.gfn.problems import dna, ladder, opaque, seeded

SEQUENCES: dict[str, Buildable] = {
    "sequences": dna(4),
    "sequences at fidelities": FidelityEnvironment(dna(4), 3),
    "peptides": PEPTIDES,
    "peptides at fidelities": FidelityEnvironment(PEPTIDES, 2),
}


def reader(
    environment: Buildable, *, seed: int = 0, flow: bool = False, context_features: int = 0
) -> Agent:
    heads = make_heads(environment, learnt_backward=flow, flow=flow)
    settings = PolicySettings(kind="gru", hidden=24)
    policy = make_policy(
        settings, environment, heads, seeded(seed), context_features=context_features
    )
    with torch.no_grad():  # Far from uniform.
        for values in policy.parameters():
            values.mul_(2.0)
    return Agent(environment, policy, heads)


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_walk_has_the_outputs_of_reading_anew(name: str) -> None:
    assert_walks_as_it_looks(reader(SEQUENCES[name], flow=True), 60)


def test_an_unused_pair_of_a_step_reads_nothing() -> None:
    policy = RecurrentPolicy((4, 3), 13, 5, generator=seeded(0), hidden=8)
    start = torch.zeros(2, 13)
    walk = policy.walk(start, 8, follows=True)
    walk.outputs()
    # The token of column 1, and column 0 by nothing.
    walk.shift(torch.tensor([[1, 0], [1, 0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    start[:, 1] = 1.0
    torch.testing.assert_close(walk.outputs(), policy(start).detach())


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("flow", [False, True])
def test_a_rollout_has_the_gradients_of_reading_anew(name: str, flow: bool) -> None:
    seen = reader(SEQUENCES[name], flow=flow)
    assert_same_gradients(gradients(seen, 40), gradients(opaque(seen), 40))


@pytest.mark.parametrize("name", SEQUENCES)
def test_log_probabilities_are_the_policys(name: str) -> None:
    seen = reader(SEQUENCES[name], context_features=2)
    context = torch.rand(20, 2, generator=seeded(1))
    for with_states in (False, True):
        found = rollout(seen, seen.start(20), seeded(0), context=context, with_states=with_states)
        expected = log_pf_by_definition(seen, found)
        torch.testing.assert_close(found.log_pf.detach(), expected, rtol=0, atol=1e-5)


def test_samples_follow_the_exact_distribution() -> None:
    seen = reader(SEQUENCES["peptides at fidelities"], seed=2)
    states, probabilities = exact_distribution(seen)
    assert probabilities.max() > 3 / len(states)
    with torch.no_grad():
        final = rollout(seen, seen.start(20_000), seeded(3)).final
    assert_drawn_from(final, states, probabilities)


def test_reading_is_torchs_own_unit_on_the_tokens() -> None:
    """Token by token, however many there are."""
    seen = reader(PEPTIDES)
    policy = seen.policy
    assert isinstance(policy, RecurrentPolicy)
    for key in ("AC", "DDA", "CADC"):
        tokens = torch.tensor([["ACD".index(letter) for letter in key]])
        letters = torch.nn.functional.one_hot(tokens, 3).float()
        _, expected = policy.unit(letters)
        hidden, rest = policy.read(PEPTIDES.observe(PEPTIDES.states([key])))
        torch.testing.assert_close(hidden, expected[0])
        assert rest.tolist() == [[1.0]]
    hidden, rest = policy.read(PEPTIDES.observe(PEPTIDES.initial(2)))
    assert not hidden.any() and not rest.any()


def test_the_order_of_tokens_counts() -> None:
    seen, environment = reader(dna(4)), dna(4)
    outputs = seen.outputs(environment.states(["ACGT", "TGCA", "ACGT"]))
    assert torch.equal(outputs[0], outputs[2])
    assert (outputs[0] - outputs[1]).abs().max() > 1e-2


def test_weights_come_from_the_generator() -> None:
    first, again, other = (reader(dna(4), seed=seed).policy.state_dict() for seed in (3, 3, 4))
    for name, values in first.items():
        assert torch.equal(values, again[name])
        assert not torch.equal(values, other[name])


def test_the_shape_is_that_of_the_sequence_inside() -> None:
    assert sequence_shape(dna(5)) == (5, 4)
    assert sequence_shape(FidelityEnvironment(PEPTIDES, 3)) == (4, 3)


@pytest.mark.parametrize("environment", [GridEnvironment(side=3), ladder(3)])
def test_what_is_no_sequence_is_refused(environment: Buildable) -> None:
    with pytest.raises(ConfigError, match="has no sequence_shape") as raised:
        make_policy(PolicySettings(kind="gru"), environment, make_heads(environment), seeded(0))
    assert type(environment).__name__ in raised.value.message
    assert "'mlp'" in raised.value.hint


def test_a_walk_follows_changes_alone() -> None:
    seen = reader(dna(4))
    assert isinstance(seen.policy, RecurrentPolicy)
    walk = seen.policy.walk(seen.observe(seen.start(2), None), 8, follows=True)
    with pytest.raises(TypeError, match="follows changes"):
        walk.move(torch.zeros(2, 16))


def test_weights_come_from_the_generator_alone() -> None:
    environment, state = dna(4), torch.get_rng_state()
    make_policy(PolicySettings(kind="gru"), environment, make_heads(environment), seeded(0))
    assert torch.equal(torch.get_rng_state(), state)
