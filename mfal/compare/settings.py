"""Whether what was run already was run with the settings that it has now."""

import json
from collections.abc import Sequence

from mfal.budget import fits
from mfal.compare.config import Comparison
from mfal.compare.runs import Look
from mfal.differences import PLACE
from mfal.digits import amount
from mfal.errors import LedgerError
from mfal.fields import Pair, differing, shown

FREE = {
    *PLACE,
    "budget.total",  # what a run may still spend is held against what it has spent
    "stop",
    "threads",
    "schedule",
    "lock",
    "mix_backends",
    *(
        f"scoring.{name}"
        for name in ("runner", "address", "workers", "chunk_seconds", "chunk_size")
    ),
    "scoring.backoff_seconds",
}
"""Fields and sections that decide when and where a run goes on, and not what it finds."""


def check_settings(comparison: Comparison, looks: Sequence[Look]) -> None:
    """Raise LedgerError where rounds were run with other settings than their method has now.

    Their figures would stand under a method that did not find them. The settings are those that
    the ledgers hold of each round; a budget may be raised, and lowered to what is spent.
    """
    changed: dict[tuple[str, str], list[str]] = {}
    for look in looks:
        for pair in _changes(look):
            what = f"{pair.where} is {shown(pair.second)} now, and was {shown(pair.first)}"
            changed.setdefault((look.run.method, what), []).append(look.run.name)
    said = [
        f"{comparison.source(method)}: {what} in the rounds of {', '.join(names)}"
        for (method, what), names in changed.items()
    ]
    said += [
        f"{comparison.source(look.run.method)}: budget.total is {amount(total)} now, and "
        f"{look.run.name} has spent {amount(look.committed)}"
        for look in looks
        if not fits(look.committed, total := look.run.config.budget.total)
    ]
    if said:
        raise LedgerError(
            "\n".join(said),
            "set it back, give the method (or the comparison) another name, or delete the folders "
            f"of these runs in {comparison.folder}/",
        )


def _changes(look: Look) -> list[Pair]:
    """Each field that one of the run's rounds had another value of."""
    now = look.run.config.model_dump(mode="json")
    found = {
        (pair.where, json.dumps(pair.first)): pair
        for settings in look.settings
        for pair in differing(settings, now)
        if not any(f"{pair.where}.".startswith(f"{free}.") for free in FREE)
    }
    return list(found.values())
