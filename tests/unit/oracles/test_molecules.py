"""The problems of molecules: their ladder, values, pictures, and what importing them costs."""

import os
import random
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import permutations

import pytest
from pydantic import ValidationError, validate_call
from rdkit import rdBase
from rdkit.Chem import AddHs, Mol, MolFromSmiles

from mfal.config import load_config
from mfal.envs.selfies import SelfiesEnvironment
from mfal.errors import UnknownNameError
from mfal.registry import build, check
from mfal.scoring.scorer import scorer
from mfal.sections import Component, ScoringConfig
from mfal.similarity import Tanimoto, similarity_of
from mfal.testing import OracleChecks
from mfal.types import Fidelity, Objective, Oracle, Problem, Query
from oracles.geometry import NoValueError, _conformers, embed, geometry, molecule
from oracles.ionisation import adiabatic, relaxed_molecule, relaxing
from oracles.molecules import ADIABATIC, RELAXED, VERTICAL, MoleculeOracle, ea, ip
from oracles.xtb import XtbSurface
from tests.support import ROOT, score, worker_processes

BENZENE = "[C][=C][C][=C][C][=C][Ring1][=Branch1]"
PYRROLE = "[C][=C][NH1][C][=C][Ring1][Branch1]"
BORANE = "[C][B][Branch1][C][C][C]"
FORMALDEHYDE = "[C][=O]"
SMALL = (FORMALDEHYDE, BORANE, "[S][=C][N]", "[F][C][=C]", PYRROLE, "[C][P]")
SULFYNE = "[C][S][#C]"  # CS≡C, whose bend ETKDG takes for a straight line
LADDER = (VERTICAL, RELAXED, ADIABATIC)


def _values(oracle: Oracle, keys: tuple[str, ...], fidelity: Fidelity) -> list[float]:
    outcomes = oracle.evaluate(keys, fidelity)
    assert [o.error for o in outcomes] == [None] * len(keys)
    return [o.values[0] for o in outcomes if o.values]


def test_the_ladders() -> None:
    expected = (
        Fidelity("vertical", cost=1.0, level=1 / 3),
        Fidelity("relaxed", cost=3.0, level=2 / 3),
        Fidelity("adiabatic", cost=7.0, level=1.0),
    )
    for problem, objective in (
        (ip(), Objective("ionisation potential", "eV", "min")),
        (ea(), Objective("electron affinity", "eV", "max")),
    ):
        assert isinstance(problem.oracle, Oracle)
        assert problem.oracle.fidelities == expected
        assert problem.oracle.objectives == (objective,)
        vertical, *relaxing = (problem.oracle.backends[fidelity.name] for fidelity in expected)
        for label in (vertical, *relaxing):
            assert "tblite" in label and "GFN2-xTB" in label and "RDKit" in label
        # The lowest rung relaxes nothing, so no bond can break, and its energies are rougher.
        assert "accuracy 20," in vertical and "ANC" not in vertical and "bonds" not in vertical
        assert all("accuracy 5, ANC" in label and "bonds kept" in label for label in relaxing)


def test_benzene_is_where_experiment_has_it() -> None:
    # 9.24 eV adiabatic (NIST); vertical attachment is at -1.1 eV. GFN2-xTB is good to some 0.5 eV.
    assert _values(ip().oracle, (BENZENE,), ADIABATIC) == pytest.approx([9.24], abs=0.5)
    assert _values(ea().oracle, (BENZENE,), VERTICAL) == pytest.approx([-1.1], abs=1.0)


@pytest.mark.parametrize("charge", [1, -1])
def test_the_ion_gains_by_relaxing_and_the_middle_rung_foresees_most_of_it(charge: int) -> None:
    for key in (FORMALDEHYDE, PYRROLE, BENZENE):
        start = geometry(key, max_atoms=20)
        surface, molecule = relaxed_molecule(start)
        ion, _ = XtbSurface(start, charge, density_of=surface)(molecule.positions)
        unrelaxed, foreseen, true = (
            charge * energy
            for energy in (ion - molecule.energy, relaxing(start, charge), adiabatic(start, charge))
        )
        assert charge * true < charge * unrelaxed
        assert abs(foreseen - true) < 0.7 * abs(unrelaxed - true)


