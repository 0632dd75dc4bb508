"""Whether a molecule still has its bonds, and no others, once its atoms have moved."""

import numpy as np
from numpy.typing import NDArray

from oracles.geometry import BOHR
from oracles.relaxation import Array

BROKEN = 1.5
"""Sums of two covalent radii beyond which atoms that were bonded no longer are."""
FORMED = 1.15
"""Below which two that were not bonded are; across a ring of four it is 1.3 or more."""

BONDING = f"bonds kept within {FORMED:g} and {BROKEN:g} radii"
"""As stored with every outcome of an oracle that looks."""


def changed_bond(numbers: NDArray[np.int64], bonds: NDArray[np.bool_], positions: Array) -> str:
    """The bond that is broken or formed most clearly, in words; empty where none is.

    Args:
        numbers: Atomic numbers, ``n``.
        bonds: Which atoms should be bonded, bool ``n x n``, symmetric.
        positions: Where they are, in bohr, ``n x 3``.
    """
    apart = np.linalg.norm(positions[:, None] - positions, axis=2) * BOHR
    radii = _covalent_radii(numbers)
    length = apart / (radii[:, None] + radii)
    np.fill_diagonal(length, np.inf)
    beyond = np.where(bonds, length / BROKEN, FORMED / length)
    first, second = np.unravel_index(beyond.argmax(), beyond.shape)
    if beyond[first, second] <= 1:
        return ""
    fate = "broke" if bonds[first, second] else "formed"
    pair = "-".join(_symbol(number) for number in numbers[[first, second]])
    return f"a bond {pair} {fate}, {apart[first, second]:.2f} Å"


def _covalent_radii(numbers: NDArray[np.int64]) -> Array:
    """In Å, ``n``, as RDKit has them."""
    from rdkit import Chem

    table = Chem.GetPeriodicTable()
    return np.array([table.GetRcovalent(int(number)) for number in numbers])


def _symbol(number: np.int64) -> str:
    from rdkit import Chem

    return str(Chem.GetPeriodicTable().GetElementSymbol(int(number)))
