"""Rows of a user's table as observations, and what is wrong with those that are none."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mfal.campaign import Campaign
from mfal.digits import amount
from mfal.envs.keys import bad_keys
from mfal.errors import DataError
from mfal.ledger.store import IMPORTED
from mfal.readable import unreadable
from mfal.reasons import kept, plain
from mfal.tabular import Complaint, Sheet, finite_number
from mfal.types import LARGEST, Observation, Outcome, Query

_LEDGER = "the ledger"
_MINUS = "\u2212"  # as word processors and papers have it
_REPLICATES = "keep one answer to a query, such as their mean"
_CORRECTION = (
    "the ledger keeps its answers; to correct one: mfal export, edit the file, and import it "
    "under another `name`"
)


@dataclass(frozen=True, slots=True)
class ImportRow:
    """An observation and the number of its row."""

    number: int
    observation: Observation


@dataclass(frozen=True)
class Imported:
    """What an import put into the ledger.

    Attributes:
        round: Number of the round that it made, or that waited for it.
        queries: Fidelity -> observations there, failures included.
        failed: Observations that are failures.
        merged: Rows that said what another row or the ledger says, and were left out.
        cost: Campaign units that were charged.
        unused: Columns that were not looked at.
        awaited: Whether these are answers to what a round had asked.
    """

    round: int
    queries: dict[str, int]
    failed: int
    merged: int
    cost: float
    unused: tuple[str, ...]
    awaited: bool = False


def known_columns(campaign: Campaign) -> list[str]:
    """The columns that an import looks at; all but the last two, error and cost, are needed."""
    objectives = [o.name for o in campaign.problem.oracle.objectives]
    return ["candidate", "fidelity", *objectives, "error", "cost"]


def parse_rows(campaign: Campaign, sheet: Sheet) -> tuple[list[ImportRow], list[Complaint]]:
    """The rows that can be read, and what is wrong with the others."""
    rows: list[ImportRow] = []
    wrong: list[Complaint] = []
    for number, cells in sheet.rows:
        before = len(wrong)
        query = Query(
            _text(number, cells, "candidate", "write the candidate's canonical text", wrong),
            _fidelity(campaign, number, cells, wrong),
        )
        outcome = _outcome(campaign, number, cells, wrong)
        cost = _cost(number, cells, wrong)
        if len(wrong) == before and outcome is not None:
            backend = f"{IMPORTED}{plain(Path(sheet.source).name)}"
            rows.append(ImportRow(number, Observation(query, outcome, 0, cost, backend)))
    return rows, wrong


def _text(
    number: int, cells: dict[str, object], column: str, right: str, wrong: list[Complaint]
) -> str:
    cell = cells[column]
    if isinstance(cell, str):
        return cell
    what = "is empty" if cell is None else f"{cell!r} is not a text"
    wrong.append(Complaint(number, column, what, right))
    return ""


def _fidelity(
    campaign: Campaign, number: int, cells: dict[str, object], wrong: list[Complaint]
) -> str:
    names = [f.name for f in campaign.ladder]
    right = f"write {' or '.join(names)}"
    name = _text(number, cells, "fidelity", right, wrong)
    if name and name not in names:
        wrong.append(Complaint(number, "fidelity", f"{name!r} is not on the ladder", right))
    return name


def _outcome(
    campaign: Campaign, number: int, cells: dict[str, object], wrong: list[Complaint]
) -> Outcome | None:
    objectives = campaign.problem.oracle.objectives
    error = cells.get("error")
    filled = [o.name for o in objectives if cells[o.name] is not None]
    if error is not None:
        if filled:
            what = f"{cells[filled[0]]!r} stands beside the error {error!r}"
            wrong.append(Complaint(number, filled[0], what, "a query has a value or has failed"))
        return Outcome(None, kept(str(error)), 0.0)
    values = []
    for o in objectives:
        value = finite_number(cells[o.name])
        if value is None:
            what = "is empty" if cells[o.name] is None else f"{cells[o.name]!r} is no finite number"
            wanted = f"it in {o.unit}" if o.suffix else "a number"
            right = f"write {wanted}, or why the query failed in a column error"
            wrong.append(Complaint(number, o.name, what, _respelt(cells[o.name]) or right))
        elif abs(value) > LARGEST:
            what = f"{cells[o.name]} is too large to be a value"
            right = f"write at most {LARGEST:g}, or why the query failed in a column error"
            wrong.append(Complaint(number, o.name, what, right))
        else:
            values.append(value)
    return Outcome(tuple(values), None, 0.0) if len(values) == len(objectives) else None


def _cost(number: int, cells: dict[str, object], wrong: list[Complaint]) -> float:
    if cells.get("cost") is None:
        return 0.0
    cost = finite_number(cells["cost"])
    if cost is None or cost < 0:
        what = f"{cells['cost']!r} is no finite number from zero up"
        right = _respelt(cells["cost"]) or "write campaign units, or leave it empty"
        wrong.append(Complaint(number, "cost", what, right))
        return 0.0
    return cost


def _respelt(cell: object) -> str:
    """How a number with a comma or a typeset minus is written instead; empty for other cells."""
    if not isinstance(cell, str):
        return ""
    given = cell.strip()
    if given.startswith(_MINUS) and finite_number(f"-{given[1:]}") is not None:
        return f"its minus is typeset; a plain one is read: -{given[1:]}"
    if "," not in given:
        return ""
    pointed, whole = given.replace(",", "."), given.replace(",", "")
    if finite_number(pointed) is None:
        return ""
    if re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", given):
        return f"write {pointed} or {whole}, whichever is meant"
    return f"a number is written with a point: {pointed}"


def check_candidates(campaign: Campaign, rows: Sequence[ImportRow]) -> list[Complaint]:
    """Complaints about what is no candidate, not its canonical text, or cannot be read later."""
    keys = list(dict.fromkeys(row.observation.query.key for row in rows))
    wrong = bad_keys(campaign.environment, keys)
    if candidates := [key for key in keys if key not in wrong]:
        parts = campaign.features.parts
        wrong |= unreadable(campaign.config, campaign.problem, parts, candidates)
    return [
        Complaint(row.number, "candidate", *wrong[row.observation.query.key])
        for row in rows
        if row.observation.query.key in wrong
    ]


def check_columns(campaign: Campaign, sheet: Sheet) -> None:
    """Raise DataError unless all the columns that are needed are there, and spelt as known."""
    known = known_columns(campaign)
    spelt = {_bare(name): name for name in known}
    for name in sheet.columns:
        if name not in known and _bare(name) in spelt:
            raise DataError(
                f"{sheet.source}: has a column {name!r}, and the one that is read is called "
                f"{spelt[_bare(name)]!r}",
                f"call it {spelt[_bare(name)]!r}, or something else if it is not meant",
            )
    needed = known[:-2]
    missing = [name for name in needed if name not in sheet.columns]
    if missing:
        raise DataError(
            f"{sheet.source}: has no column {', '.join(missing)}; "
            f"it has {', '.join(sheet.columns) or 'none'}",
            f"name the columns {', '.join(needed)}, and where wanted error and cost",
        )


def _bare(name: str) -> str:
    return name.strip().casefold()


def check_costs(rows: Sequence[ImportRow]) -> list[Complaint]:
    """Complaints about rows of one query that differ in what it cost."""
    of_query: dict[Query, list[ImportRow]] = {}
    for row in rows:
        of_query.setdefault(row.observation.query, []).append(row)
    wrong = []
    for query, alike in of_query.items():
        costs = {row.number: row.observation.cost for row in alike}
        if len({*costs.values()}) > 1:
            said = " and ".join(f"{amount(cost)} in row {number}" for number, cost in costs.items())
            what = f"{query.key!r} at {query.fidelity} costs {said}"
            wrong += [Complaint(n, "cost", what, "keep one row of a query") for n in costs]
    return wrong


def merge_rows(
    campaign: Campaign, rows: Sequence[ImportRow]
) -> tuple[list[Observation], list[Complaint]]:
    """Each query once, without what the ledger has; complaints where two answers differ."""
    known = {o.query: (o.outcome, _LEDGER) for o in campaign.store.observations()}
    kept, wrong = [], []
    for row in rows:
        o = row.observation
        if o.query not in known:
            known[o.query] = o.outcome, f"row {row.number}"
            kept.append(o)
            continue
        other, where = known[o.query]
        if (other.values, other.error) != (o.outcome.values, o.outcome.error):
            said, before = _said(o.outcome), _said(other)
            what = f"says {said} to {o.query.key!r} at {o.query.fidelity}, and {where} {before}"
            right = _CORRECTION if where == _LEDGER else _REPLICATES
            wrong.append(Complaint(row.number, "", what, right))
    return kept, wrong


def _said(outcome: Outcome) -> str:
    """An answer in words: its numbers, or the reason of a failure in quotes."""
    return repr(outcome.error) if outcome.values is None else ", ".join(map(repr, outcome.values))
