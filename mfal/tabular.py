"""Tables of a user's own: CSV, parquet or a DataFrame, as rows that can be named in errors."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mfal.errors import DataError, MissingDependencyError

if TYPE_CHECKING:
    from pandas import DataFrame as DataFrame

DESCRIPTION = "description"
"""The column of what a problem says of its candidates, for people."""

_SHOWN = 20
_OTHER_SEPARATORS = {";": "';'", "\t": "tabs"}
_NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a cell and what would be right; column is empty for a whole row."""

    row: int
    column: str
    what: str
    right: str


@dataclass(frozen=True)
class Sheet:
    """A table as it was given.

    Attributes:
        source: What to call it in errors.
        columns: Names of its columns.
        rows: Number of each row and its cells by column, None where one is empty. In a CSV file
            the number is that of the line, the header being 1; elsewhere rows count from 1.
    """

    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, object]], ...]


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV whose lines end as programs other than spreadsheets take them, in a line feed."""
    text = io.StringIO(newline="")
    for row in rows:
        line = io.StringIO(newline="")
        csv.writer(line).writerow(row)  # with both letters, so that it quotes a text with either
        text.write(line.getvalue().removesuffix("\r\n") + "\n")
    return text.getvalue()


def read_sheet(path: Path) -> Sheet:
    """The table in a CSV or parquet file.

    Raises:
        DataError: for a file that cannot be read as one.
        MissingDependencyError: for parquet without pyarrow.
    """
    kind = check_kind(path, "reading")
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:  # a folder that may not be entered, a name that is too long
        raise DataError(f"{path}: cannot be read: {error}", "name a file that can be") from error
    if is_folder:
        raise DataError(f"{path}: is a folder", "name a file in it")
    if not is_file:
        raise DataError(f"{path}: there is no such file", f"it was looked for at {path.resolve()}")
    return _read_csv(path) if kind == ".csv" else _read_parquet(path)


def check_kind(path: Path, doing: str) -> str:
    """The ending of a table's file, ``.csv`` or ``.parquet``.

    Args:
        doing: ``reading`` or ``writing``, in the error.

    Raises:
        DataError: for a file of another kind.
        MissingDependencyError: for parquet without pyarrow.
    """
    kind = path.suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise DataError(f"{path}: is neither .csv nor .parquet", "name a file of these two kinds")
    if kind == ".parquet" and find_spec("pyarrow") is None:
        raise MissingDependencyError(
            f"{path}: {doing} parquet needs the package pyarrow, which is not installed",
            "pip install pyarrow, or use a CSV file",
        )
    return kind


def frame_sheet(frame: "DataFrame", source: str) -> Sheet:
    """A DataFrame's columns; its index is left out."""
    columns = [str(name) for name in frame.columns]
    _check_header(source, columns)
    cells = zip(*(frame[name].tolist() for name in frame.columns), strict=True)
    rows = [
        (i, {c: None if _is_missing(v) else v for c, v in zip(columns, row, strict=True)})
        for i, row in enumerate(cells, start=1)
    ]
    return Sheet(source, tuple(columns), tuple(rows))


def refuse(source: str, complaints: Sequence[Complaint]) -> None:
    """Raise DataError that names every complaint, by row; nothing if there are none."""
    if not complaints:
        return
    rows = len({c.row for c in complaints})
    lines = [
        f"  row {c.row}{f', column {c.column}' if c.column else ''}: {c.what}; {c.right}"
        for c in sorted(complaints, key=lambda c: c.row)[:_SHOWN]
    ]
    if len(complaints) > _SHOWN:
        lines.append(f"  and {len(complaints) - _SHOWN} more")
    said = f"{rows} row{'s' if rows > 1 else ''} cannot be used, so nothing was"
    raise DataError("\n".join([f"{source}: {said}:", *lines]), "mend these rows and do it again")


def finite_number(cell: object) -> float | None:
    """The finite number that a cell holds, or None; a text is one as other programs write it."""
    if isinstance(cell, bool | bytes) or cell is None:
        return None
    if isinstance(cell, str) and not _NUMBER.fullmatch(cell):  # float() takes 1_0, too
        return None
    try:
        value = float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def _read_csv(path: Path) -> Sheet:
    rows: list[tuple[int, list[object]]] = []
    wrong: list[Complaint] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            columns = next(reader, [])
            _check_separator(path, columns)
            line = reader.line_num + 1
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    pass  # as spreadsheets leave them at the end
                elif len(cells) == len(columns):
                    rows.append((line, [cell if cell.strip() else None for cell in cells]))
                else:
                    what = f"has {len(cells)} cells"
                    right = (
                        f"the header has {len(columns)}; quote a text that holds a comma, and "
                        "write numbers with a point"
                    )
                    wrong.append(Complaint(line, "", what, right))
                line = reader.line_num + 1
    except UnicodeDecodeError as error:
        said = f"{path}: cannot be read: it is not UTF-8"
        raise DataError(said, "write it as CSV in UTF-8") from error
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}", "write it as CSV in UTF-8") from error
    # Columns of nothing, not even a name, are what a spreadsheet leaves at the end as well.
    kept = [i for i, name in enumerate(columns) if name.strip() or any(row[i] for _, row in rows)]
    names = [columns[i] for i in kept]
    _check_header(str(path), names)
    refuse(str(path), wrong)
    cells_of = ((line, [cells[i] for i in kept]) for line, cells in rows)
    found = tuple((line, dict(zip(names, cells, strict=True))) for line, cells in cells_of)
    return Sheet(str(path), tuple(names), found)


def _read_parquet(path: Path) -> Sheet:
    import pandas as pd

    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}", "write it as parquet") from error
    return frame_sheet(frame, str(path))


def _check_separator(path: Path, columns: Sequence[str]) -> None:
    """Raise DataError for a header that a spreadsheet has written with another separator."""
    header = columns[0] if len(columns) == 1 else ""
    found = next((name for sign, name in _OTHER_SEPARATORS.items() if sign in header), None)
    if found is not None:
        raise DataError(
            f"{path}: its columns are separated by {found}",
            "separate them by commas, and write numbers with a point",
        )


def _check_header(source: str, columns: Sequence[str]) -> None:
    counts = Counter(name.strip() and name for name in columns)
    if counts[""] > 1:
        raise DataError(
            f"{source}: {counts['']} columns have no name", "name them, or take them out"
        )
    twice = sorted(name for name, n in counts.items() if n > 1)
    if twice:
        raise DataError(
            f"{source}: the column {', '.join(map(repr, twice))} stands twice", "keep one of them"
        )


def _is_missing(value: object) -> bool:
    """None, pandas' NA and NaT, which differ from themselves or refuse to say, NaN and blanks."""
    return (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )
