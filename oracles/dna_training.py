"""How the transformer of the DNA ladder was made: labels, training, figures.

python -m oracles.dna_training train --out FILE       # make labels, train, report
python -m oracles.dna_training evaluate [--labels nupack.csv]
"""

import hashlib
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import typer
from scipy.stats import spearmanr
from torch import Tensor, nn

from mfal.errors import ConfigError, MfalError
from oracles.dna_transformer import MIN_LOOP, DnaTransformer, encode, load, save
from oracles.dna_weights import TRAINED_LENGTH, WEIGHTS
from oracles.folding import ALPHABET, ViennaFolding

BATCH = 128
LEARNING_RATE = 2e-3
WARMUP = 100
HELD_OUT = 4_000
STRONG = -10.0
COLUMNS = ["sequence", "nupack_mfe_kcal_mol"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Labels:
    """Strands and their folding energies in kcal/mol; the first `n_random` are purely random."""

    sequences: list[str]
    energies: Tensor
    n_random: int


def make_labels(n: int, rng: np.random.Generator) -> Labels:
    """Label n strands: half random, a third with planted stems, a sixth mutants of those.

    Random strands hardly ever fold well (mean -1.6 kcal/mol), and a search visits those that
    do: planted stems take the energies down to -20.
    """
    n_random, n_planted = n // 2, n // 3
    random = rng.integers(4, size=(n_random, TRAINED_LENGTH))
    planted = np.stack([_planted(rng) for _ in range(n_planted)])
    mutants = planted[rng.integers(n_planted, size=n - n_random - n_planted)].copy()
    for mutant in mutants:
        places = rng.choice(TRAINED_LENGTH, size=rng.integers(1, 4), replace=False)
        mutant[places] = rng.integers(4, size=len(places))
    strands = np.concatenate([random, planted, mutants])
    sequences = ["".join(ALPHABET[base] for base in strand) for strand in strands]
    folding = ViennaFolding()
    energies = torch.tensor([folding.fold(sequence)[1] for sequence in sequences])
    return Labels(sequences, energies, n_random)


def _planted(rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """A strand with one or two planted stems of 3 to 12 pairs, of random G-C content."""
    gc = rng.uniform(0.3, 0.95)
    weights = np.array([1 - gc, gc, gc, 1 - gc]) / 2
    strand = rng.choice(4, size=TRAINED_LENGTH, p=weights)
    for _ in range(1 if rng.random() < 0.7 else 2):
        pairs = int(rng.integers(3, 13))
        loop = int(rng.integers(MIN_LOOP, min(10, TRAINED_LENGTH - 2 * pairs) + 1))
        start = int(rng.integers(TRAINED_LENGTH - 2 * pairs - loop + 1))
        end = start + 2 * pairs + loop
        strand[end - pairs : end] = 3 - strand[start : start + pairs][::-1]
    return strand


def train(labels: Labels, steps: int, seed: int) -> DnaTransformer:
    """A transformer trained for a fixed number of steps; same labels and seed, same weights.

    AdamW on the squared error, with warm-up and a cosine to zero. Bitwise reproducible with
    one thread on one kind of processor.
    """
    torch.manual_seed(seed)
    model = DnaTransformer()
    bases = encode(labels.sequences, model.length)
    model.offset.copy_(labels.energies.mean())
    model.scale.copy_(labels.energies.std())
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / WARMUP) * (1 + math.cos(math.pi * step / steps)) / 2,
    )
    for step, batch in enumerate(_batches(len(bases), steps), start=1):
        error = (model(bases[batch]) - labels.energies[batch]) / model.scale
        optimizer.zero_grad()
        loss = error.square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 500 == 0:
            logger.info("step %d of %d: loss %.4f", step, steps, loss.item())
    return model.double().eval()


