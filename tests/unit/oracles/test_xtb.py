"""The engine: its energies, gradients, charges and failures."""

import os
import subprocess
import sys

import numpy as np
import pytest

from oracles.geometry import Geometry, NoValueError, geometry
from oracles.relaxation import GRADIENT_NORM
from oracles.xtb import (
    ACCURACY,
    ENERGY_ACCURACY,
    HARTREE,
    SHIFT,
    XtbSurface,
    check_electrons,
    xtb_label,
)

WATER = Geometry(
    np.array([8, 1, 1]),
    np.array([[0.0, 0.0, -0.7440], [1.4441, 0.0, 0.3720], [-1.4441, 0.0, 0.3720]]),
)


def test_the_gradient_is_that_of_the_energy() -> None:
    for charge in (-1, 0, 1):
        surface = XtbSurface(WATER, charge, accuracy=1.0)
        _, gradient = surface(WATER.positions)
        for atom, axis in ((0, 2), (1, 0), (2, 2)):
            shift = np.zeros((3, 3))
            shift[atom, axis] = 1e-3
            up, down = (surface(WATER.positions + sign * shift)[0] for sign in (1, -1))
            assert gradient[atom, axis] == pytest.approx((up - down) / 2e-3, abs=2e-5)


def test_the_energy_does_not_depend_on_where_the_density_starts() -> None:
    start = geometry("[C][=C][C][=Branch1][C][=O][N]", max_atoms=30)
    molecule = XtbSurface(start, 0)
    molecule(start.positions)
    for charge in (1, -1):
        cold, _ = XtbSurface(start, charge, accuracy=1.0)(start.positions)
        warm, _ = XtbSurface(start, charge, molecule, accuracy=1.0)(start.positions)
        assert warm == pytest.approx(cold, abs=1e-6)


def test_the_field_converges_to_what_its_accuracy_says() -> None:
    start = geometry("[C][=C][C][=Branch1][C][=O][N]", max_atoms=30)
    for charge in (1, 0, -1):
        exact, true_gradient = XtbSurface(start, charge, accuracy=1e-3)(start.positions)
        energy, gradient = XtbSurface(start, charge)(start.positions)
        assert energy == pytest.approx(exact, abs=ACCURACY * 1e-6)
        assert np.linalg.norm(gradient - true_gradient) < 0.3 * GRADIENT_NORM
        energy, _ = XtbSurface(start, charge, accuracy=ENERGY_ACCURACY)(start.positions)
        assert energy == pytest.approx(exact, abs=ENERGY_ACCURACY * 1e-6)


def test_a_density_is_copied_not_shared() -> None:
    molecule = XtbSurface(WATER, 0)
    before, _ = molecule(WATER.positions)
    XtbSurface(WATER, 1, density_of=molecule)(WATER.positions)
    assert molecule(WATER.positions)[0] == pytest.approx(before, abs=1e-6)


def test_a_charge_above_the_electrons_never_reaches_native_code() -> None:
    proton = Geometry(np.array([1]), np.zeros((1, 3)))
    with pytest.raises(NoValueError, match=r"charge \+1 leaves 0 valence electrons"):
        XtbSurface(proton, 1)
    with pytest.raises(NoValueError, match="leaves -2"):
        check_electrons(WATER, 10)
    check_electrons(WATER, 7)


def test_atoms_in_one_place_are_a_failure_with_the_engines_reason() -> None:
    close = Geometry(WATER.numbers, np.zeros((3, 3)))
    with pytest.raises(NoValueError, match=r"GFN2-xTB: .*[Tt]oo close"):
        XtbSurface(close, 0)(close.positions)


def test_an_absurd_energy_is_no_value() -> None:
    crushed = Geometry(np.array([8, 8]), np.array([[0.0, 0, 0], [0, 0, 0.02]]))
    with pytest.raises(NoValueError, match="GFN2-xTB"):
        XtbSurface(crushed, 0)(crushed.positions)


def test_units_and_label() -> None:
    assert (HARTREE, SHIFT) == (27.211386245988, 4.8455)
    assert xtb_label(5).startswith("tblite ") and xtb_label(5).endswith(" GFN2-xTB accuracy 5")


@pytest.mark.parametrize("threads", ["1", "4", None])
def test_the_native_library_has_one_thread_and_the_environment_is_left_alone(
    threads: str | None,
) -> None:
    code = """
import ctypes, os, numpy
from oracles.geometry import Geometry
from oracles.xtb import XtbSurface
XtbSurface(Geometry(numpy.array([2 - 1, 1]), numpy.array([[0.0, 0, 0], [0, 0, 1.4]])), 0)
print(ctypes.CDLL("libgomp.so.1").omp_get_max_threads(), os.environ.get("OMP_NUM_THREADS"))
"""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = threads
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.stdout.split() == ["1", str(threads)], done.stderr
