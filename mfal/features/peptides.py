"""What chemists look at in a peptide: composition, charge, hydrophobicity, amphipathicity."""

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mfal.errors import ConfigError
from mfal.features.letters import encode
from mfal.features.residues import ALPHABET, CHARGE, CLASSES, HYDROPHOBICITY

HELIX, STRAND = 100.0, 160.0
"""Degrees from one residue to the next around the axis of an α-helix and of a β-strand."""

WINDOW = 11
"""Residues over which a hydrophobic moment is taken, three turns of a helix."""

BLANKS = 5
"""Residues without properties that means and shares count in, see `PeptideDescriptors`."""

SUMMARIES = 9
_CHUNK = 4096


class PeptideDescriptors:
    """Physico-chemical descriptors of a peptide.

    The columns:

    - 0: number of residues, in tens,
    - 1-2: net charge at pH 7 without the termini, and that per residue,
    - 3: mean hydrophobicity (consensus scale of Eisenberg et al. 1984),
    - 4-5: largest hydrophobic moment of an α-helix over 11 residues, and that of the whole,
    - 6: largest hydrophobic moment of a β-strand over 11 residues,
    - 7-8: share of aromatic residues (FWY), and of cysteine squared, as it bonds in pairs,
    - 9-28: share of each amino acid,
    - then for each of `gaps` the share of each ordered pair of the seven `CLASSES` among the
      pairs of residues that many places apart, 49 columns.

    A moment is the length of the mean of hydrophobicities as vectors around the axis (Eisenberg,
    Weiss & Terwilliger, Nature 299, 371 (1982)). Means and shares count in five blank residues,
    and a window that a peptide does not fill is filled with blanks: otherwise the descriptors
    of very short peptides lie far outside those of all others, and a linear trend then promises
    anything about them.

    Args:
        gaps: Distances of pairs in sequence; 1 are neighbours. Empty for no pairs.
        linear: Whether the surrogate gives columns 0-8 a linear trend. Shares have none: it would
            promise most where a peptide is made of two residues, such as ``CKCKCK``.
    """

    def __init__(
        self, *, gaps: tuple[Annotated[int, Field(ge=1)], ...] = (1,), linear: bool = True
    ) -> None:
        if len(set(gaps)) != len(gaps) or any(gap < 1 for gap in gaps):
            raise ConfigError(f"the gaps are {gaps}", "name each distance once, 1 or more")
        self.gaps = tuple(gaps)
        self.linear_columns = tuple(range(SUMMARIES)) if linear else ()
        self.width = SUMMARIES + len(ALPHABET) + len(gaps) * len(CLASSES) ** 2

    def __call__(self, keys: Sequence[str]) -> Tensor:
        """``n x p`` float64."""
        if not keys:
            return torch.zeros(0, self.width, dtype=torch.float64)
        codes, lengths = encode(keys, ALPHABET)
        if codes.shape[1] == 0:
            codes = torch.full((len(keys), 1), len(ALPHABET))
        chunks = zip(torch.split(codes, _CHUNK), torch.split(lengths, _CHUNK), strict=True)
        return torch.cat([self._describe(*chunk) for chunk in chunks])

    def _describe(self, codes: Tensor, lengths: Tensor) -> Tensor:
        shares = _shares(codes, lengths, len(ALPHABET))
        hydrophobicity = _look_up(HYDROPHOBICITY, codes)
        helix = _turned_sums(hydrophobicity, HELIX)
        strand = _turned_sums(hydrophobicity, STRAND)
        size = lengths.to(torch.float64)
        padded = size + BLANKS
        charge = _sum(_look_up(CHARGE, codes))
        aromatic = shares[:, [ALPHABET.index(letter) for letter in "FWY"]].sum(dim=1)
        summaries = [
            size / 10,
            charge,
            charge / padded,
            _sum(hydrophobicity) / padded,
            _largest_moment(helix, lengths),
            helix[:, -1].norm(dim=1) / padded,
            _largest_moment(strand, lengths),
            aromatic,
            shares[:, ALPHABET.index("C")].square(),
        ]
        pairs = [_pair_shares(codes, lengths, gap) for gap in self.gaps]
        return torch.cat([torch.stack(summaries, dim=1), shares, *pairs], dim=1)


def hydrophobic_moment(key: str) -> float:
    """Largest moment of an α-helix over 11 residues: column 4 of `PeptideDescriptors`."""
    return float(PeptideDescriptors(gaps=())([key])[0, 4])


def _look_up(table: dict[str, float], codes: Tensor) -> Tensor:
    """The value of each residue, 0 after the end, ``n x L`` float64."""
    values = [table.get(letter, 0.0) for letter in ALPHABET]
    return torch.tensor([*values, 0.0], dtype=torch.float64)[codes]


def _sum(values: Tensor) -> Tensor:
    """Sum of each row from left to right, so that it does not depend on how wide the table is."""
    return torch.nn.functional.pad(values, (1, 0)).cumsum(dim=1)[:, -1]


def _shares(codes: Tensor, total: Tensor, kinds: int) -> Tensor:
    """Of each kind below `kinds` among `total` (``n``) and blanks, ``n x kinds``."""
    counts = torch.zeros(len(codes), kinds + 1, dtype=torch.float64)
    counts.scatter_add_(1, codes, torch.ones((), dtype=torch.float64).expand(codes.shape))
    return counts[:, :-1] / (total + BLANKS)[:, None]


def _pair_shares(codes: Tensor, lengths: Tensor, gap: int) -> Tensor:
    """Shares of class pairs `gap` places apart, ``n x 49``."""
    kinds = len(CLASSES)
    owner = [next(i for i, kind in enumerate(CLASSES) if letter in kind) for letter in ALPHABET]
    classes = torch.tensor([*owner, kinds])[codes]
    first, second = classes[:, :-gap], classes[:, gap:]
    pair = torch.where(second < kinds, first * kinds + second, kinds**2)
    return _shares(pair, (lengths - gap).clamp(min=0), kinds**2)


def _turned_sums(hydrophobicity: Tensor, degrees: float) -> Tensor:
    """Sums of the first 0 to L residues as vectors around an axis, ``n x (L + 1) x 2``."""
    angle = torch.arange(hydrophobicity.shape[1], dtype=torch.float64) * math.radians(degrees)
    turned = hydrophobicity[:, :, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    return torch.nn.functional.pad(turned.cumsum(dim=1), (0, 0, 1, 0))


def _largest_moment(sums: Tensor, lengths: Tensor) -> Tensor:
    """Largest length of a mean over a window, ``n``."""
    window = min(WINDOW, sums.shape[1] - 1)
    moments = (sums[:, window:] - sums[:, : sums.shape[1] - window]).norm(dim=2)
    # A window over the end holds a part of one before it.
    complete = torch.arange(moments.shape[1]) <= (lengths - window)[:, None]
    complete[:, 0] = True
    largest: Tensor = moments.masked_fill(~complete, 0.0).amax(dim=1)
    return largest / WINDOW
