"""Stem summaries on strands whose folds are known, and against ViennaRNA."""

import random

import pytest
import RNA
import torch
from scipy.stats import spearmanr

from mfal.errors import InvalidKeyError
from mfal.features.stems import StemSummary

PERFECT, TOLERANT, HAIRPIN, RUNS, TOTAL, GC = 0, 4, 8, slice(12, 18), 18, 19


def strands(n: int, seed: int, length: int = 30) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices("ACGT", k=length)) for _ in range(n)]


def reverse_complement(key: str) -> str:
    return key[::-1].translate(str.maketrans("ACGT", "TGCA"))


def mathews2004(keys: list[str]) -> list[float]:
    RNA.params_load_DNA_Mathews2004()
    model = RNA.md()
    model.temperature, model.dangles, model.noGU, model.special_hp = 37.0, 2, 1, 0
    parameters = RNA.param(model)
    energies = []
    for key in keys:
        fold = RNA.fold_compound(key, model)
        fold.params_subst(parameters)
        energies.append(fold.mfe()[1])
    return energies


def test_a_perfect_hairpin_has_its_stacks_and_its_loop() -> None:
    # GCGC AAAA GCGC: stacks GC, CG, GC of the stem, and a loop of four letters.
    row = StemSummary()(["GCGCAAAAGCGC"])[0]
    stacks = -2.24 - 2.17 - 2.24
    assert row[PERFECT].item() == pytest.approx(stacks, abs=1e-5)
    assert row[TOLERANT].item() == pytest.approx(stacks, abs=1e-5)
    assert row[HAIRPIN].item() == pytest.approx(stacks + 3.5, abs=1e-5)
    assert row[GC].item() == pytest.approx(8 / 12)


def test_a_mismatch_is_bridged_at_a_price() -> None:
    # Stems GGC/GCC and GCG/CGC with an A-A mismatch between them, and a loop of five.
    row = StemSummary()(["GGCAGCGTTTTTCGCAGCC"])[0]
    outer, inner = -1.84 - 2.24, -2.24 - 2.17
    assert row[PERFECT].item() == pytest.approx(min(outer, inner), abs=1e-5)
    assert row[TOLERANT].item() == pytest.approx(outer + inner + 1.0, abs=1e-5)
    assert row[HAIRPIN].item() == pytest.approx(outer + inner + 1.0 + 3.3, abs=1e-5)


def test_a_strand_that_cannot_fold_has_bounded_numbers() -> None:
    row = StemSummary()(["A" * 30])[0]
    assert row[PERFECT:HAIRPIN].tolist() == [0.0] * 8
    assert row[HAIRPIN : HAIRPIN + 4].tolist() == [4.0] * 4
    assert row[RUNS].tolist() == [0.0] * 6
    assert row[TOTAL].item() == row[GC].item() == 0.0


def test_loops_of_fewer_than_three_letters_do_not_close() -> None:
    assert StemSummary()(["GCGCAAGCGC"])[0, PERFECT].item() > -2.24 - 2.17 - 2.24
    assert StemSummary()(["GGGGGCCCCC"])[0, PERFECT] > StemSummary()(["GGGGGAAACCCCC"])[0, PERFECT]


def test_runs_count_stretches_of_stacked_pairs() -> None:
    # Five G-C pairs on the main anti-diagonal; the neighbouring ones hold shorter runs.
    row = StemSummary()(["GGGGGAAAACCCCC"])[0]
    runs = row[RUNS].exp() - 1
    assert runs[3].item() == pytest.approx(1)  # one run of five
    assert runs[2].item() == pytest.approx(2 + 2)  # two of four in it, one on either side
    assert runs[4:].tolist() == [0.0, 0.0]


def test_reverse_complements_fold_alike() -> None:
    keys = strands(200, 1) + strands(50, 2, length=17)
    features = StemSummary()
    torch.testing.assert_close(
        features(keys), features([reverse_complement(key) for key in keys]), rtol=0, atol=1e-5
    )


def test_a_row_depends_neither_on_its_neighbours_nor_on_their_length() -> None:
    features = StemSummary()
    keys = strands(20, 4, length=23) + strands(20, 5, length=60) + ["A", "GC", ""]
    alone = torch.cat([features([key]) for key in keys])
    assert torch.equal(features(keys), alone)


def test_shape_and_errors() -> None:
    features = StemSummary()
    assert features([]).shape == (0, 20)
    assert features(["ACGT"]).dtype == torch.float64
    assert features.linear_columns == tuple(range(20))
    with pytest.raises(InvalidKeyError):
        features(["ACGU"])


def test_the_best_hairpin_ranks_random_strands_like_viennarna() -> None:
    keys = strands(1000, 6)
    hairpin = StemSummary()(keys)[:, HAIRPIN]
    assert spearmanr(hairpin, mathews2004(keys)).statistic > 0.86
