"""Descriptors of peptides against a calculation by hand."""

import math
import random
import time

import pytest
import torch

from mfal.errors import ConfigError, InvalidKeyError
from mfal.features.base import Features
from mfal.features.peptides import (
    BLANKS,
    HELIX,
    STRAND,
    SUMMARIES,
    WINDOW,
    PeptideDescriptors,
    hydrophobic_moment,
)
from mfal.features.residues import ALPHABET, CHARGE, CLASSES, HYDROPHOBICITY, net_charge

MAGAININ = "GIGKFLHSAKKFGKAFVGEIMNS"


def peptides(n: int, seed: int, longest: int = 50) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices(ALPHABET, k=rng.randint(1, longest))) for _ in range(n)]


def moment(key: str, degrees: float) -> float:
    x = sum(HYDROPHOBICITY[r] * math.cos(math.radians(i * degrees)) for i, r in enumerate(key))
    y = sum(HYDROPHOBICITY[r] * math.sin(math.radians(i * degrees)) for i, r in enumerate(key))
    return math.hypot(x, y)


def largest_moment(key: str, degrees: float) -> float:
    places = range(max(0, len(key) - WINDOW) + 1)
    return max(moment(key[i : i + WINDOW], degrees) for i in places) / WINDOW


def by_hand(key: str, gaps: tuple[int, ...]) -> list[float]:
    n, padded = len(key), len(key) + BLANKS
    charge = sum(CHARGE.get(residue, 0.0) for residue in key)
    row = [
        n / 10,
        charge,
        charge / padded,
        sum(HYDROPHOBICITY[residue] for residue in key) / padded,
        largest_moment(key, HELIX),
        moment(key, HELIX) / padded,
        largest_moment(key, STRAND),
        sum(key.count(residue) for residue in "FWY") / padded,
        (key.count("C") / padded) ** 2,
    ]
    row += [key.count(residue) / padded for residue in ALPHABET]
    for gap in gaps:
        pairs = [(key[i], key[i + gap]) for i in range(n - gap)]
        for first in CLASSES:
            for second in CLASSES:
                here = sum(a in first and b in second for a, b in pairs)
                row.append(here / (len(pairs) + BLANKS))
    return row


@pytest.mark.parametrize("gaps", [(), (1,), (1, 3, 4)])
def test_every_column_agrees_with_a_calculation_by_hand(gaps: tuple[int, ...]) -> None:
    keys = [*peptides(60, 1), MAGAININ, "K", "AC", *ALPHABET]
    features = PeptideDescriptors(gaps=gaps)
    rows = features(keys)
    assert rows.dtype == torch.float64
    assert rows.shape == (len(keys), features.width)
    wanted = torch.tensor([by_hand(key, gaps) for key in keys], dtype=torch.float64)
    torch.testing.assert_close(rows, wanted, rtol=0, atol=1e-12)


def test_the_classes_part_the_alphabet() -> None:
    assert sorted("".join(CLASSES)) == sorted(ALPHABET) == sorted(HYDROPHOBICITY)


def test_a_helix_has_its_hydrophobic_side() -> None:
    # Leucine on one side of the helix and lysine on the other, and the same residues shuffled.
    turns = [math.cos(math.radians(100 * i)) for i in range(18)]
    amphipathic = "".join("L" if turn > 0 else "K" for turn in turns)
    blocks = "".join(sorted(amphipathic))
    assert hydrophobic_moment(amphipathic) > 2 * hydrophobic_moment(blocks)
    assert hydrophobic_moment(amphipathic) == pytest.approx(largest_moment(amphipathic, HELIX))


def test_net_charge_of_a_known_peptide() -> None:
    # Magainin 2 has four lysines, one glutamate and one histidine.
    assert net_charge(MAGAININ) == pytest.approx(4 - 1 + 0.1)


def test_a_row_depends_neither_on_its_neighbours_nor_on_their_length() -> None:
    features = PeptideDescriptors(gaps=(1, 2, 3, 4))
    keys = [*peptides(40, 2), *peptides(20, 3, longest=8), "K", ""]
    assert torch.equal(features(keys), torch.cat([features([key]) for key in keys]))


def test_the_empty_peptide_is_all_zeros() -> None:
    assert PeptideDescriptors()(["", "K"])[0].tolist() == [0.0] * (SUMMARIES + 20 + 49)


def test_short_peptides_are_no_outliers() -> None:
    # No column of a single residue lies further out than those of longer peptides do.
    rows = PeptideDescriptors(gaps=())([*ALPHABET, *peptides(2000, 5)])
    single, others = rows[:20, 1:], rows[20:, 1:]
    spread = (others - others.mean(dim=0)).abs().amax(dim=0)
    assert ((single - others.mean(dim=0)).abs() <= spread).all()


def test_shapes_flags_and_errors() -> None:
    assert isinstance(PeptideDescriptors(), Features)
    assert PeptideDescriptors().linear_columns == tuple(range(SUMMARIES))
    assert PeptideDescriptors(linear=False).linear_columns == ()
    assert PeptideDescriptors()([]).shape == (0, SUMMARIES + 20 + 49)
    with pytest.raises(InvalidKeyError, match="'X'"):
        PeptideDescriptors()(["KX"])
    with pytest.raises(ConfigError, match="gaps"):
        PeptideDescriptors(gaps=(1, 1))


def test_twenty_thousand_peptides_take_less_than_a_second_of_a_core() -> None:
    keys = peptides(20_000, 4)
    features = PeptideDescriptors()
    features(keys[:100])
    started = time.process_time()
    features(keys)
    assert time.process_time() - started < 1
