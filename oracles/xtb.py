"""GFN2-xTB energies of molecules and their ions, in process, through tblite.

C. Bannwarth, S. Ehlert and S. Grimme, J. Chem. Theory Comput. 15, 1652 (2019).
"""

import importlib
import importlib.metadata
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from oracles.geometry import ELECTRONS, Geometry, NoValueError
from oracles.relaxation import Array

METHOD = "GFN2-xTB"
HARTREE = 27.211386245988  # eV
SHIFT = 4.8455
"""What GFN2-xTB's ionisation potentials and electron affinities are too high by, in eV.

The empirical correction that the xtb program subtracts (options ``--vip`` and ``--vea``).
"""

ACCURACY = 5.0
"""How loosely the field converges: to 1e-6 Eh of energy and 2e-5 of charges, times this.

With it the charges are as good as those of the program xtb, which tolerates 1e-4 where tblite's
default is 2e-5. Relaxations then take a fifth fewer cycles of the field, and no more gradients.
"""

ENERGY_ACCURACY = 20.0
"""The same where only an energy is wanted, whose error goes with the square of the charges'."""


class XtbSurface:
    """The energy of a molecule at one charge, in its lowest spin, as a function of its geometry.

    Each call starts from the density of the one before.

    Args:
        geometry: Which atoms, and where they are first.
        charge: In elementary charges.
        density_of: The same molecule at another charge, whose last density to start from.
        accuracy: As `ACCURACY`.

    Raises:
        NoValueError: where the charge leaves no electrons, or two atoms are in one place.
    """

    def __init__(
        self,
        geometry: Geometry,
        charge: int,
        density_of: "XtbSurface | None" = None,
        accuracy: float = ACCURACY,
    ) -> None:
        self.charge = charge
        check_electrons(geometry, charge)
        tblite = _tblite()
        unpaired = (int(geometry.numbers.sum()) - charge) % 2
        with _failures():
            self._calculator = tblite.Calculator(
                METHOD, geometry.numbers, geometry.positions, charge=charge, uhf=unpaired
            )
        self._calculator.set("verbosity", 0)
        self._calculator.set("accuracy", accuracy)
        self._calculator.add("molecular-multipoles")  # instead of bond orders, which take longer
        self._result: Any = None if density_of is None else tblite.Result(density_of._result)

    def __call__(self, positions: Array) -> tuple[float, Array]:
        """Energy in Eh and gradient in Eh/bohr, ``n x 3``, at `positions` in bohr, ``n x 3``.

        Raises:
            NoValueError: where the self-consistent field does not converge.
        """
        with _failures():
            self._calculator.update(positions=np.ascontiguousarray(positions))
            self._result = self._calculator.singlepoint(self._result)
        energy, gradient = float(self._result["energy"]), np.array(self._result["gradient"])
        if not np.isfinite(gradient).all() or not energy < 0:
            raise NoValueError(f"{METHOD}: the energy is {energy:g} Eh at this geometry")
        return energy, gradient


def check_electrons(geometry: Geometry, charge: int) -> None:
    """Raise NoValueError unless a molecule has valence electrons left at this charge.

    The native code writes past the end of its arrays where there are fewer than none.
    """
    electrons = sum(ELECTRONS[int(number)] for number in geometry.numbers) - charge
    if electrons < 1:
        raise NoValueError(f"charge {charge:+d} leaves {electrons} valence electrons")


def xtb_label(accuracy: float) -> str:
    """Engine, version and method at an accuracy, as stored with every outcome."""
    version = importlib.metadata.version("tblite")
    return f"tblite {version} {METHOD} accuracy {accuracy:g}"


@contextmanager
def _failures() -> Iterator[None]:
    """Make what the engine gives up on a molecule without a value."""
    from tblite.exceptions import TBLiteRuntimeError

    try:
        yield
    except TBLiteRuntimeError as error:
        raise NoValueError(f"{METHOD}: {' '.join(str(error).split())}") from error


@cache
def _tblite() -> ModuleType:
    """The interface of tblite, with one thread whatever the environment says.

    Sums in several threads end differently from run to run, and molecules of this size are
    not worth more than one. The number is read once, when the native library is loaded.
    """
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        return importlib.import_module("tblite.interface")
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
