"""The cheap rung of the DNA ladder: a transformer that imitates the folding energy of a strand.

Plain attention over single bases hardly learns which bases pair. This network is told: every
position carries its 3-mer and the reverse complement of it from one shared table, and every
pair of positions the length of the longest stem that can run through it.

    python -m oracles.dna_transformer train --out FILE       # make labels, train, report
    python -m oracles.dna_transformer evaluate [--labels nupack.csv]
"""

import hashlib
import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
import safetensors.torch
import torch
import typer
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that PyTorch's manual uses

from mfal.errors import ConfigError, InvalidKeyError, MfalError
from oracles.dna import TRAINED_LENGTH, WEIGHTS, unreadable_weights
from oracles.folding import ALPHABET, ViennaFolding, check_letters

MIN_LOOP = 3
MAX_STEM = 10
WIDTH, HEADS, LAYERS, HIDDEN = 64, 4, 3, 128

BATCH = 128
PREDICT_BATCH = 32
LEARNING_RATE = 2e-3
WARMUP = 100
HELD_OUT = 4_000
STRONG = -10.0
COLUMNS = ["sequence", "nupack_mfe_kcal_mol"]

logger = logging.getLogger(__name__)


class DnaTransformer(nn.Module):
    """Predicts the folding energy of strands of `length` bases, L; a token has width d."""

    offset: Tensor
    scale: Tensor

    def __init__(self, length: int = TRAINED_LENGTH) -> None:
        super().__init__()
        self.length = length
        self.kmers = nn.Embedding(5**3, WIDTH // 2)
        self.stems = nn.Embedding(MAX_STEM + 1, WIDTH)
        self.positions = nn.Parameter(0.02 * torch.randn(length, WIDTH))
        self.stem_bias = nn.Parameter(torch.zeros(LAYERS * HEADS, MAX_STEM + 1))
        self.distance_bias = nn.Parameter(torch.zeros(LAYERS * HEADS, 2 * length))
        self.layers = nn.ModuleList(Layer(WIDTH, HEADS, HIDDEN) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Sequential(nn.Linear(2 * WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, 1))
        self.register_buffer("offset", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, bases: Tensor) -> Tensor:
        """Energies in kcal/mol, ``n``, of strands given as base indices in ACGT, ``n x L``."""
        stems = stem_lengths(bases)
        tokens = torch.cat([self.kmers(code) for code in kmer_codes(bases)], dim=-1)
        tokens = tokens + self.positions + self.stems(stems.amax(dim=2))
        biases = self._attention_bias(stems).chunk(len(self.layers), dim=1)
        for layer, bias in zip(self.layers, biases, strict=True):
            tokens = layer(tokens, bias)
        tokens = self.norm(tokens)
        pooled = torch.cat([tokens.mean(dim=1), tokens.amax(dim=1)], dim=-1)
        standardised: Tensor = self.head(pooled)[:, 0]
        return self.offset + self.scale * standardised

    def _attention_bias(self, stems: Tensor) -> Tensor:
        """What every head of every layer adds to its scores, ``n x (LAYERS HEADS) x L x L``."""
        place = torch.arange(self.length, device=stems.device)
        distance = place[None, :] - place[:, None] + self.length
        classes = torch.arange(MAX_STEM + 1, device=stems.device)[:, None]
        one_hot = (stems.flatten(1)[:, None, :] == classes).to(self.stem_bias.dtype)
        bias: Tensor = (self.stem_bias @ one_hot).view(len(stems), -1, self.length, self.length)
        return bias + self.distance_bias[:, distance]

    def predict(self, sequences: Sequence[str]) -> list[float]:
        """Energies in kcal/mol, one per sequence, whatever else is in the batch.

        In another batch sums are taken in another order. In double precision, which `load` and
        `train` return, that moves the thirteenth digit or so; answers are rounded to the sixth
        decimal.
        """
        bases = encode(sequences, self.length)
        with torch.inference_mode():
            parts = [self(part) for part in torch.split(bases, PREDICT_BATCH) if len(part)]
        return [round(energy, 6) for part in parts for energy in part.tolist()]


class Layer(nn.Module):
    """Self-attention with an additive bias, then a feed-forward part, both pre-normed."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_feed = nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, tokens: Tensor, bias: Tensor) -> Tensor:
        """Tokens ``n x L x d`` after this layer; `bias` is ``n x heads x L x L``."""
        n, length, width = tokens.shape
        projected = self.query_key_value(self.norm_attention(tokens))
        query, key, value = projected.view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(2, 3) / math.sqrt(width / self.heads)
        mixed = (scores + bias).softmax(dim=-1) @ value
        tokens = tokens + self.out(mixed.transpose(1, 2).reshape(n, length, width))
        fed: Tensor = self.feed(self.norm_feed(tokens))
        return tokens + fed


def kmer_codes(bases: Tensor) -> tuple[Tensor, Tensor]:
    """Codes in [0, 125) of each position's 3-mer and of its reverse complement, ``n x L`` both.

    The ends count as a fifth letter, so that both codes index one table.
    """
    forward = F.pad(bases + 1, (1, 1))
    complement = F.pad(4 - bases, (1, 1))
    left, middle, right = forward[:, :-2], forward[:, 1:-1], forward[:, 2:]
    code = 25 * left + 5 * middle + right
    left, middle, right = complement[:, :-2], complement[:, 1:-1], complement[:, 2:]
    return code, 25 * right + 5 * middle + left


def stem_lengths(bases: Tensor) -> Tensor:
    """Number of stacked Watson-Crick pairs in the stem through (i, j), ``n x L x L``.

    Zero where i and j do not pair, or would close a loop of fewer than three bases; at most
    `MAX_STEM`.
    """
    length = bases.shape[1]
    place = torch.arange(length, device=bases.device)
    far_enough = place[None, :] - place[:, None] > MIN_LOOP
    pairs = ((bases[:, :, None] + bases[:, None, :] == 3) & far_enough).float()
    inward, outward = pairs, pairs
    for _ in range(MAX_STEM - 1):
        inward = pairs * (1 + F.pad(inward, (1, 0, 0, 1))[:, 1:, :-1])
        outward = pairs * (1 + F.pad(outward, (0, 1, 1, 0))[:, :-1, 1:])
    stems = pairs * (inward + outward - 1).clamp(max=MAX_STEM)
    return (stems + stems.transpose(1, 2)).long()


def encode(sequences: Sequence[str], length: int) -> Tensor:
    """Base indices in ACGT, ``n x length``; InvalidKeyError for anything else."""
    for sequence in sequences:
        check_letters(sequence)
        if len(sequence) != length:
            raise InvalidKeyError(
                f"sequence {sequence!r} has {len(sequence)} bases",
                f"the transformer was trained on {length}",
            )
    table = [[ALPHABET.index(base) for base in sequence] for sequence in sequences]
    return torch.tensor(table, dtype=torch.long).reshape(len(sequences), length)


def load(path: Path = WEIGHTS) -> DnaTransformer:
    """The transformer from a weights file, in double precision and ready to predict."""
    try:
        with safe_open(path, framework="pt") as file:
            length = json.loads(file.metadata()["transformer"])["length"]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        with torch.device("meta"):  # no memory, and no random numbers drawn, for what is replaced
            model = DnaTransformer(length)
        model.load_state_dict(tensors, assign=True)
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise unreadable_weights(path, error) from error
    return model.double().eval()


def save(model: DnaTransformer, path: Path) -> None:
    """Write the weights in single precision: the same bytes for the same model."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.float() for name, tensor in model.state_dict().items()}
    metadata = {"transformer": json.dumps({"length": model.length})}
    path.write_bytes(safetensors.torch.save(tensors, metadata))


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


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Rank correlation, with average ranks for ties."""
    return float(pd.Series(x).rank().corr(pd.Series(y).rank()))


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
        lines.append(
            f"{name}: n {len(x)}, R² {r_squared(x, y):.4f}, Spearman {spearman(x, y):.4f}, "
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
    rho = spearman(predicted, table["nupack_mfe_kcal_mol"].tolist())
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
