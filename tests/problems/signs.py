"""A ladder of known correlations: words of 12 signs, P and M; a fidelity adds up the first few.

The first sees 3, the second 9, the target all 12: correlations with the target over all words
are sqrt(3/12) and sqrt(9/12). The middle one fails where the word begins with PPP.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from mfal import Fidelity, Objective, Problem, oracle

if TYPE_CHECKING:
    from mfal.envs.base import Environment

SEEN = {"three": 3, "nine": 9, "all": 12}


def problem(calls: str | None = None) -> Problem:
    @oracle(
        fidelities=[
            Fidelity("three", 1, 0.2),
            Fidelity("nine", 2, 0.5),
            Fidelity("all", 20, 1.0),
        ],
        objectives=[Objective("sum", "signs", "min")],
    )
    def total(key: str, fidelity: Fidelity) -> float:
        if calls is not None:
            with Path(calls).open("a") as file:
                file.write(f"{fidelity.name} {key}\n")
        if fidelity.name == "nine" and key.startswith("PPP"):
            raise RuntimeError("three plus signs")
        return sum(1 if sign == "P" else -1 for sign in key[: SEEN[fidelity.name]])

    def environment() -> "Environment":
        from mfal.envs.sequence import SequenceEnvironment

        return SequenceEnvironment(alphabet="PM", length=12)

    return Problem("signs", total, environment)