@pytest.mark.parametrize("charge", [1, -1])
@pytest.mark.parametrize("fidelity", LADDER, ids=lambda f: f.name)
def test_a_molecule_has_one_value_in_any_order(charge: int, fidelity: Fidelity) -> None:
    oracle = MoleculeOracle(charge)  # type: ignore[arg-type]
    alone = {key: oracle.evaluate([key], fidelity)[0].values for key in SMALL}
    for order in list(permutations(SMALL))[::360]:
        found = [o.values for o in oracle.evaluate([*order, order[0]], fidelity)]
        assert found == [alone[key] for key in (*order, order[0])]


def test_a_molecule_has_one_value_in_any_process() -> None:
    code = f"""
from oracles.molecules import *
for charge in (1, -1):
    for fidelity in MoleculeOracle.fidelities:
        for outcome in MoleculeOracle(charge).evaluate({list(SMALL[:3])}, fidelity):
            print(outcome.values[0].hex())
"""
    here = [
        value.hex()
        for charge in (1, -1)
        for fidelity in LADDER
        for value in _values(MoleculeOracle(charge), SMALL[:3], fidelity)  # type: ignore[arg-type]
    ]
    there = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "3"},
    )
    assert there.stdout.split() == here


@pytest.mark.slow
def test_a_molecule_has_one_value_in_any_number_of_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mfal.scoring.pace.START", 1e-3)  # even these are worth a second worker
    queries = [Query(key, f.name) for key in (*SMALL, SULFYNE) for f in LADDER]
    draw, found = random.Random(0), []
    for workers in (1, 2):
        config = ScoringConfig(workers=workers, chunk_size=3)
        with scorer(Component(name="ip"), LADDER, 1, config) as asker:
            shuffled = draw.sample(queries, k=len(queries))
            outcomes = dict(zip(shuffled, score(asker, shuffled), strict=True))
            assert len(worker_processes()) == workers
        found.append([outcomes[query].values for query in queries])
    assert found[0] == found[1] and None not in found[0]


def test_conformers_differ() -> None:
    mol = AddHs(MolFromSmiles("CCCCO"))
    found = [mol.GetConformer(i).GetPositions() for i in _conformers(mol, knowledge=True)]
    assert len({positions.tobytes() for positions in found}) == 4


def test_what_etkdg_finds_no_conformer_of_has_values_all_the_same() -> None:
    mol = AddHs(molecule(SULFYNE))
    with rdBase.BlockLogs():
        assert _conformers(mol, knowledge=True) == []
    for fidelity in LADDER:
        (value,) = _values(ip().oracle, (SULFYNE,), fidelity)
        assert 5 < value < 15


def test_bends_that_etkdg_does_not_know_are_given_up_on_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # At its own limit of attempts, ETKDG would try for longer than a molecule is given.
    asked: list[tuple[bool, bool]] = []

    def noted(mol: Mol, *, knowledge: bool) -> list[int]:
        found = _conformers(mol, knowledge=knowledge)
        asked.append((knowledge, bool(found)))
        return found

    monkeypatch.setattr("oracles.geometry._conformers", noted)
    assert len(embed(AddHs(MolFromSmiles("NOC#[SH]=[SH]PNNSC#[SH]=C=[SH]NF"))).numbers) == 25
    assert asked == [(True, False), (False, True)]


def test_a_geometry_never_depends_on_how_long_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two bridgeheads that cannot both be as they are written: it tries for a long time.
    monkeypatch.setattr("oracles.geometry.ATTEMPTS", 1_000_000)
    monkeypatch.setattr("oracles.geometry.EMBEDDING_SECONDS", 1)
    cage = AddHs(MolFromSmiles("F[C@]12CC[C@@](Cl)(CC1)CC2"))
    with pytest.raises(NoValueError, match="no conformers could be embedded within 1 s"):
        embed(cage)


