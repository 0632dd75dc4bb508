"""What the descriptors of peptides are worth to a surrogate: held-out ranks, with and without.

`python -m tests.benchmarks.peptides` prints the table of docs/peptides.md.
"""

from collections.abc import Sequence
from statistics import mean, stdev

import torch
import typer
from scipy.stats import spearmanr

from mfal.dataset import Dataset
from mfal.features.base import Features, FeatureSet
from mfal.features.kmers import KmerCounts
from mfal.features.peptides import PeptideDescriptors
from mfal.features.residues import ALPHABET
from mfal.gfn.baselines import RandomSampler
from mfal.surrogate.gp import MultiFidelityGP
from oracles.amp import problem
from oracles.amp_cache import default_folder, load_or_train
from oracles.amp_classifier import descriptors
from oracles.amp_data import Labelled, labelled_peptides
from oracles.amp_training import mutated_peptides

SIZES, SEEDS, HELD_OUT = (50, 200, 600), range(5), 600

ALL = tuple(range(PeptideDescriptors().width))
FEATURES: dict[str, tuple[Features, tuple[int, ...]]] = {
    "k-mers (k = 1)": (KmerCounts(alphabet=ALPHABET, k=1), ()),
    "k-mers (k = 2)": (KmerCounts(alphabet=ALPHABET, k=2), ()),
    "descriptors": (PeptideDescriptors(), PeptideDescriptors().linear_columns),
    "… without a linear trend": (PeptideDescriptors(), ()),
    "… with one in every column": (PeptideDescriptors(), ALL),
}
"""Name -> features, and which of their columns have a linear trend."""


def random_keys(n: int, seed: int) -> list[str]:
    """N peptides as the initial design draws them."""
    sampler = RandomSampler(problem().environment(), problem().oracle.fidelities)
    drawn = sampler.sample(lambda keys: torch.zeros(len(keys), 3), 3 * n, seed=seed)
    return list(dict.fromkeys(query.key for query in drawn.queries))[:n]


def mutants(peptides: Labelled, n: int, seed: int) -> list[str]:
    """N mutants of antimicrobial peptides."""
    parents = [k for k, yes in zip(peptides.keys, peptides.antimicrobial, strict=True) if yes]
    return list(dict.fromkeys(mutated_peptides(parents, 2 * n, seed)))[:n]


def main() -> None:
    """Half of the training peptides are random and half mutants, as in a campaign under way."""
    target = load_or_train(default_folder())["svm-100"]
    training, test = labelled_peptides()
    held_out = {"random": random_keys(HELD_OUT, 99), "mutants": mutants(test, HELD_OUT, 99)}

    def value(keys: Sequence[str]) -> torch.Tensor:
        return torch.from_numpy(target.probability(descriptors(list(keys))))

    for n in SIZES:
        for name, (part, linear_columns) in FEATURES.items():
            features = FeatureSet([part])
            found: dict[str, list[float]] = {of: [] for of in held_out}
            for seed in SEEDS:
                keys = random_keys(n // 2, seed) + mutants(training, n // 2, seed)
                keys = list(dict.fromkeys(keys))
                data = Dataset(
                    keys=tuple(keys),
                    features=features(keys),
                    candidate=torch.arange(len(keys)),
                    fidelity=torch.zeros(len(keys), dtype=torch.long),
                    utility=value(keys),
                    n_fidelities=1,
                )
                surrogate = MultiFidelityGP(linear_columns=linear_columns)
                fitted = surrogate.fit(data, seed=seed)
                for of, asked in held_out.items():
                    predicted = fitted.joint(features(asked)).mean[:, 0]
                    found[of].append(float(spearmanr(predicted, value(asked)).statistic))
            cells = " | ".join(f"{mean(v):.3f} ± {stdev(v):.3f}" for v in found.values())
            typer.echo(f"| {n} | {name} | {cells} |")


if __name__ == "__main__":
    main()
