"""Relaxing a molecule: the nearest geometry at which no force is left."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

Surface = Callable[[Array], tuple[float, Array]]
"""Positions in bohr, ``n x 3`` -> energy in Eh and its gradient in Eh/bohr, ``n x 3``."""

MAX_GRADIENTS = 150
GRADIENT_NORM = 1e-3  # Eh/bohr
ENERGY_CHANGE = 5e-6  # Eh
"""Convergence as xtb's level "normal": norm of the gradient, and change of energy in a step."""

_SOFTEST_GUESS = 1e-3  # Eh/bohr²: no direction is guessed to be softer
_SOFTEST = 1e-4  # Eh/bohr²: none that was learnt is taken for softer, so that steps stay finite
_LEAST_CURVATURE = 1e-14  # Eh: along a step, what rounding leaves of it
_FIRST_TRUST, _MOST_TRUST, _LEAST_TRUST = 0.4, 1.0, 0.05  # length of a step in bohr
_RISE = 2e-5  # Eh: a step that raises the energy by more is taken back


class NotConvergedError(Exception):
    """A relaxation that did not find its minimum; the message says how far it came."""


@dataclass(frozen=True)
class Relaxed:
    """A geometry at a minimum of the energy.

    Attributes:
        positions: In bohr, ``n x 3``.
        energy: In Eh.
        hessian: What was learnt of the second derivatives, Eh/bohr², ``3n x 3n``.
        gradients: How often the surface was asked.
    """

    positions: Array
    energy: float
    hessian: Array
    gradients: int


def relax(surface: Surface, positions: Array, hessian: Array) -> Relaxed:
    """Quasi-Newton descent in Cartesian coordinates, with steps of limited length.

    The Hessian is updated by BFGS with Powell's damping, so it stays positive definite
    (J. Nocedal and S. Wright, Numerical Optimization, 2nd ed., procedure 18.2).

    Args:
        positions: Where to start, in bohr, ``n x 3``.
        hessian: A guess of the second derivatives there, Eh/bohr², ``3n x 3n``, such as
            `oracles.lindh.model_hessian`.

    Raises:
        NotConvergedError: after `MAX_GRADIENTS` gradients.
    """
    x = positions.ravel()
    energy, gradient = _ask(surface, x)
    hessian = _floored(hessian)
    trust, change = _FIRST_TRUST, 0.0
    for count in range(1, MAX_GRADIENTS):
        step = _newton_step(gradient, hessian)
        if count == 1:
            change = 0.5 * float(gradient @ step)
        if np.linalg.norm(gradient) < GRADIENT_NORM and abs(change) < ENERGY_CHANGE:
            return Relaxed(x.reshape(-1, 3), energy, hessian, count)
        length = float(np.linalg.norm(step))
        if length > trust:
            step, length = step * (trust / length), trust
        new_energy, new_gradient = _ask(surface, x + step)
        hessian = _updated(hessian, step, new_gradient - gradient)
        rise = new_energy - energy
        if rise > _RISE:
            trust = max(_LEAST_TRUST, 0.5 * length)
            continue
        if rise <= 0:
            trust = min(_MOST_TRUST, 1.3 * trust)
        x, energy, gradient, change = x + step, new_energy, new_gradient, rise
    raise NotConvergedError(
        f"{MAX_GRADIENTS} gradients left one of {np.linalg.norm(gradient):.1e} Eh/bohr"
    )


def relaxation_energy(gradient: Array, hessian: Array, softest: float = 0.02) -> float:
    """What a molecule would gain by relaxing, in Eh, by a single Newton step; at least 0.

    ``g' H⁻¹ g / 2``, where no direction is taken for softer than `softest` (Eh/bohr²).
    """
    values, vectors = np.linalg.eigh(hessian)
    along = vectors.T @ gradient.ravel()
    return 0.5 * float((along**2 / np.maximum(values, softest)).sum())


def _ask(surface: Surface, x: Array) -> tuple[float, Array]:
    energy, gradient = surface(x.reshape(-1, 3))
    return energy, gradient.ravel()


def _floored(hessian: Array) -> Array:
    values, vectors = np.linalg.eigh(hessian)
    floored: Array = (vectors * np.maximum(values, _SOFTEST_GUESS)) @ vectors.T
    return floored


def _newton_step(gradient: Array, hessian: Array) -> Array:
    values, vectors = np.linalg.eigh(hessian)
    step: Array = -vectors @ ((vectors.T @ gradient) / np.maximum(values, _SOFTEST))
    return step


def _updated(hessian: Array, step: Array, change: Array) -> Array:
    """BFGS with the change of gradient blended with the expected one where curvature is low."""
    expected = hessian @ step
    predicted, found = float(step @ expected), float(step @ change)
    if predicted < _LEAST_CURVATURE:
        return hessian  # the step was none, or no more can be learnt along it
    if found < 0.2 * predicted:
        share = 0.8 * predicted / (predicted - found)
        change = share * change + (1 - share) * expected
        found = float(step @ change)
    return hessian + np.outer(change, change) / found - np.outer(expected, expected) / predicted
