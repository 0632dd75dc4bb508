"""Fits the antimicrobial classifiers, and says how good they are.

``python -m oracles.amp_training`` prints the figures of `data/README.md`.
"""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import typer
from scipy.stats import spearmanr

from mfal.features.residues import ALPHABET
from oracles.amp_classifier import Array, Classifier, descriptors
from oracles.amp_data import LONGEST, Labelled, labelled_peptides, require

SHARES = {"svm-10": 0.1, "svm-40": 0.4, "svm-100": 1.0}
"""Fidelity -> the share of the training peptides that its classifier learns from."""

PENALTY = 1.0  # C of the machine, scikit-learn's default; γ is 1 over the number of descriptors
FOLDS = 5


def train(training: Labelled) -> dict[str, Classifier]:
    """The classifier of each fidelity; the same arrays for the same peptides and versions."""
    rows = descriptors(training.keys)
    labels = np.array(training.antimicrobial)
    return {
        name: fit(rows[: int(share * len(rows))], labels[: int(share * len(rows))])
        for name, share in SHARES.items()
    }


def fit(rows: Array, labels: Array) -> Classifier:
    """A classifier from ``n x p`` descriptors and ``n`` labels.

    The logistic function is fitted to decisions on peptides that the machine behind them had
    not seen (five folds), so that probabilities hold for new peptides.
    """
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    z = (rows - mean) / scale
    fold = np.arange(len(z)) % FOLDS
    unseen = np.empty(len(z))
    for k in range(FOLDS):
        unseen[fold == k] = (
            _machine().fit(z[fold != k], labels[fold != k]).decision_function(z[fold == k])
        )
    logistic = require("sklearn.linear_model").LogisticRegression(C=1e6)
    logistic.fit(unseen[:, None], labels)
    machine = _machine().fit(z, labels)
    constants = [
        1 / z.shape[1],
        machine.intercept_[0],
        logistic.coef_[0, 0],
        logistic.intercept_[0],
    ]
    return Classifier(
        mean, scale, machine.support_vectors_, machine.dual_coef_[0], np.array(constants)
    )


def random_peptides(n: int, seed: int) -> list[str]:
    """N peptides of 1 to 50 residues, all lengths and all residues alike."""
    rng = random.Random(seed)
    return ["".join(rng.choices(ALPHABET, k=rng.randint(1, LONGEST))) for _ in range(n)]


def mutated_peptides(parents: Sequence[str], n: int, seed: int) -> list[str]:
    """N of `parents`, each with up to a quarter of its residues redrawn."""
    rng = random.Random(seed)
    mutants = []
    for _ in range(n):
        residues = list(rng.choice(parents))
        for _ in range(rng.randint(1, max(1, len(residues) // 4))):
            residues[rng.randrange(len(residues))] = rng.choice(ALPHABET)
        mutants.append("".join(residues))
    return mutants


def _machine() -> Any:  # noqa: ANN401 - scikit-learn has no types
    return require("sklearn.svm").SVC(C=PENALTY, gamma="auto")


def main() -> None:
    """Print how well each fidelity tells peptides apart, and how it ranks like the target."""
    training, test = labelled_peptides()
    typer.echo(f"{len(training.keys)} peptides to train on, {len(test.keys)} held out")
    antimicrobial = [k for k, yes in zip(test.keys, test.antimicrobial, strict=True) if yes]
    peptides = {
        "test": descriptors(test.keys),
        "random": descriptors(random_peptides(2000, seed=1)),
        "mutated": descriptors(mutated_peptides(antimicrobial, 2000, seed=1)),
    }
    ladder = train(training)
    target = {of: ladder["svm-100"].probability(rows) for of, rows in peptides.items()}
    roc_auc = require("sklearn.metrics").roc_auc_score
    for name, classifier in ladder.items():
        found = {of: classifier.probability(rows) for of, rows in peptides.items()}
        ranks = {of: spearmanr(found[of], target[of]).statistic for of in peptides}
        agreement = ", ".join(f"{of} {rank:.3f}" for of, rank in ranks.items())
        auc = roc_auc(test.antimicrobial, found["test"])
        typer.echo(f"{name}: AUC {auc:.4f}; Spearman with the target: {agreement}")
    for of, values in target.items():
        typer.echo(
            f"target on {len(values)} {of} peptides: median {np.median(values):.3f}, "
            f"above .99 {np.mean(values > 0.99):.3f}, largest {values.max():.5f}, "
            f"distinct {len(np.unique(values.round(9)))}"
        )


if __name__ == "__main__":
    main()
