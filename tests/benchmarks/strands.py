"""DNA strands with their folding energies: random ones, and what evolution makes of them."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from mfal.dataset import Dataset
from mfal.envs.sequence import SequenceEnvironment
from mfal.features.base import FeatureSet
from mfal.gfn.guided import offspring
from oracles.folding import ViennaFolding

LENGTH = 30
PARENTS, CHILDREN, GENERATIONS = 200, 400, 40


def utility(keys: Sequence[str]) -> Tensor:
    """Minus the minimum free energy of each, kcal/mol, float64 (higher folds better)."""
    folding = ViennaFolding()
    return torch.tensor([-folding.fold(key)[1] for key in keys], dtype=torch.float64)


def random_strands(n: int, *, seed: int) -> list[str]:
    """n distinct 30-mers."""
    generator = Generator().manual_seed(seed)
    environment = SequenceEnvironment(alphabet="ACGT", length=LENGTH)
    letters = torch.randint(4, (n + 100, LENGTH), generator=generator)
    return list(dict.fromkeys(environment.keys(letters)))[:n]


def evolved_strands(n: int, *, seed: int, below: float = 0.0) -> list[str]:
    """n distinct 30-mers that a genetic algorithm meets on its way from random ones down.

    Args:
        n: How many, picked at random from all that it meets.
        seed: Of everything that is drawn.
        below: Only those with a lower energy, kcal/mol.
    """
    generator = Generator().manual_seed(seed)
    environment = SequenceEnvironment(alphabet="ACGT", length=LENGTH)
    keys = random_strands(PARENTS, seed=seed)
    found = dict(zip(keys, utility(keys).tolist(), strict=True))
    for _ in range(GENERATIONS):
        parents = sorted(found, key=lambda key: (-found[key], key))[:PARENTS]
        states = environment.states(parents)
        children = environment.keys(offspring(environment, states, CHILDREN, generator))
        fresh = [key for key in dict.fromkeys(children) if key not in found]
        found |= dict(zip(fresh, utility(fresh).tolist(), strict=True))
    met = [key for key, value in found.items() if -value < below]
    order = torch.randperm(len(met), generator=generator)[:n].tolist()
    return [met[i] for i in order]


def target_data(keys: Sequence[str], features: FeatureSet) -> Dataset:
    """All of them asked once, at the only fidelity."""
    n = len(keys)
    return Dataset(
        keys=tuple(keys),
        features=features(keys),
        candidate=torch.arange(n),
        fidelity=torch.zeros(n, dtype=torch.long),
        utility=utility(keys),
        n_fidelities=1,
    )
