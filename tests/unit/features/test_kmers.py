"""k-mer counts against a count by hand."""

import random
from collections import Counter
from itertools import product

import pytest
import torch

from mfal.errors import ConfigError, InvalidKeyError
from mfal.features.kmers import KmerCounts


def by_hand(key: str, alphabet: str, k: int) -> list[float]:
    columns = []
    for size in range(1, k + 1):
        counted = Counter(key[i : i + size] for i in range(len(key) - size + 1))
        columns += [float(counted["".join(word)]) for word in product(alphabet, repeat=size)]
    return columns


@pytest.mark.parametrize(("alphabet", "k"), [("ACGT", 4), ("ACGT", 1), ("ACDEFGHIKL", 3)])
def test_counts_agree_with_a_count_by_hand_for_any_lengths(alphabet: str, k: int) -> None:
    rng = random.Random(3)
    keys = ["".join(rng.choices(alphabet, k=rng.randint(1, 40))) for _ in range(60)]
    keys += [alphabet[0], alphabet[-1] * 2, ""]
    features = KmerCounts(alphabet=alphabet, k=k)
    counts = features(keys)
    assert counts.dtype == torch.float64
    assert counts.shape == (len(keys), features.width)
    assert counts.tolist() == [by_hand(key, alphabet, k) for key in keys]


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    features = KmerCounts(alphabet="ACGT")
    alone = features(["ACGTA"])[0]
    together = features(["T" * 50, "ACGTA", "G"])[1]
    assert torch.equal(alone, together)


def test_no_keys_give_no_rows() -> None:
    assert KmerCounts(alphabet="ACGT", k=2)([]).shape == (0, 20)


@pytest.mark.parametrize("key", ["ACGN", "acgt", "AC-T", "ACÄ", "A\0C"])
def test_a_letter_outside_the_alphabet_is_named(key: str) -> None:
    with pytest.raises(InvalidKeyError, match="holds"):
        KmerCounts(alphabet="ACGT")(["ACGT", key])


@pytest.mark.parametrize("alphabet", ["", "AA", "A?", "ÄB"])
def test_alphabets_that_cannot_be_told_apart_are_refused(alphabet: str) -> None:
    with pytest.raises(ConfigError):
        KmerCounts(alphabet=alphabet)


def test_a_table_too_wide_is_refused() -> None:
    with pytest.raises(ConfigError, match="columns"):
        KmerCounts(alphabet="ACDEFGHIKLMNPQRSTVWY", k=4)
