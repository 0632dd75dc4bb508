"""Rows of a user's table as observations, and what is wrong with those that are none."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mfal.campaign import Campaign
from mfal.errors import InvalidKeyError
from mfal.store import IMPORTED
from mfal.tabular import Complaint, Sheet
from mfal.types import Observation, Outcome, Query


@dataclass(frozen=True, slots=True)
class ImportRow:
    """An observation and the number of its row."""

    number: int
    observation: Observation


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
            backend = f"{IMPORTED}{Path(sheet.source).name}"
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
        return Outcome(None, str(error), 0.0)
    values = []
    for o in objectives:
        value = _number(cells[o.name])
        if value is None:
            what = "is empty" if cells[o.name] is None else f"{cells[o.name]!r} is no finite number"
            right = f"write it in {o.unit}, or why the query failed in a column error"
            wrong.append(Complaint(number, o.name, what, right))
        else:
            values.append(value)
    return Outcome(tuple(values), None, 0.0) if len(values) == len(objectives) else None


def _cost(number: int, cells: dict[str, object], wrong: list[Complaint]) -> float:
    if cells.get("cost") is None:
        return 0.0
    cost = _number(cells["cost"])
    if cost is None or cost < 0:
        what = f"{cells['cost']!r} is no finite number from zero up"
        wrong.append(Complaint(number, "cost", what, "write campaign units, or leave it empty"))
        return 0.0
    return cost


def _number(cell: object) -> float | None:
    """A finite number, or None."""
    if isinstance(cell, bool) or cell is None:
        return None
    try:
        value = float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def check_candidates(campaign: Campaign, rows: Sequence[ImportRow]) -> list[Complaint]:
    """Complaints about what is no candidate, or not its canonical text."""
    keys = list(dict.fromkeys(row.observation.query.key for row in rows))
    wrong = _bad_keys(campaign, keys)
    return [
        Complaint(row.number, "candidate", *wrong[row.observation.query.key])
        for row in rows
        if row.observation.query.key in wrong
    ]


def _bad_keys(campaign: Campaign, keys: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Key -> what is wrong and what would be right; halves what the environment refuses."""
    if not keys:
        return {}
    environment = campaign.environment
    try:
        canonical = environment.keys(environment.states(keys))
    except InvalidKeyError as error:
        if len(keys) == 1:
            return {keys[0]: (error.message, error.hint)}
        half = len(keys) // 2
        return _bad_keys(campaign, keys[:half]) | _bad_keys(campaign, keys[half:])
    return {
        key: (f"{key!r} is not how this candidate is written", f"write {right!r}")
        for key, right in zip(keys, canonical, strict=True)
        if key != right
    }