def test_dispatch_is_by_name_whatever_the_cost() -> None:
    oracle = ip().oracle
    dear = Fidelity("vertical", cost=20.0, level=0.9)
    assert _values(oracle, (FORMALDEHYDE,), dear) == _values(oracle, (FORMALDEHYDE,), VERTICAL)
    with pytest.raises(UnknownNameError, match="exact") as caught:
        oracle.evaluate([FORMALDEHYDE], Fidelity("exact", cost=1.0, level=1.0))
    assert "vertical, relaxed, adiabatic" in caught.value.hint


def test_a_molecule_of_too_many_atoms_fails() -> None:
    small, large = MoleculeOracle(-1, max_atoms=7).evaluate([FORMALDEHYDE, BENZENE], VERTICAL)
    assert small.values is not None
    assert large.error == "12 atoms, and at most 7 are computed"


def test_keys_of_the_environment_are_what_the_oracle_takes() -> None:
    environment = ip(max_length=9).environment()
    for text in SMALL:
        (key,) = environment.keys(environment.states([text]))
        before, after = (ip().oracle.evaluate([k], VERTICAL)[0].values for k in (text, key))
        assert before is not None and after is not None
        assert after == pytest.approx(before, abs=1e-3)


def test_keys_that_are_plain_texts_break_the_law_of_one_key() -> None:
    laws = OracleChecks()
    laws.problem = "ip"
    laws.test_a_candidate_has_one_key()
    laws.built = replace(laws.built, environment=SelfiesEnvironment)
    with pytest.raises(AssertionError, match="which would be bought twice"):
        laws.test_a_candidate_has_one_key()


def test_molecules_are_as_alike_as_their_environments_of_atoms() -> None:
    assert [similarity_of(problem).__class__ for problem in (ip(), ea())] == [Tanimoto, Tanimoto]


def test_a_candidate_is_described_as_smiles_and_drawn_as_svg() -> None:
    problem = ip()
    assert problem.describe is not None and problem.draw is not None
    assert problem.describe(PYRROLE) == "c1cc[nH]c1"
    drawing = ET.fromstring(problem.draw(PYRROLE))
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    bonds = [
        e for e in drawing.iter("{http://www.w3.org/2000/svg}path") if "bond" in e.get("class", "")
    ]
    assert len(bonds) >= 5
    assert problem.draw(PYRROLE) == problem.draw(PYRROLE) != problem.draw(BENZENE)


def test_options_are_checked() -> None:
    for options in ({"max_length": 65}, {"max_length": 0}, {"max_atoms": 201}):
        with pytest.raises(ValidationError):
            validate_call(ea)(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["ip", "ea"])
@pytest.mark.parametrize("folder", ["", "smoke/", "published/"])
def test_configurations_name_what_there_is(name: str, folder: str) -> None:
    config = load_config(ROOT / "configs" / f"{folder}{name}.yaml")
    problem: Problem = build("problem", config.problem)
    ladder = {f.name: config.costs.get(f.name, f.cost) for f in problem.oracle.fidelities}
    assert ladder == {"vertical": 1, "relaxed": 3, "adiabatic": 7}
    assert config.initial.queries is not None
    design = sum(ladder[f] * n for f, n in config.initial.queries.items())
    assert config.batch.cost or config.batch.queries
    assert design + (config.batch.cost or 0) <= config.budget.total
    check("surrogate", config.surrogate)
    assert config.surrogate.options["kernel"] == "tanimoto"


def test_looking_at_the_problem_loads_neither_torch_nor_an_engine() -> None:
    code = """
import sys
import oracles.molecules
oracles.molecules.ip(), oracles.molecules.ea().oracle.backends
sys.exit(f"{ {'torch', 'rdkit', 'tblite', 'selfies'} & set(sys.modules) or ''}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr.strip() == ""
