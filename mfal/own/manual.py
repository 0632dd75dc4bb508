"""Oracles that are people: every fidelity is measured by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mfal.errors import MfalError
from mfal.own.answers import check_declaration, engines
from mfal.types import Fidelity, Objective, Outcome


def manual(*, fidelities: Sequence[Fidelity], objectives: Sequence[Objective]) -> "ManualOracle":
    """An oracle all of whose fidelities are measured by hand, as in a laboratory.

    A round writes its batch to a CSV file in the campaign's folder and waits; ``mfal import``
    brings the measurements back. Where only some rungs are measured, give those ``manual=True``
    and let a function or a program answer the others.

    Raises:
        ConfigError: where the ladder is none.
    """
    rungs = tuple(replace(f, manual=True) for f in fidelities)
    check_declaration("a manual oracle", rungs, objectives)
    return ManualOracle(rungs, tuple(objectives))


class ManualOracle:
    """Declares what is measured, and answers nothing itself."""

    deterministic = False

    def __init__(self, fidelities: tuple[Fidelity, ...], objectives: tuple[Objective, ...]) -> None:
        self.fidelities = fidelities
        self.objectives = objectives
        self.backends: Mapping[str, str] = engines(fidelities, "by hand")

    def evaluate(self, keys: Sequence[str], fidelity: Fidelity) -> list[Outcome]:
        """Raise MfalError: nothing here computes an answer."""
        raise MfalError(
            f"{fidelity.name} is measured by hand: {len(keys)} candidates were asked of nobody",
            "run a round, measure what it writes out, and bring it back with `mfal import`",
        )
