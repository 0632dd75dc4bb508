"""The cheap rung of the DNA ladder: a transformer that imitates the folding energy of a strand.

Plain attention over single bases hardly learns which bases pair. This network is told: every
position carries its 3-mer and the reverse complement of it from one shared table, and every
pair of positions the length of the longest stem that can run through it.

How it was trained is in `oracles.dna_training`.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that PyTorch's manual uses

from mfal.errors import InvalidKeyError
from oracles.dna_weights import TRAINED_LENGTH, WEIGHTS, unreadable_weights
from oracles.folding import ALPHABET, check_letters

MIN_LOOP = 3
MAX_STEM = 10
WIDTH, HEADS, LAYERS, HIDDEN = 64, 4, 3, 128

PREDICT_BATCH = 32


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
