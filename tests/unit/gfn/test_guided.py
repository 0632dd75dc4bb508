import torch
from torch import Tensor, nn

from mfal.envs.base import hook
from mfal.envs.fidelity import FidelityEnvironment
from mfal.envs.hypergrid import HypergridEnvironment
from mfal.gfn.agent import Agent
from mfal.gfn.exact import exact_distribution
from mfal.gfn.guided import offspring, random_agent, rebuild
from mfal.gfn.heads import make_heads
from mfal.gfn.policy import UniformPolicy
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.definitions import PEPTIDES, assert_drawn_from
from tests.unit.gfn.problems import agent, dna, ladder, seeded, sharpen


def test_sequences_breed() -> None:
    environment = dna(12)
    parents = torch.tensor([[0] * 12, [1] * 12])
    children = offspring(environment, parents, 201, seeded(0))
    assert children.shape == (201, 12)
    assert not environment.forward_mask(children).any()
    mutants, crossed = children[:101], children[101:]
    distance = (mutants[:, None] != parents).sum(dim=2).min(dim=1).values
    assert distance.max() <= 3 and (distance > 0).double().mean() > 0.9
    assert (crossed <= 1).all()
    assert ((crossed == 0).any(dim=1) & (crossed == 1).any(dim=1)).sum() > 20


def test_candidates_breed_with_their_fidelities() -> None:
    environment = FidelityEnvironment(dna(12), 3)
    assert hook(environment, "mutate") and hook(environment, "crossover")
    parents = environment.states(["A" * 12, "C" * 12], [0, 1])
    children = offspring(environment, parents, 200, seeded(0))
    assert not environment.forward_mask(children).any()
    crossed = environment.candidates(children)[100:]
    assert (crossed <= 1).all()
    assert ((crossed == 0).any(dim=1) & (crossed == 1).any(dim=1)).sum() > 20
    assert set(environment.fidelities(children[100:]).tolist()) == {0, 1}
    assert set(environment.fidelities(children[:100]).tolist()) == {0, 1, 2}


def test_environments_without_breeding_rebuild() -> None:
    for environment in (GridEnvironment(side=6), ladder(6)):
        assert hook(environment, "mutate") is None and hook(environment, "crossover") is None
        parents = environment.states(["5,5", "0,5"])
        children = offspring(environment, parents, 300, seeded(1))
        assert children.shape == (300, parents.shape[1])
        assert not environment.forward_mask(children).any()
        assert len(set(environment.keys(children))) > 10
        generator = seeded(1)
        chosen = parents[torch.randint(2, (300,), generator=generator)]
        expected = rebuild(random_agent(environment), chosen, generator)
        assert torch.equal(children, expected)


def test_rebuilding_keeps_at_least_half() -> None:
    environment = dna(9)
    parents = torch.randint(0, 4, (500, 9), generator=seeded(2))
    children = rebuild(random_agent(environment), parents, seeded(3))
    same = (children == parents).long().cumprod(dim=1).sum(dim=1)
    assert same.min() == 5  # 9 // 2 = 4 letters undone at most.
    assert (children != parents).any(dim=1).double().mean() > 0.8
    assert torch.equal(parents, torch.randint(0, 4, (500, 9), generator=seeded(2)))


class Fixed(nn.Module):
    """Always the same action, where it is allowed."""

    def __init__(self, width: int, action: int) -> None:
        super().__init__()
        self.logits = torch.zeros(width)
        self.logits[action] = 100.0

    def forward(self, observation: Tensor) -> Tensor:
        return self.logits.expand(len(observation), -1)


def fixed(environment: GridEnvironment, action: int) -> Agent:
    heads = make_heads(environment)
    return Agent(environment, Fixed(heads.n_outputs, action), heads)


def test_half_is_that_of_each_rows_own_length() -> None:
    """A policy that stops at once shows where the undoing ended."""
    environment = GridEnvironment(side=8)
    parents = environment.states(["0,0"] * 200 + ["2,1"] * 200 + ["7,7"] * 200)
    points = rebuild(fixed(environment, 2), parents, seeded(0))[:, :2].sum(dim=1).view(3, 200)
    # Lengths are 1, 4 and 15, so 1, 1 to 2 and 1 to 7 steps go, the stop first.
    assert set(points[0].tolist()) == {0}
    assert set(points[1].tolist()) == {2, 3}
    assert set(points[2].tolist()) == set(range(8, 15))
    counts = torch.bincount(points[2], minlength=15)[8:]
    assert (counts - 200 / 7).abs().max() < 4 * (200 * 1 / 7 * 6 / 7) ** 0.5


def test_rows_of_unequal_length_are_undone_by_their_own() -> None:
    seen = random_agent(PEPTIDES)
    parents = PEPTIDES.states(["AC"] * 300 + ["ACDA"] * 300)
    children = rebuild(seen, parents, seeded(0))
    assert not PEPTIDES.forward_mask(children).any()
    # 3 and 5 steps long: 1, and 1 to 2 of them go; the end is one of them.
    assert all(key.startswith("AC") for key in PEPTIDES.keys(children[:300]))
    assert all(key.startswith("ACD") for key in PEPTIDES.keys(children[300:]))
    assert len(set(PEPTIDES.keys(children[300:]))) > 3


def test_rebuilding_follows_the_policy() -> None:
    """One letter undone, so the last one is drawn anew by the policy."""
    environment = dna(3)
    seen = sharpen(agent(environment))
    parents = environment.states(["ACG"] * 20_000)
    children = rebuild(seen, parents, seeded(0))
    states, probabilities = exact_distribution(seen)
    beginning = (states[:, :2] == torch.tensor([0, 1])).all(dim=1)
    conditional = probabilities[beginning] / probabilities[beginning].sum()
    assert conditional.max() > 0.3
    assert_drawn_from(children, states[beginning], conditional)


def test_rebuilding_sees_the_context() -> None:
    environment, context = dna(3), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    seen = sharpen(agent(environment, context_features=2))
    parents = environment.states(["ACG"] * 20_000)
    children = rebuild(seen, parents, seeded(0), context.repeat(10_000, 1)).view(10_000, 2, 3)
    for row in range(2):
        states, probabilities = exact_distribution(seen, context=context[row : row + 1])
        beginning = (states[:, :2] == torch.tensor([0, 1])).all(dim=1)
        conditional = probabilities[beginning] / probabilities[beginning].sum()
        assert_drawn_from(children[:, row], states[beginning], conditional)


def test_a_random_agent_has_no_preference() -> None:
    for environment in (dna(3), HypergridEnvironment(dimensions=2, side=3)):
        seen = random_agent(environment)
        assert isinstance(seen.policy, UniformPolicy)
        assert not seen.outputs(seen.start(4)).any()
        assert seen.outputs(seen.start(4)).shape == (4, environment.n_actions)


def test_offspring_depend_on_the_seed_alone() -> None:
    for environment, parents in (
        (dna(6), torch.zeros(3, 6, dtype=torch.long)),
        (GridEnvironment(side=5), GridEnvironment(side=5).states(["3,3", "4,0"])),
    ):
        state = torch.get_rng_state()
        first = offspring(environment, parents, 50, seeded(4))
        assert torch.equal(first, offspring(environment, parents, 50, seeded(4)))
        assert not torch.equal(first, offspring(environment, parents, 50, seeded(5)))
        assert torch.equal(torch.get_rng_state(), state)
