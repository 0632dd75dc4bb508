"""Curves of others, to be laid over one's own: a small CSV file that the user names."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mfal.errors import ConfigError

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
        ConfigError: naming the file and what was wrong with it; a curve's costs have to rise.
    """
    try:
        table = pd.read_csv(path, keep_default_na=False)  # a method may be called None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}", "name a CSV file") from error
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise ConfigError(
            f"{path}: has no column {', '.join(missing)}", f"it needs {', '.join(COLUMNS)}"
        )
    for name in ("cost", "value"):
        wrong = ~np.isfinite(pd.to_numeric(table[name], errors="coerce").to_numpy(float))
        _check_cells(path, table[name], wrong, "it is a number")
    for name in ("method", "source"):
        wrong = (table[name].astype(str).str.strip() == "").to_numpy()
        _check_cells(path, table[name], wrong, "name the method, and where its figures are from")
    curves = table.groupby(["method", "source"], sort=False)
    for (method, _), rows in curves:
        _check_order(path, str(method), rows["cost"].astype(float))
    return [
        PublishedCurve(
            str(method),
            str(source),
            tuple(rows["cost"].astype(float)),
            tuple(rows["value"].astype(float)),
        )
        for (method, source), rows in curves
    ]


def _check_cells(
    path: Path, cells: "pd.Series[Any]", wrong: "np.ndarray[Any, np.dtype[np.bool_]]", hint: str
) -> None:
    if wrong.any():
        row = int(wrong.argmax())
        raise ConfigError(f"{path}: line {row + 2}: {cells.name} is {str(cells.iloc[row])!r}", hint)


def _check_order(path: Path, method: str, cost: "pd.Series[float]") -> None:
    """Refuse a curve that goes back: most often several curves under one name."""
    back = cost.index[cost.diff() < 0]
    if len(back):
        raise ConfigError(
            f"{path}: line {back[0] + 2}: cost is {cost[back[0]]:g}, below the one before of "
            f"{method}",
            "give the points of a curve by rising cost, and every seed and K a method's name of "
            "its own",
        )
