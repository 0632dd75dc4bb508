"""Folding backends: known answers, letters, threads, labels, and NUPACK by a stand-in."""

import random
import sys
import threading
from typing import Any

import pytest

from mfal.errors import ConfigError, InvalidKeyError, MfalError, MissingDependencyError
from oracles.folding import NupackFolding, ViennaFolding, select_backend

# Structures and energies (kcal/mol) from ViennaRNA 2.8.0 with the settings of ViennaFolding.
KNOWN = [
    ("GGCCGTTTTCGGCC", "(((((....)))))", -5.5),
    ("GTCACGGGTGCGTGGTGCGCAGTGGAGACA", "..(((...((((.....)))))))......", -4.5),
    ("CAGCCCGTCAGAGCACGCTGACGGGCCAAG", "..(((((((((......)))))))))....", -10.9),
    ("GGGGGGTTTTTTTTCCCCCC", "((((((........))))))", -5.7),
    ("GGGGTTTTGGGG", "............", 0.0),
    ("A", ".", 0.0),
]


def _strands(n: int) -> list[str]:
    rng = random.Random(3)
    return ["".join(rng.choices("ACGT", k=30)) for _ in range(n)]


@pytest.mark.parametrize(("sequence", "structure", "energy"), KNOWN)
def test_vienna_gives_the_known_answer(sequence: str, structure: str, energy: float) -> None:
    assert ViennaFolding().fold(sequence) == (structure, energy)


@pytest.mark.parametrize(
    ("sequence", "structure", "energy"),
    [
        # -2.3 if G and T paired
        pytest.param("TCCATGTTCGCTTACGCAAGGTGG", ".((.((..((....)))).))...", -0.7, id="no GU"),
        # -0.3 with the table of special hairpins
        pytest.param("ATAGTCGCCAGGAAACCGGAACAT", ".......((.((...)))).....", -1.3, id="special"),
        # -1.0 with dangles on one side only
        pytest.param("GAGCATCTCAATGGCGATCATTTC", "(((...)))((((.....))))..", -2.0, id="d2"),
    ],
)
def test_every_setting_is_in_force(sequence: str, structure: str, energy: float) -> None:
    assert ViennaFolding().fold(sequence) == (structure, energy)


