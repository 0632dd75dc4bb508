"""Measurements that an unfinished round waits for, brought back in a table."""

from collections.abc import Sequence
from dataclasses import replace

from mfal.budget import total_cost
from mfal.campaign import Campaign, check_promised
from mfal.digits import amount
from mfal.errors import DataError
from mfal.importing.rows import (
    Imported,
    ImportRow,
    check_candidates,
    known_columns,
    merge_rows,
    parse_rows,
)
from mfal.tabular import Complaint, Sheet, refuse
from mfal.waiting import Waiting

NO_NEWS = "holds no measurement that the ledger does not have"


def import_answers(campaign: Campaign, sheet: Sheet, awaited: Waiting) -> Imported:
    """Put measurements into the ledger as answers to the queries that a round waits for.

    The table has the columns of any import. A row with neither a value nor an error is not
    measured yet and stays open; one that the ledger has already, and that says the same, is
    merged with it. A query costs what the campaign's ladder says, a failed one as much unless
    ``budget.charge_failures`` is off.

    Raises:
        DataError: if any row is bad, answers what was not asked, or contradicts the ledger; all
            bad rows are named, and nothing is imported.
    """
    rows, wrong = parse_rows(campaign, measured_of(campaign, sheet))
    strangers = check_candidates(campaign, rows)
    named = {complaint.row for complaint in strangers}
    kept, repeated = merge_rows(campaign, rows)
    unasked = _check_asked(campaign, sheet, [r for r in rows if r.number not in named], awaited)
    refuse(sheet.source, [*wrong, *strangers, *repeated, *unasked])
    if not kept:
        raise DataError(
            f"{sheet.source}: {NO_NEWS}",
            f"fill in what round {awaited.round} waits for: {', '.join(map(str, awaited.files))}",
        )
    check_promised(campaign, awaited.round)
    before = campaign.store.spent()
    campaign.writer.record(
        [(o.query, o.outcome, o.backend) for o in kept],
        charge_failures=campaign.config.budget.charge_failures,
    )
    return Imported(
        round=awaited.round,
        queries={f.name: sum(o.query.fidelity == f.name for o in kept) for f in campaign.ladder},
        failed=sum(o.outcome.values is None for o in kept),
        merged=len(rows) - len(kept),
        cost=total_cost([campaign.store.spent(), -before]),
        unused=tuple(c for c in sheet.columns if c not in known_columns(campaign)),
        awaited=True,
    )


def measured_of(campaign: Campaign, sheet: Sheet) -> Sheet:
    """The table without the rows that are not measured yet: neither a value nor an error."""
    names = [*(o.name for o in campaign.problem.oracle.objectives), "error"]
    filled = (row for row in sheet.rows if any(row[1].get(name) is not None for name in names))
    return replace(sheet, rows=tuple(filled))


def _check_asked(
    campaign: Campaign, sheet: Sheet, rows: Sequence[ImportRow], awaited: Waiting
) -> list[Complaint]:
    """Complaints about answers to what was not asked, and about other costs than declared.

    What the ledger has already may stand there as it was exported.
    """
    cells = dict(sheet.rows)
    answered = {o.query for o in campaign.store.observations()}
    wrong = []
    for row in rows:
        query = row.observation.query
        if query in answered:
            continue
        if query not in awaited.queries:
            what = f"round {awaited.round} does not wait for {query.key!r} at {query.fidelity}"
            wrong.append(Complaint(row.number, "", what, "leave the row out"))
        price, said = campaign.cost(query.fidelity), cells[row.number].get("cost")
        if said is not None and row.observation.cost != price:
            what = f"{said} is not the price of a query at {query.fidelity}"
            wrong.append(
                Complaint(row.number, "cost", what, f"it is {amount(price)}; leave it empty")
            )
    return wrong
