"""The model Hessian of Lindh and others: how stiff a molecule is, from its geometry alone.

R. Lindh, A. Bernhardsson, G. Karlström and P.-Å. Malmqvist, Chem. Phys. Lett. 241, 423 (1995).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# By row of the periodic table (hydrogen; lithium to neon; beyond): exponents and reference
# distances in bohr, table 1 of the paper.
_EXPONENT = np.array([[1.0, 0.3949, 0.3949], [0.3949, 0.28, 0.28], [0.3949, 0.28, 0.28]])
_REFERENCE = np.array([[1.35, 2.10, 2.53], [2.10, 2.87, 3.40], [2.53, 3.40, 3.40]])
_STRETCH, _BEND, _TORSION = 0.45, 0.15, 0.005  # Eh/bohr², Eh/rad², Eh/rad²

_BONDED = 0.05  # closeness from which a pair takes part in bends and torsions
_LINEAR = 1e-2  # least sine of an angle: none is so flat that its derivative explodes
_FLAT = 0.05  # least squared normal, bohr⁴, of the two planes of a torsion


def model_hessian(numbers: NDArray[np.int64], positions: Array) -> Array:
    """Second derivatives of the energy in Cartesian coordinates, Eh/bohr², ``3n x 3n``.

    Harmonic stretches between all pairs, bends and torsions along bonds, each weighted by how
    close the atoms are, ``exp(alpha (r_ref² - r²))``. Positive semidefinite; shifts cost
    nothing, and rotations nothing either.

    Args:
        numbers: Atomic numbers, ``n``.
        positions: In bohr, ``n x 3``; no two atoms in one place.
    """
    row = np.where(numbers <= 2, 0, np.where(numbers <= 10, 1, 2))
    pair = (row[:, None], row[None, :])
    apart = positions[:, None] - positions[None, :]
    squared = np.einsum("ijk,ijk->ij", apart, apart)
    close = np.exp(_EXPONENT[pair] * (_REFERENCE[pair] ** 2 - squared))
    np.fill_diagonal(close, 0.0)
    bonded = close > _BONDED
    hessian = _stretches(close, apart, squared)
    for rows, stiffness in (_bends(positions, close, bonded), _torsions(positions, close, bonded)):
        hessian += rows.T @ (stiffness[:, None] * rows)
    return hessian


def _stretches(close: Array, apart: Array, squared: Array) -> Array:
    """Hessian of all stretches, ``3n x 3n``."""
    n = len(close)
    np.fill_diagonal(squared, 1.0)
    stiffness = _STRETCH * close / squared
    blocks = -stiffness[:, :, None, None] * apart[:, :, :, None] * apart[:, :, None, :]
    own = np.arange(n)
    blocks[own, own] = -blocks.sum(axis=1)
    return blocks.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)


def _bends(x: Array, close: Array, bonded: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Derivatives of all angles i-j-k, ``m x 3n``, and their stiffness, ``m``."""
    i, j, k = np.nonzero(bonded[:, :, None] & bonded[None, :, :])
    i, j, k = (index[i < k] for index in (i, j, k))
    u, u_length = _unit(x[i] - x[j])
    v, v_length = _unit(x[k] - x[j])
    cosine = np.einsum("md,md->m", u, v)[:, None]
    sine = np.sqrt(np.maximum(1.0 - cosine**2, _LINEAR**2))
    at_i = (cosine * u - v) / (u_length * sine)
    at_k = (cosine * v - u) / (v_length * sine)
    rows = _rows(len(x), ((i, at_i), (j, -at_i - at_k), (k, at_k)))
    return rows, _BEND * close[i, j] * close[j, k]


def _torsions(x: Array, close: Array, bonded: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Derivatives of all dihedral angles i-j-k-l, ``m x 3n``, and their stiffness, ``m``.

    A. Blondel and M. Karplus, J. Comput. Chem. 17, 1132 (1996), equation 27.
    """
    first, second = np.nonzero(np.triu(bonded))
    bond, i, l = np.nonzero(bonded[first][:, :, None] & bonded[second][:, None, :])  # noqa: E741
    j, k = first[bond], second[bond]
    f, g, h = x[i] - x[j], x[j] - x[k], x[l] - x[k]
    a, b = np.cross(f, g), np.cross(h, g)
    aa, bb = (np.einsum("md,md->m", normal, normal) for normal in (a, b))
    keep = (i != k) & (l != j) & (i != l) & (aa > _FLAT) & (bb > _FLAT)
    i, j, k, l, f, g, h, a, b, aa, bb = (  # noqa: E741
        part[keep] for part in (i, j, k, l, f, g, h, a, b, aa, bb)
    )
    length = np.linalg.norm(g, axis=1)
    at_i = -(length / aa)[:, None] * a
    at_l = (length / bb)[:, None] * b
    shift = (np.einsum("md,md->m", f, g) / (aa * length))[:, None] * a - (
        np.einsum("md,md->m", h, g) / (bb * length)
    )[:, None] * b
    rows = _rows(len(x), ((i, at_i), (j, shift - at_i), (k, -shift - at_l), (l, at_l)))
    return rows, _TORSION * close[i, j] * close[j, k] * close[k, l]


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
