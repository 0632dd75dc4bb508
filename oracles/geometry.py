"""From the text of a molecule to atoms in space."""

import importlib.metadata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mfal.features.molecules import NoMoleculeError, parser
from oracles.relaxation import Array

if TYPE_CHECKING:
    from rdkit.Chem import Mol

BOHR = 0.529177210903  # Å
ELECTRONS = {1: 1, 5: 3, 6: 4, 7: 5, 8: 6, 9: 7, 15: 5, 16: 6, 17: 7, 35: 7}
"""Atomic number -> valence electrons, of the elements of the published vocabulary."""

MAX_CHARACTERS = 2_000
CONFORMERS = 4
SEED = 0
ATTEMPTS = 25
"""At one conformer. Ordinary molecules take one; what takes more is mostly never embedded."""
EMBEDDING_SECONDS = 20
FORCE_FIELD_STEPS = 2_000


class NoValueError(Exception):
    """Why there is no value for a molecule; the text becomes the error of its outcome."""


@dataclass(frozen=True)
class Geometry:
    """Atoms in space.

    Attributes:
        numbers: Atomic numbers, ``n``.
        positions: In bohr, ``n x 3``.
        bonds: Which atoms are bonded and stay so however they relax, bool ``n x n``, symmetric;
            None where they may do as they like.
    """

    numbers: NDArray[np.int64]
    positions: Array
    bonds: NDArray[np.bool_] | None = None


def molecule(key: str) -> "Mol":
    """The molecule that a SELFIES spells, without its hydrogens; shared, and not to be changed.

    Raises:
        NoValueError: for a text that is no SELFIES, or that RDKit reads no molecule from.
    """
    if len(key) > MAX_CHARACTERS:
        raise NoValueError(f"a text of {len(key)} characters is longer than {MAX_CHARACTERS}")
    try:
        return parser("selfies")(key)
    except NoMoleculeError as error:
        raise NoValueError(str(error)) from error


def geometry(key: str, max_atoms: int, *, keep_bonds: bool = False) -> Geometry:
    """Where the atoms of a molecule are, by the force field MMFF94 (see `embed`)."""
    from rdkit import Chem

    mol = molecule(key)
    check(mol)
    mol = Chem.AddHs(mol)
    if mol.GetNumAtoms() > max_atoms:
        raise NoValueError(f"{mol.GetNumAtoms()} atoms, and at most {max_atoms} are computed")
    found = embed(mol)
    if not keep_bonds:
        return found
    return replace(found, bonds=Chem.GetAdjacencyMatrix(mol).astype(bool))


def check(mol: "Mol") -> None:
    """Raise NoValueError unless a molecule is one, neutral, and of elements known here."""
    from rdkit import Chem

    if mol.GetNumAtoms() == 0:
        raise NoValueError("the text spells no atom")
    if len(Chem.GetMolFrags(mol)) > 1:
        raise NoValueError(f"{len(Chem.GetMolFrags(mol))} separate molecules")
    foreign = sorted({a.GetSymbol() for a in mol.GetAtoms() if a.GetAtomicNum() not in ELECTRONS})
    if foreign:
        raise NoValueError(f"no parameters for {', '.join(foreign)}")
    charge = Chem.GetFormalCharge(mol)
    if charge:
        raise NoValueError(f"a charge of {charge:+d}: only neutral molecules are ionised")


def embed(mol: "Mol") -> Geometry:
    """The best of a few conformers (ETKDGv3, seeded) after relaxation by MMFF94.

    Where there are none after `ATTEMPTS` at each, as of ``C#S``, whose bend ETKDGv3 does not know,
    conformers come from distances alone.
    UFF takes the place of MMFF94 for a molecule with an atom that MMFF94 has no parameters
    for, such as boron. S. Riniker and G. Landrum, J. Chem. Inf. Model. 55, 2562 (2015).

    Raises:
        NoValueError: where no conformer is found, no force field fits, or none relaxes.
    """
    from rdkit import rdBase
    from rdkit.Chem.rdForceFieldHelpers import (
        MMFFHasAllMoleculeParams,
        MMFFOptimizeMoleculeConfs,
        UFFHasAllMoleculeParams,
        UFFOptimizeMoleculeConfs,
    )

    with rdBase.BlockLogs():
        conformers = _conformers(mol, knowledge=True) or _conformers(mol, knowledge=False)
        if not conformers:
            raise NoValueError("no conformer could be embedded")
        known = MMFFHasAllMoleculeParams(mol)
        if not known and not UFFHasAllMoleculeParams(mol):
            raise NoValueError("no force field has parameters for all of its atoms")
        optimise = MMFFOptimizeMoleculeConfs if known else UFFOptimizeMoleculeConfs
        found = optimise(mol, maxIters=FORCE_FIELD_STEPS, numThreads=1)
    relaxed = [(e, c) for (failed, e), c in zip(found, conformers, strict=True) if failed == 0]
    if not relaxed:
        raise NoValueError(f"the force field did not converge in {FORCE_FIELD_STEPS} steps")
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    return Geometry(numbers, mol.GetConformer(min(relaxed)[1]).GetPositions() / BOHR)


def _conformers(mol: "Mol", *, knowledge: bool) -> list[int]:
    """Conformers that a molecule is given: by ETKDGv3, or without its knowledge of angles.

    Raises:
        NoValueError: where time runs out, so that no value depends on how long it took.
    """
    from rdkit.Chem.rdDistGeom import EmbedFailureCauses, EmbedMultipleConfs, ETKDGv3

    parameters: Any = ETKDGv3()  # whose stubs take its settings for constants
    parameters.randomSeed = SEED
    # Or else that of conformer i is i + 1 times the seed, which is 0 for all of them.
    parameters.enableSequentialRandomSeeds = True
    parameters.useRandomCoords = True
    parameters.useBasicKnowledge = parameters.useExpTorsionAnglePrefs = knowledge
    parameters.maxIterations = ATTEMPTS
    parameters.numThreads = 1
    parameters.timeout = EMBEDDING_SECONDS
    parameters.trackFailures = True
    found = list(EmbedMultipleConfs(mol, CONFORMERS, parameters))
    if parameters.GetFailureCounts()[EmbedFailureCauses.EXCEEDED_TIMEOUT]:
        raise NoValueError(f"no conformers could be embedded within {EMBEDDING_SECONDS} s")
    return found


def geometry_label() -> str:
    """Engine, version and methods, as stored with every outcome; in brackets what else is tried."""
    selfies, rdkit = map(importlib.metadata.version, ("selfies", "rdkit"))
    conformers = f"{CONFORMERS} conformers seeds from {SEED + 1} in {ATTEMPTS} attempts"
    return f"selfies {selfies}, RDKit {rdkit} ETKDGv3 (DG) {conformers} MMFF94 (UFF)"
