"""Curves of others, to be laid over one's own: a small CSV file that the user names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mfal.errors import DataError
from mfal.tabular import Complaint, finite_number, read_sheet, refuse

COLUMNS = ("method", "cost", "value", "source")


@dataclass(frozen=True)
class PublishedCurve:
    """A published top-K mean against cost, in the unit and on the scale of the objective."""

    method: str
    source: str
    cost: tuple[float, ...]
    value: tuple[float, ...]


def read_published(path: Path) -> list[PublishedCurve]:
    """The curves in a CSV file with the columns `COLUMNS`; a curve per method and source.

    Raises:
        DataError: naming the file and what was wrong with it; a curve's costs have to rise.
    """
    sheet = read_sheet(path)
    missing = [name for name in COLUMNS if name not in sheet.columns]
    if missing:
        raise DataError(
            f"{path}: has no column {', '.join(missing)}", f"it needs {', '.join(COLUMNS)}"
        )
    curves: dict[tuple[str, str], list[tuple[float, float]]] = {}
    wrong: list[Complaint] = []
    for number, cells in sheet.rows:
        cost, value = finite_number(cells["cost"]), finite_number(cells["value"])
        method, source = cells["method"], cells["source"]
        if cost is None or value is None or method is None or source is None:
            wrong += _complaints(number, cells)
            continue
        points = curves.setdefault((str(method), str(source)), [])
        if points and cost < points[-1][0]:  # most often several curves under one name
            what = f"is {cost:g}, below the one before of {method}"
            right = (
                "give the points of a curve by rising cost, and every seed and K a method's name "
                "of its own"
            )
            wrong.append(Complaint(number, "cost", what, right))
        points.append((cost, value))
    refuse(str(path), wrong)
    return [
        PublishedCurve(method, source, *zip(*points, strict=True))
        for (method, source), points in curves.items()
    ]


def _complaints(number: int, cells: Mapping[str, object]) -> list[Complaint]:
    """What is wrong with the cells of a row."""
    wrong = [
        Complaint(number, name, f"{cells[name] or ''!r} is no finite number", "write one")
        for name in ("cost", "value")
        if finite_number(cells[name]) is None
    ]
    return wrong + [
        Complaint(number, name, "is empty", "name the method, and where its figures are from")
        for name in ("method", "source")
        if cells[name] is None
    ]
