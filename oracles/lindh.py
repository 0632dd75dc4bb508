"""The model Hessian of Lindh and others: how stiff a molecule is, from its geometry alone.

R. Lindh, A. Bernhardsson, G. Karlström and P.-Å. Malmqvist, Chem. Phys. Lett. 241, 423 (1995),
with the constants of the program xtb, and as there a term for dispersion.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# By row of the periodic table (hydrogen; lithium to neon; beyond): exponents and reference
# distances in bohr, table 1 of the paper.
_EXPONENT = np.array([[1.0, 0.3949, 0.3949], [0.3949, 0.28, 0.28], [0.3949, 0.28, 0.28]])
_REFERENCE = np.array([[1.35, 2.10, 2.53], [2.10, 2.87, 3.40], [2.53, 3.40, 3.40]])
_STRETCH, _BEND, _TORSION = 0.4, 0.13, 0.0075  # Eh/bohr², Eh/rad², Eh/rad²

# Dispersion as in S. Grimme, J. Comput. Chem. 27, 1787 (2006): by atomic number, C6 coefficients
# and van der Waals radii of its table 1, in the units of xtb's Hessian and in Å; scale and
# steepness of the damping.
_ELEMENTS = np.array([1, 5, 6, 7, 8, 9, 15, 16, 17, 35])
_C6 = np.array([0.14, 3.13, 1.75, 1.23, 0.70, 0.75, 7.84, 5.57, 5.07, 12.47])
_RADIUS = np.array([0.91, 1.35, 1.32, 1.27, 1.22, 1.17, 1.55, 1.53, 1.49, 1.59])
_DISPERSION, _STEEPNESS = 20.0, 20.0
_BOHR = 0.52917721  # Å

_NEAR = 70.0  # bohr²: squared distance up to which a pair takes part in bends and torsions
_NEGLIGIBLE = 1e-6  # Eh/rad²: bends and torsions of less are left out
_LINEAR = 1e-7  # sine of an angle below which it is straight
_MOST_COSINE = np.cos(np.radians(35))  # of the angles of a torsion: none is near to straight


def model_hessian(numbers: NDArray[np.int64], positions: Array) -> Array:
    """Second derivatives of the energy in Cartesian coordinates, Eh/bohr², ``3n x 3n``.

    Harmonic stretches between all pairs, bends and torsions of near ones, each weighted by how
    close the atoms are, ``exp(alpha (r_ref² - r²))``, and the curvature of the dispersion of all
    pairs. Shifts cost nothing; rotations and distant pairs may cost a little, or less than that.

    Args:
        numbers: Atomic numbers, ``n``, of H, B, C, N, O, F, P, S, Cl and Br.
        positions: In bohr, ``n x 3``; no two atoms in one place.
    """
    row = np.where(numbers <= 2, 0, np.where(numbers <= 10, 1, 2))
    pair = (row[:, None], row[None, :])
    apart = positions[:, None] - positions[None, :]
    squared = np.einsum("ijk,ijk->ij", apart, apart)
    close = np.exp(_EXPONENT[pair] * (_REFERENCE[pair] ** 2 - squared))
    near = squared <= _NEAR
    np.fill_diagonal(close, 0.0)
    np.fill_diagonal(near, val=False)
    hessian = _pairs(numbers, close, apart, squared)
    for rows, stiffness in (_bends(positions, close, near), _torsions(positions, close, near)):
        hessian += rows.T @ (stiffness[:, None] * rows)
    return hessian


def _pairs(numbers: NDArray[np.int64], close: Array, apart: Array, squared: Array) -> Array:
    """Hessian of all stretches and of the dispersion, ``3n x 3n``."""
    n = len(close)
    np.fill_diagonal(squared, 1.0)
    slope, curvature = _dispersion(numbers, np.sqrt(squared))  # slope over distance
    along = (_STRETCH * close + curvature - slope) / squared
    blocks = along[:, :, None, None] * apart[:, :, :, None] * apart[:, :, None, :]
    blocks += slope[:, :, None, None] * np.eye(3)
    own = np.arange(n)
    blocks[own, own] = 0.0
    blocks[own, own] = -blocks.sum(axis=1)
    return -blocks.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)


def _dispersion(numbers: NDArray[np.int64], distance: Array) -> tuple[Array, Array]:
    """First derivative over distance, and second, of ``C6 r⁻⁶ f(r)``, each ``n x n``.

    With the damping ``f(r) = 1 / (1 + exp(-d (r / r_0 - 1)))``.
    """
    kind = np.searchsorted(_ELEMENTS, numbers)
    c6 = _DISPERSION * np.sqrt(np.outer(_C6[kind], _C6[kind]))
    steep = _STEEPNESS * _BOHR / np.add.outer(_RADIUS[kind], _RADIUS[kind])
    away = np.exp(_STEEPNESS - steep * distance)
    damping = 1.0 / (1.0 + away)
    first = steep * away * damping**2
    second = steep**2 * away * damping**2 * (2.0 * away * damping - 1.0)
    slope = c6 * distance**-6 * (first - 6.0 * damping / distance) / distance
    curvature = (
        c6 * distance**-6 * (second - 12.0 * first / distance + 42.0 * damping / distance**2)
    )
    return slope, curvature


def _bends(x: Array, close: Array, near: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Derivatives of all angles i-j-k, ``m x 3n``, and their stiffness, ``m``.

    A straight angle bends in two directions.
    """
    strong = _BEND * close[:, :, None] * close[None, :, :] > _NEGLIGIBLE
    i, j, k = np.nonzero(strong & near[:, :, None] & near[None, :, :] & near[:, None, :])
    i, j, k = (index[i < k] for index in (i, j, k))
    stiffness = _BEND * close[i, j] * close[j, k]
    u, u_length = _unit(x[i] - x[j])
    v, v_length = _unit(x[k] - x[j])
    cosine = np.einsum("md,md->m", u, v)[:, None]
    sine = np.linalg.norm(np.cross(u, v), axis=1, keepdims=True)
    bent, straight = sine[:, 0] > _LINEAR, (sine[:, 0] <= _LINEAR) & (cosine[:, 0] < 0)
    sine = np.where(bent[:, None], sine, 1.0)
    pieces = [(bent, (cosine * u - v) / sine, (cosine * v - u) / sine)]
    pieces += [(straight, -across, -across) for across in _across(u)]
    rows = [
        _rows(len(x), ((i[m], a[m]), (j[m], -a[m] - c[m]), (k[m], c[m])))
        for m, a, c in ((m, a / u_length, c / v_length) for m, a, c in pieces)
    ]
    return np.concatenate(rows), np.concatenate([stiffness[m] for m, _, _ in pieces])


