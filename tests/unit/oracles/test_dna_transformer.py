"""The DNA transformer: its inputs, its repeatability, and the quality of the shipped weights."""

import hashlib
import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from scipy.stats import spearmanr
from typer.testing import CliRunner

from mfal.errors import InvalidKeyError, MfalError
from oracles.dna_training import (
    app,
    held_out,
    main,
    make_labels,
    r_squared,
    train,
)
from oracles.dna_transformer import (
    MAX_STEM,
    DnaTransformer,
    encode,
    kmer_codes,
    load,
    save,
    stem_lengths,
)
from oracles.dna_weights import TRAINED_LENGTH, WEIGHTS, transformer_label
from oracles.folding import ViennaFolding

COMPLEMENT = str.maketrans("ACGT", "TGCA")


@pytest.fixture(scope="module")
def shipped() -> DnaTransformer:
    return load()


def _strands(n: int, length: int = TRAINED_LENGTH) -> list[str]:
    rng = random.Random(7)
    return ["".join(rng.choices("ACGT", k=length)) for _ in range(n)]


def _stem(sequence: str, i: int, j: int) -> int:
    """Stacked pairs through (i, j), counted the slow way."""

    def pairs(a: int, b: int) -> bool:
        inside = a >= 0 and b < len(sequence) and b - a > 3
        return inside and sequence[a].translate(COMPLEMENT) == sequence[b]

    if not pairs(i, j):
        return 0
    inward = next(k for k in range(1, 99) if not pairs(i + k, j - k))
    outward = next(k for k in range(1, 99) if not pairs(i - k, j + k))
    return min(inward + outward - 1, MAX_STEM)


def test_stem_lengths_are_those_counted_by_hand() -> None:
    perfect = "GCATGCATGCATGTTTTCATGCATGCATGC"
    sequences = [*_strands(5), perfect]
    stems = stem_lengths(encode(sequences, TRAINED_LENGTH))
    for sequence, table in zip(sequences, stems.tolist(), strict=True):
        for i in range(TRAINED_LENGTH):
            for j in range(i, TRAINED_LENGTH):
                assert table[i][j] == table[j][i] == _stem(sequence, i, j)
    assert int(stems[-1].max()) == MAX_STEM


def test_kmer_codes_of_a_strand_and_its_reverse_complement_swap_roles() -> None:
    sequences = _strands(4)
    reverse = [sequence.translate(COMPLEMENT)[::-1] for sequence in sequences]
    code, partner = kmer_codes(encode(sequences, TRAINED_LENGTH))
    other_code, other_partner = kmer_codes(encode(reverse, TRAINED_LENGTH))
    assert torch.equal(partner, other_code.flip(1))
    assert torch.equal(code, other_partner.flip(1))
    assert int(code.max()) < 125


@pytest.mark.parametrize("bad", ["N" * 30, "ACGT", "ACGT" * 8, ""])
def test_predict_refuses_what_it_was_not_trained_on(shipped: DnaTransformer, bad: str) -> None:
    with pytest.raises(InvalidKeyError):
        shipped.predict([*_strands(1), bad])


def test_a_prediction_does_not_depend_on_its_batch(shipped: DnaTransformer) -> None:
    sequences = _strands(300)
    together = shipped.predict(sequences)
    assert [shipped.predict([sequence])[0] for sequence in sequences[:60]] == together[:60]
    order = list(range(300))
    random.Random(1).shuffle(order)
    assert shipped.predict([sequences[i] for i in order]) == [together[i] for i in order]
    assert shipped.predict(sequences[3:180]) == together[3:180]
    assert len(set(together)) > 290


def test_a_prediction_does_not_depend_on_the_number_of_threads(shipped: DnaTransformer) -> None:
    sequences = _strands(200)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(shipped.predict(sequences))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_loading_and_predicting_leave_threads_and_random_numbers_alone() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    load().predict(_strands(3))
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_nothing_asked_nothing_predicted(shipped: DnaTransformer) -> None:
    assert shipped.predict([]) == []


def test_shipped_weights_reach_their_marks(shipped: DnaTransformer) -> None:
    """On strands drawn here, with a generator that neither training nor the report uses."""
    labels = make_labels(2_000, np.random.default_rng(987_654))
    predicted, actual = shipped.predict(labels.sequences), labels.energies.tolist()
    n = labels.n_random
    assert r_squared(predicted, actual) >= 0.95
    assert r_squared(predicted[:n], actual[:n]) >= 0.80
    assert spearmanr(predicted, actual).statistic >= 0.93


