"""Whether all that is compared was answered by the same engines."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from mfal.compare.config import Comparison
from mfal.compare.runs import Look
from mfal.errors import LedgerError
from mfal.ledger.store import IMPORTED

Engines = Mapping[str, AbstractSet[str]]
"""Fidelity -> the engines that answer at it."""


def check_engines(
    comparison: Comparison, looks: Sequence[Look], others: Mapping[str, Engines]
) -> None:
    """Raise LedgerError where answers at a fidelity are of different engines.

    Imported answers are left out: whoever brings them vouches for them.

    Args:
        others: Who answers beside the runs, by a name for the message.
    """
    if all(look.run.config.mix_backends for look in looks):
        return
    found = _by_fidelity({look.run.name: look.backends for look in looks} | dict(others))
    mixed = [
        f"{comparison.source()}: answers at {fidelity!r} are of different engines: "
        + "; ".join(f"{engine} ({', '.join(names)})" for engine, names in engines.items())
        for fidelity, engines in found.items()
        if len(engines) > 1
    ]
    if mixed:
        raise LedgerError(
            "\n".join(mixed),
            "numbers of two engines do not compare; bring the engine back, begin a new comparison "
            "under another name, or set campaign.mix_backends: true",
        )


def _by_fidelity(engines: Mapping[str, Engines]) -> dict[str, dict[str, list[str]]]:
    """Fidelity -> engine -> names of those that it answered."""
    found: dict[str, dict[str, list[str]]] = {}
    for name, of_it in engines.items():
        for fidelity, answering in of_it.items():
            for engine in sorted(answering):
                if not engine.startswith(IMPORTED):
                    found.setdefault(fidelity, {}).setdefault(engine, []).append(name)
    return found
