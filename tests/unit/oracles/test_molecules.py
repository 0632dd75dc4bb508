"""The problems of molecules: their ladder, values, pictures, and what importing them costs."""

import os
import pickle
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import permutations

import pytest
from pydantic import ValidationError, validate_call

from mfal.config import load_config
from mfal.errors import UnknownNameError
from mfal.registry import build, check
from mfal.types import Fidelity, Objective, Oracle, Problem
from oracles.geometry import geometry
from oracles.ionisation import adiabatic, relaxed_molecule, relaxing
from oracles.molecules import ADIABATIC, RELAXED, VERTICAL, MoleculeOracle, ea, ip
from oracles.xtb import XtbSurface
from tests.support import ROOT

BENZENE = "[C][=C][C][=C][C][=C][Ring1][=Branch1]"
PYRROLE = "[C][=C][NH1][C][=C][Ring1][Branch1]"
BORANE = "[C][B][Branch1][C][C][C]"
FORMALDEHYDE = "[C][=O]"
SMALL = (FORMALDEHYDE, BORANE, "[S][=C][N]", "[F][C][=C]", PYRROLE, "[C][P]")
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
        for fidelity in expected:
            label = problem.oracle.backends[fidelity.name]
            assert "tblite" in label and "GFN2-xTB" in label and "RDKit" in label


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
    for order in list(permutations(SMALL))[::240]:
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
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": threads},
        )
        for threads in ("1", "2")
    ]
    for process in running:
        assert process.communicate()[0].split() == here


def test_dispatch_is_by_name_whatever_the_cost() -> None:
    oracle = ip().oracle
    dear = Fidelity("vertical", cost=20.0, level=0.9)
    assert _values(oracle, (FORMALDEHYDE,), dear) == _values(oracle, (FORMALDEHYDE,), VERTICAL)
    with pytest.raises(UnknownNameError, match="exact") as caught:
        oracle.evaluate([FORMALDEHYDE], Fidelity("exact", cost=1.0, level=1.0))
    assert "vertical, relaxed, adiabatic" in caught.value.hint


def test_an_oracle_pickles() -> None:
    oracle = MoleculeOracle(-1, max_atoms=7)
    again = pickle.loads(pickle.dumps(oracle))
    assert again.objectives == oracle.objectives
    for key in (FORMALDEHYDE, BENZENE):
        outcomes = [o.evaluate([key], VERTICAL)[0] for o in (oracle, again)]
        assert outcomes[0].values == outcomes[1].values
        assert outcomes[0].error == outcomes[1].error
    assert again.evaluate([BENZENE], VERTICAL)[0].error == "12 atoms, and at most 7 are computed"


def test_keys_of_the_environment_are_what_the_oracle_takes() -> None:
    environment = ip(max_length=9).environment()
    for text in SMALL:
        (key,) = environment.keys(environment.states([text]))
        before, after = (ip().oracle.evaluate([k], VERTICAL)[0].values for k in (text, key))
        assert before is not None and after is not None
        assert after == pytest.approx(before, abs=1e-3)


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
