"""Published labels of molecules, where they are at hand, split by molecule."""

import csv
import os
from pathlib import Path

import torch

from mfal.dataset import Dataset
from mfal.features.morgan import MorganCounts

N_FIDELITIES = 3


def anchors(name: str) -> Path | None:
    """A file of published data in the folder MFAL_ANCHORS; None where it is not."""
    path = Path(os.environ.get("MFAL_ANCHORS", "anchors")) / name
    return path if path.is_file() else None


def ionisation_split(path: Path, n_target: int, *, seed: int) -> tuple[Dataset, Dataset]:
    """Ionisation potentials (eV) to learn from, and others at the target to predict.

    Learnt from are `n_target` molecules at the target, one observation each, and all rows of
    lower fidelities but those of the molecules that are tested: the rest of those with a label
    at the target, one observation each.
    """
    with path.open() as file:
        rows = [(r["selfies"], int(r["fidelity"]), float(r["ip_ev"])) for r in csv.DictReader(file)]
    name = canonical([key for key, _, _ in rows])
    target = list(dict.fromkeys(name[key] for key, rung, _ in rows if rung == N_FIDELITIES - 1))
    order = torch.randperm(len(target), generator=torch.Generator().manual_seed(seed)).tolist()
    learnt = {target[i] for i in order[:n_target]}
    tested = set(target) - learnt
    low = [(name[key], rung, ip) for key, rung, ip in rows if rung < N_FIDELITIES - 1]
    first = {name[key]: ip for key, rung, ip in reversed(rows) if rung == N_FIDELITIES - 1}
    train = [row for row in low if row[0] not in tested]
    train += [(key, N_FIDELITIES - 1, first[key]) for key in target if key in learnt]
    test = [(key, N_FIDELITIES - 1, first[key]) for key in target if key in tested]
    return observed(train), observed(test)


def canonical(keys: list[str]) -> dict[str, str]:
    """SELFIES -> the SMILES that all texts for its molecule share."""
    from rdkit import Chem
    from selfies import decoder

    return {key: Chem.CanonSmiles(decoder(key)) for key in dict.fromkeys(keys)}


def observed(rows: list[tuple[str, int, float]]) -> Dataset:
    """SMILES, fidelity and utility of each observation."""
    keys = tuple(dict.fromkeys(key for key, _, _ in rows))
    place = {key: i for i, key in enumerate(keys)}
    return Dataset(
        keys=keys,
        features=MorganCounts(notation="smiles")(keys),
        candidate=torch.tensor([place[key] for key, _, _ in rows]),
        fidelity=torch.tensor([rung for _, rung, _ in rows]),
        utility=torch.tensor([value for _, _, value in rows], dtype=torch.float64),
        n_fidelities=N_FIDELITIES,
    )
