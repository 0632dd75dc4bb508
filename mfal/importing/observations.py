"""Observations of a user's own, to begin with or awaited: all of them, or none and why not."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfal.budget import fits, total_cost, total_of_counted
from mfal.campaign import Campaign, versions
from mfal.design import missing_counts
from mfal.digits import amount
from mfal.errors import BudgetError, DataError, LedgerError
from mfal.importing.answers import NO_NEWS, import_answers, measured_of
from mfal.importing.rows import (
    Imported,
    check_candidates,
    check_columns,
    check_costs,
    known_columns,
    merge_rows,
    parse_rows,
)
from mfal.tabular import Sheet, frame_sheet, read_sheet, refuse
from mfal.types import Observation
from mfal.waiting import waiting

if TYPE_CHECKING:
    from mfal.tabular import DataFrame


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

    While a round waits for measurements made by hand, the table holds those instead; see
    `mfal.importing.answers`.

    Raises:
        DataError: if a column is missing or any row is bad; all bad rows are named. Also if the
            campaign has begun and has all that the table holds, or contradicts it.
        LedgerError: if the table is in the ledger already, or the campaign has begun.
        BudgetError: if the budget does not pay for the table and what is left of the design.
    """
    check_columns(campaign, sheet)
    awaited = waiting(campaign)
    if awaited is not None:
        return import_answers(campaign, sheet, awaited)
    digest = _digest(sheet)
    _check_time(campaign, sheet, digest)
    rows, wrong = parse_rows(campaign, sheet)
    wrong += check_candidates(campaign, rows)
    kept, repeated = merge_rows(campaign, rows)
    refuse(sheet.source, [*wrong, *repeated, *check_costs(rows)])
    if not kept:
        raise DataError(
            f"{sheet.source}: holds no observation that the ledger does not have",
            "give a row for each observation below the header",
        )
    _check_budget(campaign, kept, sheet.source)
    done = Imported(
        round=len(campaign.store.outline()),
        queries={f.name: sum(o.query.fidelity == f.name for o in kept) for f in campaign.ladder},
        failed=sum(o.outcome.values is None for o in kept),
        merged=len(rows) - len(kept),
        cost=total_cost(o.cost for o in kept),
        unused=tuple(c for c in sheet.columns if c not in known_columns(campaign)),
    )
    campaign.writer.import_round(
        done.round,
        [replace(o, round=done.round) for o in kept],
        config=campaign.config.model_dump(mode="json"),
        versions=versions(),
        record={"imported": _record(done, sheet, digest)},
    )
    return done


def _check_time(campaign: Campaign, sheet: Sheet, digest: str) -> None:
    for info in campaign.store.rounds():
        if info.record.get("imported", {}).get("sha256") == digest:
            raise LedgerError(
                f"{sheet.source}: was imported before, as round {info.number}",
                "there is nothing left to do; run a round",
            )
        if info.kind != "imported":
            _check_news(campaign, sheet)
            raise LedgerError(
                f"{sheet.source}: campaign {campaign.config.name!r} has begun, and data are "
                "imported before its first round",
                "no round waits for measurements; begin a campaign under another `name`, and "
                "import there first",
            )


def _check_news(campaign: Campaign, sheet: Sheet) -> None:
    """Raise DataError for a table that was imported, or was but for what it contradicts."""
    rows, wrong = parse_rows(campaign, measured_of(campaign, sheet))
    kept, contradicted = merge_rows(campaign, rows)
    refuse(sheet.source, contradicted)
    if rows and not wrong and not kept:
        raise DataError(
            f"{sheet.source}: {NO_NEWS}", "no round waits for measurements; run the next one"
        )


def _check_budget(campaign: Campaign, kept: Sequence[Observation], source: str) -> None:
    price = total_cost(o.cost for o in kept)
    before = campaign.store.observations()
    answered = [o.query for o in [*before, *kept] if o.outcome.values is not None]
    missing = missing_counts(campaign.initial_counts, answered)
    design = total_of_counted((campaign.cost(name), n) for name, n in missing.items())
    if not fits(total_cost([price, design]), campaign.left):
        raise BudgetError(
            f"{source}: costs {amount(price)} and leaves {amount(design)} of the initial design to "
            f"pay, and {amount(campaign.left)} of the budget is left",
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