def _across(directions: Array) -> tuple[Array, Array]:
    """Two directions at right angles to each of ``m x 3`` and to one another."""
    least = np.eye(3)[np.abs(directions).argmin(axis=1)]
    first, _ = _unit(np.cross(directions, least))
    return first, np.cross(directions, first)


def _torsions(x: Array, close: Array, near: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Derivatives of all dihedral angles i-j-k-l, ``m x 3n``, and their stiffness, ``m``.

    A. Blondel and M. Karplus, J. Comput. Chem. 17, 1132 (1996), equation 27.
    """
    first, second = np.nonzero(np.triu(near))
    weight = _TORSION * close[first, second]
    strong = weight[:, None, None] * close[first][:, :, None] * close[second][:, None, :]
    around = near[first] & near[second]
    bond, i, l = np.nonzero(  # noqa: E741
        (strong > _NEGLIGIBLE) & around[:, :, None] & around[:, None, :] & near[None]
    )
    j, k = first[bond], second[bond]
    f, g, h = x[i] - x[j], x[j] - x[k], x[l] - x[k]
    keep = np.maximum(_cosine(f, g), _cosine(h, g)) <= _MOST_COSINE
    i, j, k, l, f, g, h = (part[keep] for part in (i, j, k, l, f, g, h))  # noqa: E741
    a, b = np.cross(f, g), np.cross(h, g)
    aa, bb = (np.einsum("md,md->m", normal, normal) for normal in (a, b))
    length = np.linalg.norm(g, axis=1)
    at_i = -(length / aa)[:, None] * a
    at_l = (length / bb)[:, None] * b
    shift = (np.einsum("md,md->m", f, g) / (aa * length))[:, None] * a - (
        np.einsum("md,md->m", h, g) / (bb * length)
    )[:, None] * b
    rows = _rows(len(x), ((i, at_i), (j, shift - at_i), (k, -shift - at_l), (l, at_l)))
    return rows, _TORSION * close[i, j] * close[j, k] * close[k, l]


def _cosine(u: Array, v: Array) -> Array:
    """Between the lines along vectors ``m x 3`` and ``m x 3``, at least 0, ``m``."""
    lengths = np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1)
    cosine: Array = np.abs(np.einsum("md,md->m", u, v)) / lengths
    return cosine


def _unit(vectors: Array) -> tuple[Array, Array]:
    """Directions ``m x 3`` and lengths ``m x 1``."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths, lengths


def _rows(n: int, parts: tuple[tuple[NDArray[np.int64], Array], ...]) -> Array:
    """Derivatives of m coordinates with respect to all atoms, ``m x 3n``, from those at a few."""
    m = len(parts[0][0])
    rows = np.zeros((m, n, 3))
    for atoms, derivative in parts:
        rows[np.arange(m), atoms] = derivative
    return rows.reshape(m, 3 * n)
