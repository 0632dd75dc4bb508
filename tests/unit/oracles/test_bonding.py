"""When a molecule that has relaxed is another one."""

import numpy as np
import pytest

from mfal.types import Fidelity
from oracles.bonding import BROKEN, FORMED, changed_bond
from oracles.geometry import BOHR
from oracles.molecules import ADIABATIC, RELAXED, VERTICAL, MoleculeOracle

pytest.importorskip("rdkit")
pytest.importorskip("tblite")

PEROXIDE = "[O][O]"
HYDROGENS = np.ones(4, dtype=int)
RADIUS = 0.31  # Å, of hydrogen as RDKit has it


def _changed(*places: float) -> str:
    """Of two hydrogen molecules, atoms 0-1 and 2-3, in a line at these places in Å."""
    bonds = np.zeros((4, 4), dtype=bool)
    for first, second in ((0, 1), (2, 3)):
        bonds[first, second] = bonds[second, first] = True
    positions = np.array([[place, 0.0, 0.0] for place in places]) / BOHR
    return changed_bond(HYDROGENS, bonds, positions)


def test_a_bond_breaks_and_forms_at_the_stated_lengths() -> None:
    broken, formed = BROKEN * 2 * RADIUS, FORMED * 2 * RADIUS
    assert _changed(0, 0.74, 3.0, 3.74) == ""
    assert _changed(0, broken - 0.01, 3.0, 3.74) == ""
    assert _changed(0, broken + 0.01, 3.0, 3.74) == f"a bond H-H broke, {broken + 0.01:.2f} Å"
    assert _changed(0, 0.74, 0.75 + formed, 1.49 + formed) == ""
    assert _changed(0, 0.74, 0.73 + formed, 1.47 + formed).startswith("a bond H-H formed")


def test_an_atom_alone_has_no_bond_to_change() -> None:
    assert changed_bond(np.ones(1, dtype=int), np.zeros((1, 1), dtype=bool), np.zeros((1, 3))) == ""


def test_an_anion_that_comes_apart_has_no_affinity() -> None:
    # HOOH takes up an electron and becomes OH and OH-: 2.1 Å instead of 1.5.
    (kept,) = MoleculeOracle(-1).evaluate([PEROXIDE], ADIABATIC)
    assert kept.values is None
    assert kept.error is not None
    assert kept.error.startswith("another molecule at charge -1: a bond O-O broke, 2.")
    (as_it_may,) = MoleculeOracle(-1, keep_bonds=False).evaluate([PEROXIDE], ADIABATIC)
    assert as_it_may.values is not None


@pytest.mark.parametrize("fidelity", [VERTICAL, RELAXED], ids=lambda f: f.name)
def test_a_rung_that_does_not_relax_the_ion_does_not_look_at_it(fidelity: Fidelity) -> None:
    values = [
        MoleculeOracle(-1, keep_bonds=keep).evaluate([PEROXIDE], fidelity)[0].values
        for keep in (True, False)
    ]
    assert values[0] is not None and values[0] == values[1]


def test_answers_say_whether_bonds_were_looked_at() -> None:
    kept, free = MoleculeOracle(1).backends, MoleculeOracle(1, keep_bonds=False).backends
    assert kept[VERTICAL.name] == free[VERTICAL.name]
    assert kept[ADIABATIC.name] == f"{free[ADIABATIC.name]}, bonds kept within 1.15 and 1.5 radii"
