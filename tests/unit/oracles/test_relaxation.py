"""Relaxation on surfaces whose minima are known."""

import numpy as np
import pytest

from oracles.relaxation import (
    ENERGY_CHANGE,
    GRADIENT_NORM,
    MAX_GRADIENTS,
    Array,
    NotConvergedError,
    relax,
    relaxation_energy,
)

STIFFNESS = np.array([0.02, 0.05, 0.1, 0.3, 0.6, 1.2])
MINIMUM = np.array([[0.1, -0.2, 0.3], [1.0, 2.0, -1.5]])


def _bowl(x: Array) -> tuple[float, Array]:
    away = (x - MINIMUM).ravel()
    gradient = STIFFNESS * away
    return float(0.5 * away @ gradient - 1.0), gradient.reshape(x.shape)


def _start(scale: float = 0.1) -> Array:
    return MINIMUM + scale * np.arange(-2.5, 3.0).reshape(2, 3)


def test_with_the_true_hessian_a_single_step_is_enough() -> None:
    found = relax(_bowl, _start(0.05), np.diag(STIFFNESS))
    np.testing.assert_allclose(found.positions, MINIMUM, atol=1e-12)
    assert found.energy == pytest.approx(-1.0, abs=1e-12)
    assert found.gradients <= 3  # the start, the minimum, and one that sees no further change


def test_with_a_poor_hessian_it_still_finds_the_minimum() -> None:
    found = relax(_bowl, _start(), np.eye(6))
    assert np.linalg.norm(_bowl(found.positions)[1]) < GRADIENT_NORM
    assert found.energy == pytest.approx(-1.0, abs=1e-4)
    assert found.gradients < 40


def test_it_learns_the_hessian() -> None:
    found = relax(_bowl, _start(), 0.5 * np.eye(6))
    step = (_start() - MINIMUM).ravel()
    step /= np.linalg.norm(step)
    before, true = 0.5, step @ (STIFFNESS * step)
    assert abs(step @ found.hessian @ step - true) < 0.5 * abs(before - true)


def test_at_the_minimum_one_gradient_is_enough() -> None:
    found = relax(_bowl, MINIMUM, np.diag(STIFFNESS))
    assert found.gradients == 1
    np.testing.assert_array_equal(found.positions, MINIMUM)


def test_over_a_barrier_of_negative_curvature() -> None:
    # A double well, from near its top: the Hessian there is negative, the model's is not.
    def surface(x: Array) -> tuple[float, Array]:
        first = x[0, 0]
        gradient = np.zeros((1, 3))
        gradient[0, 0] = 0.4 * first * (first**2 - 1)
        return float(0.1 * (first**2 - 1) ** 2), gradient

    found = relax(surface, np.array([[0.05, 0.0, 0.0]]), 0.3 * np.eye(3))
    assert found.positions[0, 0] == pytest.approx(1.0, abs=5e-3)


def test_steps_that_raise_the_energy_are_taken_back() -> None:
    seen: list[float] = []

    def surface(x: Array) -> tuple[float, Array]:
        energy, gradient = _bowl(x)
        seen.append(energy)
        return energy, gradient

    found = relax(surface, _start(), 0.01 * np.eye(6))
    assert max(seen) > seen[0], "no step went wrong: the test tests nothing"
    assert found.energy == pytest.approx(-1.0, abs=1e-4)


def test_a_surface_without_a_minimum_is_no_value() -> None:
    calls = 0

    def slope(x: Array) -> tuple[float, Array]:
        nonlocal calls
        calls += 1
        return float(x.sum()), np.ones_like(x)

    with pytest.raises(NotConvergedError, match=rf"{MAX_GRADIENTS} gradients .* 1\.7e\+00 Eh/bohr"):
        relax(slope, np.zeros((1, 3)), np.eye(3))
    assert calls == MAX_GRADIENTS


def test_the_relaxation_energy_is_that_of_one_newton_step() -> None:
    gradient = (STIFFNESS * 0.1).reshape(2, 3)
    exact = 0.5 * 0.01 * STIFFNESS.sum()
    assert relaxation_energy(gradient, np.diag(STIFFNESS)) == pytest.approx(exact, rel=1e-12)
    floored = 0.5 * 0.01 * (STIFFNESS**2 / np.maximum(STIFFNESS, 0.2)).sum()
    found = relaxation_energy(gradient, np.diag(STIFFNESS), softest=0.2)
    assert found == pytest.approx(floored, rel=1e-12)


def test_convergence_is_that_of_xtb() -> None:
    assert (GRADIENT_NORM, ENERGY_CHANGE) == (1e-3, 5e-6)
