import torch

from mfal.envs.base import Breeder
from mfal.gfn.guided import offspring, rebuild
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.problems import dna


def _seed(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_sequences_breed() -> None:
    environment = dna(12)
    parents = torch.tensor([[0] * 12, [1] * 12])
    children = offspring(environment, parents, 201, _seed(0))
    assert children.shape == (201, 12)
    assert not environment.forward_mask(children).any()
    mutants, crossed = children[:101], children[101:]
    distance = (mutants[:, None] != parents).sum(dim=2).min(dim=1).values
    assert distance.max() <= 3 and (distance > 0).double().mean() > 0.9
    assert (crossed <= 1).all()
    assert ((crossed == 0).any(dim=1) & (crossed == 1).any(dim=1)).sum() > 20


def test_environments_without_breeding_rebuild() -> None:
    environment = GridEnvironment(side=6)
    assert not isinstance(environment, Breeder)
    parents = environment.states(["5,5", "0,5"])
    children = offspring(environment, parents, 300, _seed(1))
    assert children.shape == (300, 3)
    assert not environment.forward_mask(children).any()
    assert len(set(environment.keys(children))) > 10


def test_rebuilding_keeps_at_least_half() -> None:
    environment = dna(9)
    parents = torch.randint(0, 4, (500, 9), generator=_seed(2))
    children = rebuild(environment, parents, _seed(3))
    same = (children == parents).long().cumprod(dim=1).sum(dim=1)
    assert same.min() == 5  # max_steps // 2 = 4 letters undone at most.
    assert (children != parents).any(dim=1).double().mean() > 0.8
    assert torch.equal(parents, torch.randint(0, 4, (500, 9), generator=_seed(2)))


def test_offspring_depend_on_the_seed_alone() -> None:
    for environment, parents in (
        (dna(6), torch.zeros(3, 6, dtype=torch.long)),
        (GridEnvironment(side=5), GridEnvironment(side=5).states(["3,3", "4,0"])),
    ):
        state = torch.get_rng_state()
        first = offspring(environment, parents, 50, _seed(4))
        assert torch.equal(first, offspring(environment, parents, 50, _seed(4)))
        assert not torch.equal(first, offspring(environment, parents, 50, _seed(5)))
        assert torch.equal(torch.get_rng_state(), state)
