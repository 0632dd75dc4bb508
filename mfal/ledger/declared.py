"""What a problem declares of its numbers: fixed when a campaign begins, like its identity."""

from collections.abc import Iterator, Sequence
from typing import Any

from mfal.errors import LedgerError
from mfal.types import Fidelity, Objective

Declared = dict[str, list[dict[str, Any]]]


def declared(objectives: Sequence[Objective], ladder: Sequence[Fidelity]) -> Declared:
    """What the objectives and the fidelities in use are, at the campaign's costs."""
    return {
        "objective": [{"name": o.name, "unit": o.unit, "goal": o.goal} for o in objectives],
        "fidelity": [
            {"name": f.name, "cost": float(f.cost), "level": float(f.level)} for f in ladder
        ],
    }


def check_declared(before: Declared, now: Declared, where: str) -> None:
    """Raise LedgerError, naming what has changed, unless a problem declares what it did.

    Args:
        where: Names ledger and campaign in the error.
    """
    changes = [change for what in now for change in _changes(what, before[what], now[what])]
    if changes:
        raise LedgerError(
            f"{where} was begun with another problem: {'; '.join(changes)}",
            "its numbers would not mean the same; let the problem declare what it did, or change "
            "`name` to begin a new campaign",
        )


def _changes(what: str, before: list[dict[str, Any]], now: list[dict[str, Any]]) -> Iterator[str]:
    """What differs in the parts of one kind, in words."""
    names = [[part["name"] for part in parts] for parts in (before, now)]
    if names[0] != names[1]:
        yield f"{what} was {', '.join(names[0])}, is now {', '.join(names[1])}"
        return
    for old, new in zip(before, now, strict=True):
        for field in new:
            if old[field] != new[field]:
                yield f"{what} {new['name']}: {field} was {old[field]}, is now {new[field]}"