@pytest.mark.parametrize("backend", [ViennaFolding, NupackFolding])
@pytest.mark.parametrize(
    ("sequence", "named"),
    [("ACGN", "'N'"), ("ACGU", "'U'"), ("acgt", "'a'"), ("AC-G", "'-'"), ("ACG ", "' '"), ("", "")],
)
def test_letters_are_checked_before_native_code(
    backend: type[ViennaFolding | NupackFolding],
    sequence: str,
    named: str,
    nupack: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folding = backend()

    def reached(*_: object, **__: object) -> None:
        raise AssertionError("native code was reached")

    if isinstance(folding, ViennaFolding):
        monkeypatch.setattr(folding._rna, "fold_compound", reached)
    with pytest.raises(InvalidKeyError) as caught:
        folding.fold(sequence)
    assert named in caught.value.message
    assert sequence in caught.value.message
    assert not nupack.folded


def test_other_parameters_loaded_by_another_thread_change_nothing() -> None:
    rna = ViennaFolding()._rna
    strands = _strands(40)
    wanted = [ViennaFolding().fold(strand) for strand in strands]
    stop = threading.Event()
    loads: list[None] = []

    def interfere() -> None:
        while not stop.is_set():
            rna.params_load_RNA_Turner2004()
            loads.append(None)

    other = threading.Thread(target=interfere)
    other.start()
    try:
        folding = ViennaFolding()
        found = [folding.fold(strand) for strand in strands]
        while len(loads) < 20:  # the other thread has had its turns
            assert [folding.fold(strand) for strand in strands] == wanted
        assert [ViennaFolding().fold(strand) for strand in strands[:5]] == wanted[:5]
    finally:
        stop.set()
        other.join()
    assert found == wanted


def test_the_interference_above_is_real() -> None:
    """With what the other thread loads, the plain call gives other energies."""
    rna = ViennaFolding()._rna
    sequence, _, energy = KNOWN[2]
    rna.params_load_RNA_Turner2004()
    assert rna.fold(sequence)[1] != pytest.approx(energy, abs=1)
    assert ViennaFolding().fold(sequence)[1] == energy


def test_parameters_that_differ_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rna = ViennaFolding()._rna
    monkeypatch.setattr("oracles.folding._LOAD_ATTEMPTS", 3)
    monkeypatch.setattr(rna, "params_load_DNA_Mathews2004", rna.params_load_RNA_Turner2004)
    with pytest.raises(MfalError, match=r"is not -4\.5 kcal/mol"):
        ViennaFolding()


def test_threads_share_one_backend() -> None:
    folding = ViennaFolding()
    strands = _strands(200)
    wanted = [folding.fold(strand) for strand in strands]
    found: list[list[tuple[str, float]]] = [[] for _ in range(4)]

    def work(index: int) -> None:
        found[index] = [folding.fold(strand) for strand in strands]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [wanted] * 4


def test_vienna_label_says_engine_parameters_and_conditions() -> None:
    folding = ViennaFolding()
    version = folding._rna.__version__
    assert folding.label == f"ViennaRNA {version}, DNA Mathews 2004, MFE, 37 °C, d2, no GU"


def test_nupack_is_asked_with_the_documented_arguments(nupack: Any) -> None:
    folding = NupackFolding()
    assert folding.fold("GGCATTGCC") == (".........", -6.0)
    assert nupack.folded == [["GGCATTGCC"]]
    assert nupack.models == [
        {
            "material": "dna04.1",
            "ensemble": "stacking",
            "celsius": 37.0,
            "sodium": 1.0,
            "magnesium": 0.0,
        }
    ]
    assert folding.label == "NUPACK 4.9.9, dna04.1, MFE, 37 °C, Na 1 M, Mg 0 M"


@pytest.mark.parametrize(("known", "used"), [(("dna04", "dna"), "dna04"), (("dna", "rna"), "dna")])
def test_nupack_material_falls_back_and_is_labelled(
    nupack: Any, known: tuple[str, ...], used: str
) -> None:
    nupack.materials = known
    folding = NupackFolding()
    assert f", {used}, " in folding.label
    assert nupack.models[-1]["material"] == used


def test_nupack_without_dna_parameters_is_an_error(nupack: Any) -> None:
    nupack.materials = ("rna95",)
    with pytest.raises(MfalError, match=r"dna04\.1: invalid material") as caught:
        NupackFolding()
    assert "backend: viennarna" in caught.value.hint


def test_nupack_ties_give_the_lowest_energy(nupack: Any, structure_energy: Any) -> None:
    nupack.extra = [
        structure_energy("(((...)))", -6.5, -6.2),
        structure_energy("((.....))", -6.5, -6.4),
        structure_energy("(.......)", -6.1, -9.0),
    ]
    assert NupackFolding().fold("GGCATTGCC") == ("(((...)))", -6.5)


def test_energies_that_are_no_numbers_are_passed_on(nupack: Any, structure_energy: Any) -> None:
    nupack.mfe = lambda *, strands, model: [structure_energy("...", float("nan"), 0.0)]
    energy = NupackFolding().fold("ACG")[1]
    assert energy != energy


def test_auto_prefers_nupack(nupack: Any) -> None:
    assert isinstance(select_backend("auto"), NupackFolding)
    assert isinstance(select_backend("nupack"), NupackFolding)
    assert isinstance(select_backend("viennarna"), ViennaFolding)


@pytest.mark.usefixtures("no_nupack")
def test_auto_without_nupack_is_vienna() -> None:
    assert isinstance(select_backend(), ViennaFolding)


@pytest.mark.usefixtures("no_nupack")
def test_missing_nupack_says_where_to_get_it() -> None:
    with pytest.raises(MissingDependencyError, match="nupack") as caught:
        select_backend("nupack")
    assert "nupack.org" in caught.value.hint
    assert "backend: viennarna" in caught.value.hint


def test_missing_vienna_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "RNA", None)
    with pytest.raises(MissingDependencyError) as caught:
        select_backend("viennarna")
    assert "pip install ViennaRNA" in caught.value.hint


def test_unknown_backend_is_an_error() -> None:
    with pytest.raises(ConfigError, match="seqfold"):
        select_backend("seqfold")  # type: ignore[arg-type]
