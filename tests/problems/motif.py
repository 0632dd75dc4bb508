"""A toy with a known answer: how many places of a 8-letter word agree with a motif.

The target counts the places; the cheap fidelity sees only the first half of them. Every call
is written to a file, so that tests can count what was asked; words can be told to misbehave.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mfal.types import Fidelity, Objective, Outcome, Problem

if TYPE_CHECKING:
    from mfal.envs.base import Environment  # and with it torch, which no worker needs

MOTIF = "ACGTACGT"


class MotifOracle:
    fidelities = (Fidelity("half", 1.0, 0.5), Fidelity("whole", 3.0, 1.0))
    objectives = (Objective("agreement", "places", "max"),)

    def __init__(
        self, calls: Path | None, slow: float, trouble: str, backend: str, gate: Path | None = None
    ) -> None:
        self.calls, self.slow, self.trouble, self.gate = calls, slow, trouble, gate
        self.backends = {"half": f"{backend} half", "whole": f"{backend} whole"}

    def evaluate(self, keys: Sequence[str], fidelity: Fidelity) -> list[Outcome]:
        if self.calls is not None:
            with self.calls.open("a") as file:
                file.writelines(f"{fidelity.name} {key}\n" for key in keys)
        time.sleep(self.slow)
        while self.gate is not None and not self.gate.exists():
            time.sleep(0.05)
        if self.trouble == "shorter":
            keys = [key for key in keys if key[0] != "A"]
        return [self._answer(key, fidelity) for key in keys]

    def _answer(self, key: str, fidelity: Fidelity) -> Outcome:
        # Words that begin with A are the ones that give trouble.
        if key[0] == "A":
            _TROUBLE[self.trouble]()
            if self.trouble == "nan":
                return Outcome((float("nan"),), None, 0.0)
        places = len(MOTIF) // 2 if fidelity.name == "half" else len(MOTIF)
        value = sum(a == b for a, b in zip(key[:places], MOTIF[:places], strict=True))
        return Outcome((float(value),), None, 0.0)


def _raise() -> None:
    raise RuntimeError("this word begins with A")


def _hang() -> None:
    time.sleep(3600)


def _crash() -> None:
    os.kill(os.getpid(), 11)


def _nothing() -> None:
    return None


_TROUBLE: dict[str, Callable[[], None]] = {
    "": _nothing,
    "nan": _nothing,
    "shorter": _nothing,
    "raise": _raise,
    "hang": _hang,
    "crash": _crash,
}


def problem(
    calls: str | None = None,
    slow: float = 0.0,
    trouble: str = "",
    backend: str = "motif",
    gate: str | None = None,
) -> Problem:
    """The problem; its oracle answers nothing before there is a file `gate`."""

    def environment() -> "Environment":
        from mfal.envs.sequence import SequenceEnvironment

        return SequenceEnvironment(alphabet="ACGT", length=len(MOTIF))

    written, opened = (Path(name) if name else None for name in (calls, gate))
    oracle = MotifOracle(written, slow, trouble, backend, opened)
    return Problem("motif", oracle, environment, draw=draw)


def draw(key: str) -> str:
    """The word as an SVG, its places that agree with the motif in green."""
    letters = "".join(
        f'<text x="{12 * i + 2}" y="16" fill="{"green" if a == b else "grey"}">{a}</text>'
        for i, (a, b) in enumerate(zip(key, MOTIF, strict=True))
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="100" height="24">{letters}</svg>'