def _batches(n: int, steps: int) -> Iterator[Tensor]:
    """`steps` batches of indices below n, epoch after epoch in a new order."""
    waiting = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        while len(waiting) < BATCH:
            waiting = torch.cat([waiting, torch.randperm(n)])
        yield waiting[:BATCH]
        waiting = waiting[BATCH:]


def held_out(n: int, seed: int) -> Labels:
    """Label n strands from a stream of random numbers that no training draws from."""
    return make_labels(n, np.random.default_rng([seed, 1]))


def r_squared(predicted: Sequence[float], actual: Sequence[float]) -> float:
    """Share of the variance of `actual` that is explained."""
    x, y = np.asarray(predicted), np.asarray(actual)
    return float(1 - np.square(x - y).sum() / np.square(y - y.mean()).sum())


def report(model: DnaTransformer, labels: Labels) -> str:
    """Agreement with the labels: on all of them, the random ones and those that fold strongly."""
    predicted = np.array(model.predict(labels.sequences))
    actual = labels.energies.double().numpy()
    subsets = {
        "all": np.full(len(actual), True),
        "purely random": np.arange(len(actual)) < labels.n_random,
        f"below {STRONG:g} kcal/mol": actual < STRONG,
    }
    lines = []
    for name, chosen in subsets.items():
        x, y = predicted[chosen], actual[chosen]
        rmse = math.sqrt(np.square(x - y).mean())
        rank = spearmanr(x, y).statistic
        lines.append(
            f"{name}: n {len(x)}, R² {r_squared(x, y):.4f}, Spearman {rank:.4f}, "
            f"RMSE {rmse:.2f} kcal/mol"
        )
    return "\n".join(lines)


app = typer.Typer(help="Train and evaluate the DNA transformer.", no_args_is_help=True)


@app.command("train")
def train_command(
    out: Annotated[Path, typer.Option(help="Weights file to write.")] = WEIGHTS,
    labels: Annotated[int, typer.Option(min=100, help="Strands to label.")] = 120_000,
    steps: Annotated[int, typer.Option(min=1, help="Batches of 128.")] = 6_000,
    seed: Annotated[int, typer.Option(min=0, help="Of labels and training.")] = 0,
) -> None:
    """Label strands with ViennaRNA, train on one thread, report on held-out strands."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    labelled = make_labels(labels, np.random.default_rng([seed, 0]))
    logger.info("labelled %d strands with %s", labels, ViennaFolding().label)
    save(train(labelled, steps, seed), out)
    typer.echo(report(load(out), held_out(HELD_OUT, seed)))
    typer.echo(f"{out} sha256 {hashlib.sha256(out.read_bytes()).hexdigest()}")


@app.command("evaluate")
def evaluate_command(
    weights: Annotated[Path, typer.Option(help="Weights file to read.")] = WEIGHTS,
    size: Annotated[int, typer.Option(min=100, help="Held-out strands to label.")] = HELD_OUT,
    seed: Annotated[int, typer.Option(min=0, help="Of the held-out strands.")] = 1,
    labels: Annotated[
        Path | None,
        typer.Option(
            help=f"CSV with the columns {', '.join(COLUMNS)}.", exists=True, dir_okay=False
        ),
    ] = None,
) -> None:
    """Report on fresh held-out strands and, given a CSV, on its NUPACK energies."""
    model = load(weights)
    typer.echo(report(model, held_out(size, seed)))
    if labels is None:
        return
    table = pd.read_csv(labels)
    if not set(COLUMNS) <= set(table.columns):
        raise ConfigError(
            f"{labels} has the columns {', '.join(table.columns)}",
            f"it needs {' and '.join(COLUMNS)}",
        )
    predicted = model.predict(table["sequence"].tolist())
    rho = spearmanr(predicted, table["nupack_mfe_kcal_mol"]).statistic
    typer.echo(f"{labels.name}: n {len(table)}, Spearman with NUPACK {rho:.4f}")


def main() -> None:
    """Run a command; an error that a user is meant to read comes without a traceback."""
    try:
        app()
    except MfalError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