def test_shipped_weights_are_small_and_described() -> None:
    content = WEIGHTS.read_bytes()
    assert len(content) <= 5_000_000
    digest = hashlib.sha256(content).hexdigest()
    assert digest in (WEIGHTS.parent / "README.md").read_text(encoding="utf-8")
    assert transformer_label() == f"transformer {digest[:8]}, 116k parameters"
    with safe_open(WEIGHTS, framework="np") as file:
        settings = json.loads(file.metadata()["transformer"])
    assert settings == {"length": TRAINED_LENGTH}


def test_labels_are_folding_energies_with_a_strong_tail() -> None:
    labels = make_labels(1_200, np.random.default_rng(5))
    folding = ViennaFolding()
    energies = labels.energies.tolist()
    assert len(labels.sequences) == len(energies) == 1_200
    assert {len(sequence) for sequence in labels.sequences} == {TRAINED_LENGTH}
    for index in (0, 700, 1_199):
        assert folding.fold(labels.sequences[index])[1] == pytest.approx(energies[index])
    assert -2.2 < np.mean(energies[: labels.n_random]) < -1.2
    assert np.mean(np.array(energies) < -10) > 0.1
    assert min(energies) < -18


def test_held_out_strands_are_not_trained_on() -> None:
    trained = make_labels(400, np.random.default_rng([3, 0]))
    fresh = held_out(400, 3)
    assert not set(trained.sequences[:200]) & set(fresh.sequences[:200])
    assert fresh.sequences == held_out(400, 3).sequences


def _trained(seed: int, path: Path) -> bytes:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = train(make_labels(300, np.random.default_rng([seed, 0])), steps=3, seed=seed)
    finally:
        torch.set_num_threads(before)
    save(model, path)
    return path.read_bytes()


def test_training_reproduces(tmp_path: Path) -> None:
    first = _trained(0, tmp_path / "a.safetensors")
    assert _trained(0, tmp_path / "b.safetensors") == first
    assert _trained(1, tmp_path / "c.safetensors") != first


def test_training_learns_and_saves_what_it_learnt(tmp_path: Path) -> None:
    labels = make_labels(600, np.random.default_rng([0, 0]))
    model = train(labels, steps=20, seed=0)
    predicted = model.predict(labels.sequences)
    assert r_squared(predicted, labels.energies.tolist()) > 0.2
    save(model, tmp_path / "deep" / "w.safetensors")
    assert load(tmp_path / "deep" / "w.safetensors").predict(labels.sequences) == predicted


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    model = DnaTransformer()
    model.length = 31
    save(model, path)
    with pytest.raises(MfalError, match="cannot be read") as caught:
        load(path)
    assert "python -m oracles.dna_training train" in caught.value.hint


def test_r_squared() -> None:
    assert r_squared([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) == 1.0
    assert r_squared([2.0, 2.0, 2.0], [1.0, 2.0, 3.0]) == 0.0


def test_the_commands_train_and_evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oracles.dna_training.HELD_OUT", 300)
    weights, table = tmp_path / "w.safetensors", tmp_path / "nupack.csv"
    run, threads = CliRunner(), torch.get_num_threads()
    try:
        trained = run.invoke(
            app, ["train", "--out", str(weights), "--labels", "200", "--steps", "2"]
        )
    finally:
        torch.set_num_threads(threads)
    assert trained.exit_code == 0, trained.output
    assert f"sha256 {hashlib.sha256(weights.read_bytes()).hexdigest()}" in trained.output
    assert "purely random: n 150, R²" in trained.output

    strands = _strands(20)
    energies = load().predict(strands)
    rows = [f"{strand},{energy}" for strand, energy in zip(strands, energies, strict=True)]
    table.write_text("\n".join(["sequence,nupack_mfe_kcal_mol", *rows]), encoding="utf-8")
    evaluated = run.invoke(app, ["evaluate", "--size", "200", "--labels", str(table)])
    assert evaluated.exit_code == 0, evaluated.output
    assert "all: n 200, R²" in evaluated.output
    assert "nupack.csv: n 20, Spearman with NUPACK 1.0000" in evaluated.output

    table.write_text("strand,energy\nACGT,1\n", encoding="utf-8")
    refused = run.invoke(app, ["evaluate", "--size", "200", "--labels", str(table)])
    assert isinstance(refused.exception, MfalError)
    assert "it needs sequence and nupack_mfe_kcal_mol" in refused.exception.hint


def test_errors_come_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "evaluate", "--weights", str(tmp_path / "none")])
    with pytest.raises(SystemExit, match="1"):
        main()
    assert capsys.readouterr().err.startswith("error: the transformer's weights")
