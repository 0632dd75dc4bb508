"""The model Hessian against second derivatives of the energy that it is meant to be."""

from collections.abc import Callable, Iterable
from itertools import combinations, permutations

import numpy as np
import pytest

from oracles import lindh
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


def _terms(numbers: np.ndarray, x: Array) -> list[tuple[float, Coordinate, tuple[int, ...]]]:
    """Stiffness, coordinate and atoms of each harmonic term of the model, found one by one."""
    atoms = range(len(numbers))
    close = {(i, j): _closeness(numbers, x, i, j) for i in atoms for j in atoms if i != j}
    near = {(i, j) for i in atoms for j in atoms if i != j and np.sum((x[i] - x[j]) ** 2) <= 70}
    terms = [(0.4 * close[i, j], _distance(i, j), (i, j)) for i in atoms for j in range(i)]
    terms += [
        (0.13 * close[i, j] * close[j, k], _angle(i, j, k), (i, j, k))
        for i, j, k in permutations(atoms, 3)
        if i < k and {(i, j), (j, k), (i, k)} <= near
    ]
    bent = {
        (i, j, k): 35 <= np.degrees(_angle(i, j, k)(x)) <= 145 for i, j, k in permutations(atoms, 3)
    }
    terms += [
        (0.0075 * close[i, j] * close[j, k] * close[k, l], _dihedral(i, j, k, l), (i, j, k, l))
        for i, j, k, l in permutations(atoms, 4)  # noqa: E741
        if j < k
        and bent[i, j, k]
        and bent[j, k, l]
        and set(combinations(sorted((i, j, k, l)), 2)) <= near
    ]
    return terms


def _dispersion(numbers: np.ndarray) -> Coordinate:
    """Its energy with the sign that the model gives it, in xtb's units."""
    c6 = {1: 0.14, 6: 1.75, 7: 1.23, 8: 0.70, 9: 0.75, 15: 7.84, 16: 5.57, 17: 5.07, 35: 12.47}
    radius = {1: 0.91, 6: 1.32, 7: 1.27, 8: 1.22, 9: 1.17, 15: 1.55, 16: 1.53, 17: 1.49, 35: 1.59}

    first, second = np.triu_indices(len(numbers), 1)
    size = np.array([radius[z] for z in numbers])
    r0 = (size[first] + size[second]) / 0.52917721
    strength = 20 * np.sqrt(
        [c6[numbers[i]] * c6[numbers[j]] for i, j in zip(first, second, strict=True)]
    )

    def value(x: Array) -> float:
        r = np.linalg.norm(x[first] - x[second], axis=1)
        return float((strength / r**6 / (1 + np.exp(-20 * (r / r0 - 1)))).sum())

    return value


def _gradient(coordinate: Coordinate, x: Array, atoms: Iterable[int], step: float = 1e-5) -> Array:
    """By differences; zero but for the atoms that the coordinate is one of."""
    found = np.zeros(x.size)
    for place in (3 * atom + axis for atom in atoms for axis in range(3)):
        shift = np.zeros(x.size)
        shift[place] = step
        up, down = (coordinate(x + sign * shift.reshape(x.shape)) for sign in (1, -1))
        # Across the seam of a dihedral angle, the difference is off by a turn.
        found[place] = ((up - down + np.pi) % (2 * np.pi) - np.pi) / (2 * step)
    return found


def _second_derivatives(energy: Coordinate, x: Array, step: float = 1e-3) -> Array:
    rows = []
    for place in range(x.size):
        shift = np.zeros(x.size)
        shift[place] = step
        moved = (x + sign * shift.reshape(x.shape) for sign in (1, -1))
        up, down = (_gradient(energy, positions, range(len(x))) for positions in moved)
        rows.append((up - down) / (2 * step))
    return np.array(rows)


@pytest.mark.parametrize(
    "key", ["[C][C][O]", "[N][C][=Branch1][C][=O][S][Cl]", "[C][=C][P][Branch1][C][Br][F]"]
)
def test_it_is_the_sum_over_all_internal_coordinates_less_dispersion(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = geometry(key, max_atoms=30)
    harmonic = np.zeros((3 * len(start.numbers),) * 2)
    for stiffness, coordinate, atoms in _terms(start.numbers, start.positions):
        if stiffness < 1e-9:
            continue
        gradient = _gradient(coordinate, start.positions, atoms)
        harmonic += stiffness * np.outer(gradient, gradient)
    dispersion = _second_derivatives(_dispersion(start.numbers), start.positions)
    found = model_hessian(start.numbers, start.positions)
    assert np.abs(harmonic).max() > 0.5
    assert np.abs(dispersion).max() > 1e-3
    np.testing.assert_allclose(found, harmonic + dispersion, atol=2e-5)
    monkeypatch.setattr(lindh, "_NEGLIGIBLE", 0.0)
    found = model_hessian(start.numbers, start.positions)
    np.testing.assert_allclose(found, harmonic + dispersion, atol=2e-7)


def test_two_atoms_by_hand() -> None:
    # Where the damping has let none of the dispersion through.
    found = model_hessian(np.array([1, 1]), np.array([[0.0, 0, 0], [0, 0, 0.7]]))
    stiffness = 0.4 * np.exp(1.35**2 - 0.7**2)
    np.testing.assert_allclose(
        found[[2, 2, 5], [2, 5, 5]], stiffness * np.array([1, -1, 1]), rtol=1e-3
    )
    assert np.abs(found[[0, 0, 1], [1, 2, 2]]).max() == 0


def test_a_straight_angle_bends_both_ways() -> None:
    row = np.array([[0.0, 0, -2], [0, 0, 0], [0, 0, 2]])
    nearly = row + np.array([[0, 2e-6, 0], [0, 0, 0], [0, 0, 0]])
    numbers = np.array([1, 6, 1])
    bend = np.tile([1.0, 0, 0], (3, 1)) * np.array([[1.0], [-2], [1]])
    along, across = bend.ravel(), np.roll(bend, 1, axis=1).ravel()
    straight = model_hessian(numbers, row)
    weight = 0.13 * np.exp(0.3949 * (2.1**2 - 2**2)) ** 2
    plain = _second_derivatives(_dispersion(numbers), row)
    for way in (along, across):
        expected = weight * (6 / 2) ** 2 + way @ plain @ way
        assert way @ straight @ way == pytest.approx(expected, rel=1e-3)
    assert across @ model_hessian(numbers, nearly) @ across == pytest.approx(
        across @ straight @ across, rel=1e-3
    )


def test_shifts_cost_nothing() -> None:
    start = geometry("[C][=C][C][=C][C][=C][Ring1][=Branch1]", max_atoms=30)
    hessian = model_hessian(start.numbers, start.positions)
    motions = [np.tile(axis, len(start.numbers)) for axis in np.eye(3)]
    np.testing.assert_allclose(hessian @ np.array(motions).T, 0, atol=1e-12)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-14)


def test_atoms_in_a_row_and_a_single_atom_have_finite_hessians() -> None:
    row = np.array([[0.0, 0, 0], [0, 0, 2.2], [0, 0, 4.4], [0, 0, 6.6]])
    assert np.isfinite(model_hessian(np.array([1, 6, 6, 1]), row)).all()
    np.testing.assert_array_equal(model_hessian(np.array([6]), np.zeros((1, 3))), np.zeros((3, 3)))
