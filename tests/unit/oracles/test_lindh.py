"""The model Hessian against second derivatives of the energy that it is meant to be."""

from collections.abc import Callable

import numpy as np
import pytest

from oracles.geometry import geometry
from oracles.lindh import model_hessian
from oracles.relaxation import Array

Coordinate = Callable[[Array], float]

EXPONENTS = {(0, 0): 1.0, (0, 1): 0.3949, (0, 2): 0.3949}
REFERENCES = {(0, 0): 1.35, (0, 1): 2.10, (0, 2): 2.53, (1, 1): 2.87, (1, 2): 3.40, (2, 2): 3.40}


def _closeness(numbers: np.ndarray, x: Array, i: int, j: int) -> float:
    rows = sorted(0 if z <= 2 else 1 if z <= 10 else 2 for z in (numbers[i], numbers[j]))
    alpha = EXPONENTS.get((rows[0], rows[1]), 0.28)
    reference = REFERENCES[rows[0], rows[1]]
    return float(np.exp(alpha * (reference**2 - np.sum((x[i] - x[j]) ** 2))))


def _distance(i: int, j: int) -> Coordinate:
    return lambda x: float(np.linalg.norm(x[i] - x[j]))


def _angle(i: int, j: int, k: int) -> Coordinate:
    def value(x: Array) -> float:
        u, v = x[i] - x[j], x[k] - x[j]
        return float(np.arctan2(np.linalg.norm(np.cross(u, v)), u @ v))

    return value


def _dihedral(i: int, j: int, k: int, l: int) -> Coordinate:  # noqa: E741
    def value(x: Array) -> float:
        first, axis, last = x[j] - x[i], x[k] - x[j], x[l] - x[k]
        a, b = np.cross(first, axis), np.cross(axis, last)
        return float(np.arctan2(np.cross(a, b) @ axis / np.linalg.norm(axis), a @ b))

    return value


def _terms(numbers: np.ndarray, x: Array) -> list[tuple[float, Coordinate]]:
    """Stiffness and coordinate of every term of the model, found one by one."""
    atoms = range(len(numbers))
    close = {(i, j): _closeness(numbers, x, i, j) for i in atoms for j in atoms if i != j}
    near = {i: [j for j in atoms if j != i and close[i, j] > 0.05] for i in atoms}
    terms = [(0.45 * close[i, j], _distance(i, j)) for i in atoms for j in range(i)]
    for j in atoms:
        terms += [
            (0.15 * close[i, j] * close[j, k], _angle(i, j, k))
            for i in near[j]
            for k in near[j]
            if i < k
        ]
        terms += [
            (0.005 * close[i, j] * close[j, k] * close[k, l], _dihedral(i, j, k, l))
            for k in near[j]
            if j < k
            for i in near[j]
            for l in near[k]  # noqa: E741
            if i != k and l != j and i != l
        ]
    return terms


def _gradient(coordinate: Coordinate, x: Array, step: float = 1e-5) -> Array:
    found = np.empty(x.size)
    for place in range(x.size):
        shift = np.zeros(x.size)
        shift[place] = step
        up, down = (coordinate(x + sign * shift.reshape(x.shape)) for sign in (1, -1))
        # Across the seam of a dihedral angle, the difference is off by a turn.
        found[place] = ((up - down + np.pi) % (2 * np.pi) - np.pi) / (2 * step)
    return found


@pytest.mark.parametrize(
    "key", ["[C][C][O]", "[N][C][=Branch1][C][=O][S][Cl]", "[C][=C][P][Branch1][C][Br][F]"]
)
def test_it_is_the_sum_over_all_internal_coordinates(key: str) -> None:
    start = geometry(key, max_atoms=30)
    expected = np.zeros((3 * len(start.numbers),) * 2)
    for stiffness, coordinate in _terms(start.numbers, start.positions):
        gradient = _gradient(coordinate, start.positions)
        expected += stiffness * np.outer(gradient, gradient)
    found = model_hessian(start.numbers, start.positions)
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_two_atoms_by_hand() -> None:
    found = model_hessian(np.array([1, 1]), np.array([[0.0, 0, 0], [0, 0, 1.35]]))
    expected = np.zeros((6, 6))
    expected[np.ix_([2, 5], [2, 5])] = [[0.45, -0.45], [-0.45, 0.45]]
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_shifts_and_rotations_cost_nothing_and_nothing_is_negative() -> None:
    start = geometry("[C][=C][C][=C][C][=C][Ring1][=Branch1]", max_atoms=30)
    hessian = model_hessian(start.numbers, start.positions)
    axes = np.eye(3)
    motions = [np.tile(axis, len(start.numbers)) for axis in axes]
    motions += [np.cross(axis, start.positions).ravel() for axis in axes]
    np.testing.assert_allclose(hessian @ np.array(motions).T, 0, atol=1e-12)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-14)
    assert np.linalg.eigvalsh(hessian)[0] > -1e-12


def test_atoms_in_a_row_and_a_single_atom_have_finite_hessians() -> None:
    row = np.array([[0.0, 0, 0], [0, 0, 2.2], [0, 0, 4.4], [0, 0, 6.6]])
    assert np.isfinite(model_hessian(np.array([1, 6, 6, 1]), row)).all()
    np.testing.assert_array_equal(model_hessian(np.array([6]), np.zeros((1, 3))), np.zeros((3, 3)))
