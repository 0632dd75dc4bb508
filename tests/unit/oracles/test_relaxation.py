"""Relaxation on surfaces whose minima are known."""

from itertools import combinations, pairwise

import numpy as np
import pytest

from oracles import relaxation
from oracles.relaxation import (
    ENERGY_CHANGE,
    GRADIENT_NORM,
    MAX_GRADIENTS,
    Array,
    NotConvergedError,
    Surface,
    relax,
    relaxation_energy,
)

# A tetrahedron that springs hold together, each as long as it likes to be.
MINIMUM = np.array([[0.0, 0, 0], [2.5, 0, 0], [0.3, 2.2, 0], [0.8, 0.9, 2.4]])
BONDS = list(combinations(range(4), 2))
STIFFNESS = np.array([0.3, 0.5, 0.2, 0.4, 0.25, 0.35])  # Eh/bohr²


def _springs(x: Array) -> tuple[float, Array]:
    energy, gradient = -1.0, np.zeros_like(x)
    for (i, j), stiffness in zip(BONDS, STIFFNESS, strict=True):
        rest, length = np.linalg.norm(MINIMUM[i] - MINIMUM[j]), np.linalg.norm(x[i] - x[j])
        energy += float(0.5 * stiffness * (length - rest) ** 2)
        pull = stiffness * (length - rest) * (x[i] - x[j]) / length
        gradient[i] += pull
        gradient[j] -= pull
    return energy, gradient


def _hessian_of_springs(x: Array) -> Array:
    """At the minimum, where it is exact."""
    hessian = np.zeros((12, 12))
    for (i, j), stiffness in zip(BONDS, STIFFNESS, strict=True):
        row = np.zeros((4, 3))
        row[i] = (x[i] - x[j]) / np.linalg.norm(x[i] - x[j])
        row[j] = -row[i]
        hessian += stiffness * np.outer(row, row)
    return hessian


def _poor(x: Array) -> Array:
    return 0.5 * np.eye(x.size)


def _start(scale: float = 0.2) -> Array:
    return MINIMUM + scale * np.random.default_rng(0).standard_normal(MINIMUM.shape)


def _along(energy: float, slope: float, x: Array) -> tuple[float, Array]:
    """An energy of the distance of two atoms, with its gradient."""
    way = (x[1] - x[0]) / np.linalg.norm(x[1] - x[0])
    return energy, slope * np.stack([-way, way])


def _pair(distance: float) -> Array:
    return np.array([[0.0, 0, 0], [0, 0, distance]])


def _seen(surface: Surface) -> tuple[Surface, list[Array]]:
    """A surface, and where it was asked."""
    seen: list[Array] = []

    def asked(x: Array) -> tuple[float, Array]:
        seen.append(x)
        return surface(x)

    return asked, seen


def _lengths(x: Array) -> list[float]:
    return [float(np.linalg.norm(x[i] - x[j])) for i, j in BONDS]


def test_with_the_true_hessian_few_steps_are_enough() -> None:
    found = relax(_springs, _start(0.05), _hessian_of_springs)
    assert _lengths(found.positions) == pytest.approx(_lengths(MINIMUM), abs=2e-3)
    assert found.energy == pytest.approx(-1.0, abs=1e-5)
    assert found.gradients <= 5


def test_with_a_poor_hessian_it_still_finds_the_minimum() -> None:
    found = relax(_springs, _start(), _poor)
    assert np.linalg.norm(_springs(found.positions)[1]) < GRADIENT_NORM
    assert found.energy == pytest.approx(-1.0, abs=1e-5)
    assert found.gradients < 30


def test_the_molecule_is_neither_moved_nor_turned() -> None:
    found = relax(_springs, _start(), _poor)
    way = found.positions - _start()
    np.testing.assert_allclose(way.sum(axis=0), 0, atol=1e-12)
    # To first order: the coordinates are straight and stay for twenty steps.
    turn = np.cross(_start() - _start().mean(axis=0), way).sum(axis=0)
    np.testing.assert_allclose(turn, 0, atol=1e-12)


def test_at_the_minimum_one_gradient_is_enough() -> None:
    found = relax(_springs, MINIMUM, _hessian_of_springs)
    assert found.gradients == 1
    np.testing.assert_array_equal(found.positions, MINIMUM)


