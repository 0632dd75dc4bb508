"""A user's own observations as the start of a campaign: all of them, or none and why not."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfal.budget import exact, fits, total_cost
from mfal.campaign import Campaign, versions
from mfal.design import missing_counts
from mfal.errors import BudgetError, DataError, LedgerError
from mfal.import_rows import ImportRow, check_candidates, known_columns, parse_rows
from mfal.tabular import Complaint, Sheet, frame_sheet, read_sheet, refuse
from mfal.types import Observation

if TYPE_CHECKING:
    from mfal.tabular import DataFrame


@dataclass(frozen=True)
class Imported:
    """What an import put into the ledger.

    Attributes:
        round: Its number.
        queries: Fidelity -> observations there, failures included.
        failed: Observations that are failures.
        merged: Rows that said what another row or the ledger says, and were left out.
        cost: Campaign units that were charged.
        unused: Columns that were not looked at.
    """

    round: int
    queries: dict[str, int]
    failed: int
    merged: int
    cost: float
    unused: tuple[str, ...]


def import_file(campaign: Campaign, path: Path) -> Imported:
    """Import the observations in a CSV or parquet file; see `import_sheet`."""
    return import_sheet(campaign, read_sheet(path))


def import_frame(campaign: Campaign, frame: "DataFrame", source: str = "DataFrame") -> Imported:
    """Import the observations in a DataFrame, called `source` in errors; see `import_sheet`."""
    return import_sheet(campaign, frame_sheet(frame, source))


def import_sheet(campaign: Campaign, sheet: Sheet) -> Imported:
    """Put a table's observations into the ledger as a finished round of kind "imported".

    The columns are `candidate`, `fidelity` and the name of each objective; `error`, for a
    query that failed and so has no value, and `cost`, in campaign units, may be left out. An
    observation costs nothing unless the table says so: it was paid for elsewhere. What is
    imported is never asked again, and counts towards the initial design.

    Raises:
        DataError: if a column is missing or any row is bad; all bad rows are named.
        LedgerError: if the table is in the ledger already, or the campaign has begun.
        BudgetError: if the budget does not pay for the table and what is left of the design.
    """
    _check_columns(campaign, sheet)
    digest = _digest(sheet)
    _check_time(campaign, sheet, digest)
    rows, wrong = parse_rows(campaign, sheet)
    wrong += check_candidates(campaign, rows)
    kept, repeated = _merge(campaign, rows)
    refuse(sheet.source, [*wrong, *repeated])
    if not kept:
        raise DataError(
            f"{sheet.source}: holds no observation that the ledger does not have",
            "give a row for each observation below the header",
        )
    _check_budget(campaign, kept, sheet.source)
    done = Imported(
        round=len(campaign.store.rounds()),
        queries={f.name: sum(o.query.fidelity == f.name for o in kept) for f in campaign.ladder},
        failed=sum(o.outcome.values is None for o in kept),
        merged=len(rows) - len(kept),
        cost=total_cost(o.cost for o in kept),
        unused=tuple(c for c in sheet.columns if c not in known_columns(campaign)),
    )
    campaign.store.import_round(
        done.round,
        [replace(o, round=done.round) for o in kept],
        config=campaign.config.model_dump(mode="json"),
        versions=versions(),
        record={"imported": _record(done, sheet, digest)},
    )
    return done


def _check_columns(campaign: Campaign, sheet: Sheet) -> None:
    needed = known_columns(campaign)[:-2]
    missing = [name for name in needed if name not in sheet.columns]
    if missing:
        raise DataError(
            f"{sheet.source}: has no column {', '.join(missing)}; "
            f"it has {', '.join(sheet.columns) or 'none'}",
            f"name the columns {', '.join(needed)}, and where wanted error and cost",
        )


def _check_time(campaign: Campaign, sheet: Sheet, digest: str) -> None:
    for info in campaign.store.rounds():
        if info.record.get("imported", {}).get("sha256") == digest:
            raise LedgerError(
                f"{sheet.source}: was imported before, as round {info.number}",
                "there is nothing left to do; run a round",
            )
        if info.kind != "imported":
            raise LedgerError(
                f"{sheet.source}: campaign {campaign.config.name!r} has begun, and data are "
                "imported before its first round",
                "begin a campaign under another `name`, and import there first",
            )


def _merge(
    campaign: Campaign, rows: Sequence[ImportRow]
) -> tuple[list[Observation], list[Complaint]]:
    """Each query once, without what the ledger has; complaints where two answers differ."""
    known = {o.query: (o.outcome, "the ledger") for o in campaign.store.observations()}
    kept, wrong = [], []
    for row in rows:
        o = row.observation
        if o.query not in known:
            known[o.query] = o.outcome, f"row {row.number}"
            kept.append(o)
            continue
        other, where = known[o.query]
        if (other.values, other.error) != (o.outcome.values, o.outcome.error):
            said, before = (x.values or x.error for x in (o.outcome, other))
            what = f"says {said} to {o.query.key!r} at {o.query.fidelity}, and {where} {before}"
            wrong.append(Complaint(row.number, "", what, "keep one answer to a query"))
    return kept, wrong


def _check_budget(campaign: Campaign, kept: Sequence[Observation], source: str) -> None:
    price = total_cost(o.cost for o in kept)
    before = campaign.store.observations()
    answered = [o.query for o in [*before, *kept] if o.outcome.values is not None]
    missing = missing_counts(campaign.initial_counts, answered)
    design = float(sum((exact(campaign.cost(name)) * n for name, n in missing.items()), exact(0)))
    if not fits(total_cost([price, design]), campaign.left):
        raise BudgetError(
            f"{source}: costs {price:g} and leaves {design:g} of the initial design to pay, and "
            f"{campaign.left:g} of the budget is left",
            "raise budget.total, make the design smaller, or leave out the column cost if the "
            "observations were paid for elsewhere",
        )


def _digest(sheet: Sheet) -> str:
    """Of what a table says, whatever its file is called."""
    rows = [sorted((name, str(cell)) for name, cell in cells.items()) for _, cells in sheet.rows]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _record(done: Imported, sheet: Sheet, digest: str) -> dict[str, Any]:
    return {
        "source": sheet.source,
        "sha256": digest,
        "rows": len(sheet.rows),
        "queries": done.queries,
        "failed": done.failed,
        "merged": done.merged,
        "cost": done.cost,
        "unused_columns": list(done.unused),
    }
