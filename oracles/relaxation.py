"""Relaxing a molecule as the program xtb does: in approximate normal coordinates."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

Surface = Callable[[Array], tuple[float, Array]]
"""Positions in bohr, ``n x 3`` -> energy in Eh and its gradient in Eh/bohr, ``n x 3``."""

Model = Callable[[Array], Array]
"""Positions in bohr, ``n x 3`` -> a guess of the second derivatives, Eh/bohr², ``3n x 3n``."""

RELAXATION = "ANC relaxation"
"""As stored with every outcome."""

# The constants are those of xtb, so that a relaxation ends where one by xtb does: where a minimum
# is flat, that is as far from it as the criteria allow, and energies of the ion differ there.
MAX_GRADIENTS = 200
GRADIENT_NORM = 1e-3  # Eh/bohr
ENERGY_CHANGE = 5e-6  # Eh
"""Convergence as xtb's level "normal": norm of the gradient, and change of energy in a step."""

_SOFTEST, _STIFFEST = 0.01, 5.0  # Eh/bohr²: of the coordinates, as guessed
_STEPS = 20  # with one set of coordinates; each set may take a tenth more than the one before
_MOST_STEPS = 40
_LONGEST = 1.0  # bohr: a step along one coordinate
_TOO_LONG = 2.0  # bohr: a step after which the coordinates are made anew instead
_CLOSE, _STRETCH = 2e-3, 1.5  # Eh/bohr: with gradients below it, steps are longer by this factor
_LEAST_CURVATURE = 1e-12  # Eh: along a step, from which there is something to learn
_RIGID = 1e-5  # singular value beside the largest, below which a motion is no motion


class NotConvergedError(Exception):
    """A relaxation that did not find its minimum; the message says how far it came."""


@dataclass(frozen=True)
class Relaxed:
    """A geometry at a minimum of the energy.

    Attributes:
        positions: In bohr, ``n x 3``.
        energy: In Eh.
        gradients: How often the surface was asked.
    """

    positions: Array
    energy: float
    gradients: int


def relax(surface: Surface, positions: Array, model: Model) -> Relaxed:
    """Steps along the normal coordinates that a model guesses, which are guessed anew at times.

    Steps are those of the rational function method (A. Banerjee and others, J. Phys. Chem. 89,
    52 (1985)) with a Hessian that is updated by BFGS; the coordinates and the rules are those of
    the program xtb (C. Bannwarth and others, WIREs Comput. Mol. Sci. 11, e1493 (2021), its
    optimiser ANCopt), whose path this takes.

    Args:
        positions: Where to start, in bohr, ``n x 3``.

    Raises:
        NotConvergedError: after `MAX_GRADIENTS` gradients.
    """
    descent = _Descent(surface, positions)
    steps, change = _STEPS, 0.0
    while True:
        axes, hessian = _normal_coordinates(model(descent.positions), descent.positions)
        before: tuple[Array, Array] | None = None  # the gradient and the step that led from it
        for count in range(1, steps + 1):
            gradient = axes.T @ descent.gradient
            norm = float(np.linalg.norm(gradient))
            if before is not None:
                hessian = _updated(hessian, before[1], gradient - before[0])
            step = _rational_step(gradient, hessian)
            if count > 2 and np.linalg.norm(step) > _TOO_LONG:
                change = 0.0
                break
            if norm < GRADIENT_NORM and -ENERGY_CHANGE < change < 1e-10:
                return Relaxed(descent.positions, descent.energy, descent.gradients)
            if descent.gradients == MAX_GRADIENTS:
                raise NotConvergedError(f"{MAX_GRADIENTS} gradients left one of {norm:.1e} Eh/bohr")
            change = descent.go(axes @ step * (_STRETCH if norm < _CLOSE else 1.0))
            # As in xtb, the Hessian learns from the step as it was before it was stretched.
            before = gradient, step
        steps = min(int(1.1 * steps), _MOST_STEPS)


def relaxation_energy(gradient: Array, hessian: Array, softest: float = 0.02) -> float:
    """What a molecule would gain by relaxing, in Eh, by a single Newton step; at least 0.

    ``g' H⁻¹ g / 2``, where no direction is taken for softer than `softest` (Eh/bohr²).
    """
    values, vectors = np.linalg.eigh(hessian)
    along = vectors.T @ gradient.ravel()
    return 0.5 * float((along**2 / np.maximum(values, softest)).sum())


class _Descent:
    """Where a relaxation is, and what is known of the surface there."""

    def __init__(self, surface: Surface, positions: Array) -> None:
        self._surface = surface
        self.positions = positions
        self.gradients = 0
        self._ask()

    def go(self, way: Array) -> float:
        """Move all atoms by `way`, ``3n`` in bohr; the change of energy."""
        energy = self.energy
        self.positions = self.positions + way.reshape(-1, 3)
        self._ask()
        return self.energy - energy

    def _ask(self) -> None:
        self.energy, gradient = self._surface(self.positions)
        self.gradient = gradient.ravel()
        self.gradients += 1


def _normal_coordinates(hessian: Array, positions: Array) -> tuple[Array, Array]:
    """Orthonormal motions that change the shape, ``3n x m``, and the Hessian along them, ``m x m``.

    The whole spectrum is raised until its lowest value is `_SOFTEST`.
    """
    inner = _inner_motions(positions)
    values, vectors = np.linalg.eigh(inner.T @ hessian @ inner)
    if len(values):
        values = np.minimum(values + max(_SOFTEST - values[0], 0.0), _STIFFEST)
    return inner @ vectors, np.diag(values)


def _inner_motions(positions: Array) -> Array:
    """An orthonormal basis of all motions that are no shifts or rotations, ``3n x m``."""
    from_centre = positions - positions.mean(axis=0)
    shifts = np.tile(np.eye(3), (len(positions), 1))
    rotations = np.stack([np.cross(axis, from_centre).ravel() for axis in np.eye(3)], axis=1)
    basis, size, _ = np.linalg.svd(np.hstack([shifts, rotations]))
    inner: Array = basis[:, np.count_nonzero(size > _RIGID * size[0]) :]
    return inner


def _rational_step(gradient: Array, hessian: Array) -> Array:
    """The step to the minimum of the rational model of the energy, no coordinate too far."""
    n = len(gradient)
    if n == 0:
        return gradient
    augmented = np.zeros((n + 1, n + 1))
    augmented[:n, :n] = hessian
    augmented[n, :n] = augmented[:n, n] = gradient
    lowest = np.linalg.eigh(augmented)[1][:, 0]
    step: Array = np.clip(lowest[:n] / lowest[n], -_LONGEST, _LONGEST)
    return step


def _updated(hessian: Array, step: Array, change: Array) -> Array:
    """BFGS, unless the curvature along the step is none; no coordinate becomes too soft."""
    expected = hessian @ step
    predicted, found = float(step @ expected), float(step @ change)
    if min(predicted, found) > _LEAST_CURVATURE:
        hessian = (
            hessian + np.outer(change, change) / found - np.outer(expected, expected) / predicted
        )
    own = np.diagonal(hessian)
    floored: Array = hessian + np.diag(np.where(np.abs(own) < _SOFTEST, _SOFTEST - own, 0.0))
    return floored
