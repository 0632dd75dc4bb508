"""CPU time of every rung beside the program xtb: ``python -m tests.benchmarks.xtb``.

Twenty published molecules (their folder is named in MFAL_ANCHORS), from the same geometry.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console

from oracles.geometry import Geometry
from oracles.ionisation import adiabatic, relaxing, vertical
from tests.unit.oracles.test_molecules_published import Charge, Xtb, twenty

RUNGS = (vertical, relaxing, adiabatic)


def main() -> None:
    """Print the ratios, ours over the program's, for ionisation and for attachment."""
    charges: tuple[Charge, ...] = (1, -1)
    for charge in charges:
        with tempfile.TemporaryDirectory() as folder:
            found = ", ".join(f"{ratio:.2f}" for ratio in ratios(charge, Path(folder)))
        Console().print(f"charge {charge:+d}: {found} times the CPU time of xtb, rung by rung")


def ratios(charge: Charge, folder: Path) -> list[float]:
    """Our CPU seconds over those of xtb, summed over the molecules, at each rung."""
    ours, theirs = np.zeros(3), np.zeros(3)
    for number, start in enumerate(twenty()):
        program = Xtb(folder / str(number), start)
        at_start = program.seconds(lambda p: p.vertical(charge))
        relaxing_it = program.seconds(lambda p: p.relax(0))
        at_minimum = program.seconds(lambda p: p.vertical(charge))
        relaxing_ion = program.seconds(lambda p: p.relax(charge))
        theirs += [at_start, relaxing_it + at_minimum, relaxing_it + relaxing_ion]
        ours += [_seconds(rung, start, charge) for rung in RUNGS]
    return [float(ratio) for ratio in ours / theirs]


def _seconds(rung: Callable[[Geometry, int], float], start: Geometry, charge: int) -> float:
    before = time.process_time()
    rung(start, charge)
    return time.process_time() - before


if __name__ == "__main__":
    main()
