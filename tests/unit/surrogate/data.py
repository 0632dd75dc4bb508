"""Data with a known shape: made up, or folded by ViennaRNA."""

import random

import RNA
import torch
from torch import Tensor

from mfal.dataset import Dataset
from mfal.features.base import FeatureSet
from mfal.features.kmers import KmerCounts
from mfal.features.stems import StemSummary


def synthetic(n: int, n_fidelities: int, *, seed: int, width: int = 9) -> Dataset:
    """Counts and three trend columns; each lower rung is shifted, scaled and in part its own.

    The cheapest rung is asked about all n candidates, the next about half of them and so on.
    """
    generator = torch.Generator().manual_seed(seed)
    features = torch.randint(0, 5, (n, width), generator=generator).double()
    features[:, -3:] += torch.randn(n, 3, generator=generator, dtype=torch.float64)
    shared = features[:, -3:].sum(dim=1) + 2 * (features[:, 0] - features[:, 1]).sin()
    special = torch.randn(n, generator=generator, dtype=torch.float64)
    candidate, fidelity, utility = [], [], []
    for rung in range(n_fidelities):
        asked = torch.arange(n // 2**rung)
        own = torch.randn(len(asked), generator=generator, dtype=torch.float64)
        below = n_fidelities - 1 - rung
        values = shared[asked] + 0.6 * special[asked] + 0.7 * below * own
        candidate.append(asked)
        fidelity.append(torch.full_like(asked, rung))
        utility.append(values * 1.5**below + 4.0 * below)
    return Dataset(
        keys=tuple(str(i) for i in range(n)),
        features=features,
        candidate=torch.cat(candidate),
        fidelity=torch.cat(fidelity),
        utility=torch.cat(utility),
        n_fidelities=n_fidelities,
    )


def target_only(data: Dataset) -> Dataset:
    """What was asked at the target."""
    return data.subset(data.fidelity == data.n_fidelities - 1)


def strands(n: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices("ACGT", k=30)) for _ in range(n)]


def dna_features() -> FeatureSet:
    return FeatureSet([KmerCounts(alphabet="ACGT"), StemSummary()])


def folding_energies(keys: list[str]) -> Tensor:
    """The target: DNA parameters, dangling ends on both sides; n, kcal/mol."""
    RNA.params_load_DNA_Mathews2004()
    model = RNA.md()
    model.temperature, model.dangles, model.noGU, model.special_hp = 37.0, 2, 1, 0
    return _energies(keys, model)


def cheap_energies(keys: list[str]) -> Tensor:
    """A cheap stand-in: RNA parameters, no dangling ends, no lonely pairs; n, kcal/mol."""
    RNA.params_load_RNA_Turner2004()
    model = RNA.md()
    model.temperature, model.dangles, model.noGU, model.noLP = 37.0, 0, 1, 1
    return _energies(keys, model)


def _energies(keys: list[str], model: RNA.md) -> Tensor:
    """By the parameters that were loaded last: to load them takes longer than to fold a strand."""
    folds = [RNA.fold_compound(key, model).mfe() for key in keys]
    return torch.tensor([energy for _, energy in folds], dtype=torch.float64)


def folded(cheap: list[str], target: list[str], features: FeatureSet) -> Dataset:
    """Strands asked at the cheap rung and at the target."""
    keys = list(dict.fromkeys(cheap + target))
    place = {key: i for i, key in enumerate(keys)}
    return Dataset(
        keys=tuple(keys),
        features=features(keys),
        candidate=torch.tensor([place[key] for key in cheap + target]),
        fidelity=torch.tensor([0] * len(cheap) + [1] * len(target)),
        utility=-torch.cat([cheap_energies(cheap), folding_energies(target)]),
        n_fidelities=2,
    )