def test_a_step_is_that_of_the_rational_model() -> None:
    # Along one coordinate, q = (r - 2) / sqrt(2): a guess of 0.3 and a slope of 0.1 sqrt(2).
    surface, seen = _seen(lambda x: _along(0.0, 0.1 * (np.linalg.norm(x[1] - x[0]) - 1), x))
    relax(surface, _pair(2.0), lambda x: 0.3 * np.eye(6))
    slope = 0.1 * np.sqrt(2)
    lowest = 0.15 - np.sqrt(0.15**2 + slope**2)
    step = -slope / (0.3 - lowest)
    expected = _pair(2.0) + step / np.sqrt(2) * np.array([[0.0, 0, -1], [0, 0, 1]])
    np.testing.assert_allclose(seen[1], expected, atol=1e-12)


def test_no_coordinate_goes_further_than_a_bohr_at_once() -> None:
    hilltop = np.diag([-0.5, 0.3])
    step = relaxation._rational_step(np.array([1e-3, 1e-2]), hilltop)
    assert step[0] == -1.0
    assert step[1] == pytest.approx(-1e-2 / (0.3 + 0.5), rel=1e-3)


def test_over_a_barrier_of_negative_curvature() -> None:
    # A double well, from near its top: the Hessian there is negative, the model's is not.
    def surface(x: Array) -> tuple[float, Array]:
        away = float(np.linalg.norm(x[1] - x[0])) - 4.0
        return _along(0.1 * (away**2 - 1) ** 2, 0.4 * away * (away**2 - 1), x)

    found = relax(surface, _pair(4.05), _poor)
    assert np.linalg.norm(found.positions[1] - found.positions[0]) == pytest.approx(5.0, abs=5e-3)


def test_coordinates_are_made_anew_along_a_long_way() -> None:
    made: list[Array] = []

    def model(x: Array) -> Array:
        made.append(x)
        return _poor(x)

    slope = lambda x: _along(-0.02 * float(np.linalg.norm(x[1] - x[0])), -0.02, x)  # noqa: E731
    with pytest.raises(NotConvergedError):
        relax(slope, _pair(1.0), model)
    apart = [float(np.linalg.norm(x[1] - x[0])) for x in made]
    assert len(made) >= 5
    assert apart == sorted(set(apart))


def test_a_surface_without_a_minimum_is_no_value() -> None:
    surface, seen = _seen(lambda x: _along(-float(np.linalg.norm(x[1] - x[0])), -1.0, x))
    with pytest.raises(NotConvergedError, match=rf"{MAX_GRADIENTS} gradients .* 1\.4e\+00 Eh/bohr"):
        relax(surface, _pair(1.0), _poor)
    assert len(seen) == MAX_GRADIENTS


def test_a_single_atom_is_where_it_is() -> None:
    found = relax(lambda x: (-0.5, np.zeros_like(x)), np.ones((1, 3)), lambda x: np.zeros((3, 3)))
    assert (found.energy, found.gradients) == (-0.5, 1)
    np.testing.assert_array_equal(found.positions, np.ones((1, 3)))


def test_the_relaxation_energy_is_that_of_one_newton_step() -> None:
    gradient = (STIFFNESS * 0.1).reshape(2, 3)
    exact = 0.5 * 0.01 * STIFFNESS.sum()
    assert relaxation_energy(gradient, np.diag(STIFFNESS)) == pytest.approx(exact, rel=1e-12)
    floored = 0.5 * 0.01 * (STIFFNESS**2 / np.maximum(STIFFNESS, 0.3)).sum()
    found = relaxation_energy(gradient, np.diag(STIFFNESS), softest=0.3)
    assert found == pytest.approx(floored, rel=1e-12)


def test_a_small_gradient_is_no_end_while_the_energy_still_falls() -> None:
    # A soft spring, guessed to be stiffer: the first step leaves a gradient below the criterion,
    # and lowers the energy by more than the other.
    def spring(x: Array) -> tuple[float, Array]:
        length = float(np.linalg.norm(x[1] - x[0])) - 3.0
        return _along(0.5 * 0.01 * length**2, 0.01 * length, x)

    surface, seen = _seen(spring)
    found = relax(surface, _pair(3.2), lambda x: 0.02 * np.eye(x.size))
    norms = [float(np.linalg.norm(spring(x)[1])) for x in seen]
    falls = [spring(x)[0] - spring(y)[0] for x, y in pairwise(seen)]
    first = next(i for i, norm in enumerate(norms) if norm < GRADIENT_NORM)
    assert falls[first - 1] > ENERGY_CHANGE
    assert found.gradients > first + 1
    assert norms[-1] < GRADIENT_NORM and falls[-1] < ENERGY_CHANGE
