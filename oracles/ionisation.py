"""What it takes to charge a molecule: the energy of its ion over its own, on three rungs."""

from functools import partial

from oracles.bonding import changed_bond
from oracles.geometry import Geometry, NoValueError
from oracles.lindh import model_hessian
from oracles.relaxation import Array, NotConvergedError, Relaxed, relax, relaxation_energy
from oracles.xtb import ENERGY_ACCURACY, XtbSurface


def vertical(start: Geometry, charge: int) -> float:
    """Energy of the ion over that of the molecule in Eh, both where the atoms are.

    Args:
        start: The molecule, relaxed by a force field.
        charge: Of the ion, +1 or -1.
    """
    surface = XtbSurface(start, 0, accuracy=ENERGY_ACCURACY)
    energy, _ = surface(start.positions)
    ion = XtbSurface(start, charge, density_of=surface, accuracy=ENERGY_ACCURACY)
    return ion(start.positions)[0] - energy


def relaxing(start: Geometry, charge: int) -> float:
    """As `vertical`, at the molecule's own minimum, less what the ion would gain by relaxing.

    The gain is that of one Newton step with the gradient that comes with the ion's energy,
    and with the model Hessian (`oracles.relaxation.relaxation_energy`). It costs nothing, and
    without it this rung's electron affinities are further from the target's than those of
    `vertical`.
    """
    surface, molecule = relaxed_molecule(start)
    ion = XtbSurface(start, charge, density_of=surface)
    energy, gradient = ion(molecule.positions)
    gain = relaxation_energy(gradient, model_hessian(start.numbers, molecule.positions))
    return energy - gain - molecule.energy


def adiabatic(start: Geometry, charge: int) -> float:
    """Energy of the ion over that of the molecule in Eh, each at its own minimum.

    The ion starts from the molecule's minimum.
    """
    surface, molecule = relaxed_molecule(start)
    ion = XtbSurface(start, charge, density_of=surface)
    return relaxed(ion, start, molecule.positions).energy - molecule.energy


def relaxed_molecule(start: Geometry) -> tuple[XtbSurface, Relaxed]:
    """The energy of a neutral molecule, and its minimum next to a geometry."""
    surface = XtbSurface(start, 0)
    return surface, relaxed(surface, start, start.positions)


def relaxed(surface: XtbSurface, molecule: Geometry, positions: Array) -> Relaxed:
    """`oracles.relaxation.relax` from other positions of a molecule's atoms.

    Raises:
        NoValueError: where it does not converge, or does not keep the bonds that it should.
    """
    try:
        found = relax(surface, positions, partial(model_hessian, molecule.numbers))
    except NotConvergedError as error:
        raise NoValueError(
            f"the geometry at charge {surface.charge:+d} did not converge: {error}"
        ) from error
    if molecule.bonds is not None and (
        changed := changed_bond(molecule.numbers, molecule.bonds, found.positions)
    ):
        raise NoValueError(f"another molecule at charge {surface.charge:+d}: {changed}")
    return found
