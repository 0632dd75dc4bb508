"""Small organic molecules: the lowest ionisation potential, or the highest electron affinity.

The ladder has three rungs, all GFN2-xTB, in eV. ``vertical`` takes the geometry of a force field
as it is; ``relaxed`` relaxes the molecule and estimates what its ion would gain by relaxing;
``adiabatic`` relaxes both. Costs are declared figures in campaign units, 1, 3 and 7 by default.
"""

import math
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from mfal.errors import MissingDependencyError, UnknownNameError
from mfal.types import Fidelity, Objective, Outcome, Problem
from oracles import ionisation
from oracles.bonding import BONDING
from oracles.geometry import NoValueError, geometry, geometry_label, molecule
from oracles.relaxation import RELAXATION
from oracles.xtb import ACCURACY, ENERGY_ACCURACY, HARTREE, SHIFT, xtb_label

if TYPE_CHECKING:
    from mfal.envs.base import Environment

VERTICAL = Fidelity("vertical", cost=1.0, level=1 / 3)
RELAXED = Fidelity("relaxed", cost=3.0, level=2 / 3)
ADIABATIC = Fidelity("adiabatic", cost=7.0, level=1.0)
IONISATION = Objective("ionisation potential", "eV", "min")
AFFINITY = Objective("electron affinity", "eV", "max")

MAX_ATOMS = 120
PICTURE = (300, 220)  # pixels

Length = Annotated[int, Field(ge=1, le=64)]
Atoms = Annotated[int, Field(ge=1, le=200)]

_RUNGS = {
    VERTICAL.name: ionisation.vertical,
    RELAXED.name: ionisation.relaxing,
    ADIABATIC.name: ionisation.adiabatic,
}


def ip(max_length: Length = 64, max_atoms: Atoms = MAX_ATOMS, keep_bonds: bool = True) -> Problem:
    """The search for the molecule that is ionised most easily.

    Args:
        max_length: Most SELFIES tokens of a candidate.
        max_atoms: Most atoms, hydrogens included: a larger molecule is a failed outcome.
        keep_bonds: Whether a molecule, or an ion, that breaks or forms a bond while it relaxes is
            a failed outcome; otherwise the value is that of whatever it has become.
    """
    return _problem(1, max_length, max_atoms, keep_bonds)


def ea(max_length: Length = 64, max_atoms: Atoms = MAX_ATOMS, keep_bonds: bool = True) -> Problem:
    """The search for the molecule that takes up an electron most readily; arguments as `ip`."""
    return _problem(-1, max_length, max_atoms, keep_bonds)


def _problem(charge: Literal[1, -1], max_length: int, max_atoms: int, keep_bonds: bool) -> Problem:
    for package in ("rdkit", "selfies", "tblite"):
        if find_spec(package) is None:
            raise MissingDependencyError(
                f"molecules need the package {package}, which is not installed",
                "in the checkout of mfal: make setup, or pip install -e '.[molecules]'",
            )

    def environment() -> "Environment":
        from oracles.spelling import MoleculeEnvironment

        return MoleculeEnvironment(max_length=max_length)

    oracle = MoleculeOracle(charge, max_atoms, keep_bonds)
    return Problem(
        name=oracle.objectives[0].name,
        oracle=oracle,
        environment=environment,
        describe=describe,
        draw=draw,
        similarity="tanimoto",
    )


class MoleculeOracle:
    """Ionisation potentials or electron affinities of molecules given as SELFIES, in eV.

    Args:
        charge: Of the ion: +1 for ionisation potentials, -1 for electron affinities.
        max_atoms: Most atoms of a molecule, hydrogens included.
        keep_bonds: Whether what breaks or forms a bond while it relaxes has no value.
    """

    fidelities = (VERTICAL, RELAXED, ADIABATIC)

    def __init__(
        self, charge: Literal[1, -1], max_atoms: int = MAX_ATOMS, keep_bonds: bool = True
    ) -> None:
        self._charge = charge
        self._max_atoms = max_atoms
        self._keep_bonds = keep_bonds
        self.objectives = (IONISATION if charge == 1 else AFFINITY,)

    @property
    def backends(self) -> Mapping[str, str]:
        """Name of a fidelity -> engines, versions and method behind it."""
        vertical = f"{xtb_label(ENERGY_ACCURACY)}, {geometry_label()}"
        relaxing = f"{xtb_label(ACCURACY)}, {RELAXATION}, {geometry_label()}"
        if self._keep_bonds:
            relaxing += f", {BONDING}"
        return MappingProxyType(
            {VERTICAL.name: vertical, RELAXED.name: relaxing, ADIABATIC.name: relaxing}
        )

    def evaluate(self, keys: Sequence[str], fidelity: Fidelity) -> list[Outcome]:
        """One outcome per key, in order.

        A text that spells no molecule of this ladder, a geometry that cannot be found and a
        calculation that does not converge are failed outcomes of that key alone.
        """
        if fidelity.name not in _RUNGS:
            raise UnknownNameError(
                f"fidelity {fidelity.name!r} is not one of the molecules' ladder",
                f"choose from {', '.join(_RUNGS)}",
            )
        return [self._outcome(key, fidelity.name) for key in keys]

    def _outcome(self, key: str, rung: str) -> Outcome:
        start = time.perf_counter()
        try:
            value = self._value(key, rung)
        except NoValueError as error:
            return Outcome(None, str(error), time.perf_counter() - start)
        except Exception as error:  # RDKit and tblite are native code of others: failure is data
            return Outcome(None, f"{type(error).__name__}: {error}", time.perf_counter() - start)
        seconds = time.perf_counter() - start
        if not math.isfinite(value):
            return Outcome(None, f"the value is {value}", seconds)
        return Outcome((value,), None, seconds)

    def _value(self, key: str, rung: str) -> float:
        """In eV, with the empirical shift of xtb."""
        start = geometry(key, self._max_atoms, keep_bonds=self._keep_bonds)
        energy = _RUNGS[rung](start, self._charge)
        return self._charge * energy * HARTREE - SHIFT


def describe(key: str) -> str:
    """Canonical SMILES of the molecule that a SELFIES spells."""
    from rdkit import Chem

    return Chem.MolToSmiles(molecule(key))


def draw(key: str) -> str:
    """A drawing of the molecule in the plane, as the text of an SVG file."""
    from rdkit.Chem.Draw import rdMolDraw2D

    canvas = rdMolDraw2D.MolDraw2DSVG(*PICTURE)
    rdMolDraw2D.PrepareAndDrawMolecule(canvas, molecule(key))
    canvas.FinishDrawing()
    return str(canvas.GetDrawingText())
