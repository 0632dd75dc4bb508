"""A page as one HTML file that needs nothing else, with its figures and data beside it."""

from importlib.resources import files
from pathlib import Path

import pandas as pd
from jinja2 import Environment, StrictUndefined

from mfal.errors import DataError
from mfal.report.canvas import data_uri, to_bytes
from mfal.report.page import Grid, Page, Picture, Section

LONG = 24  # letters beyond which a word may be broken, and below which a cell is one line
LETTERS = 30  # of a key in a line of its card, where a text stands letter by letter below it
SHORT = 15  # rows of a table that is kept on one page in print


def render(page: Page) -> str:
    """The page as HTML; whatever comes from a ledger is escaped."""
    # Keys and errors come from oracles and users.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.globals |= {"fit": _fit, "is_text": _is_text, "SHORT": SHORT}
    template = environment.from_string(
        files("mfal.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    )
    return template.render(page=page, sections=[_shown(section) for section in page.sections])


def write(page: Page, tables: dict[str, pd.DataFrame], folder: Path) -> Path:
    """Write ``index.html``, ``figures/*.svg`` and ``*.png``, and ``data/*.csv`` into a folder.

    Args:
        tables: Name of a file -> what is in it.

    Returns:
        The HTML file.

    Raises:
        DataError: if the folder cannot be made or written into.
    """
    try:
        return _write(page, tables, folder)
    except OSError as error:
        raise DataError(
            f"{folder}: the report cannot be written: {error}",
            "name a folder that may be written: mfal report … --out FOLDER",
        ) from error


def _write(page: Page, tables: dict[str, pd.DataFrame], folder: Path) -> Path:
    figures, data = folder / "figures", folder / "data"
    for needed in (figures, data):
        needed.mkdir(parents=True, exist_ok=True)
    for picture in (p for section in page.sections for p in section.pictures):
        (figures / f"{picture.name}.svg").write_bytes(picture.svg)
        (figures / f"{picture.name}.png").write_bytes(to_bytes(picture.figure, "png"))
    for name, table in tables.items():
        table.to_csv(data / f"{name}.csv", index=False)
    index = folder / "index.html"
    index.write_text(render(page), encoding="utf-8")
    return index


def _fit(cell: str) -> str:
    """How a cell may be broken: between words, nowhere (``short``), or within them (``long``)."""
    if any(len(word) > LONG for word in cell.split()):
        return "long"
    return "short" if len(cell) <= LONG else ""


def _is_text(grid: Grid, column: int) -> bool:
    return grid.texts is None or column < grid.texts


def _lines(key: str, note: str) -> list[str]:
    """A key and a note of a letter for each of its own, such as a fold: line below line.

    Nothing for other notes.
    """
    if len(note) != len(key) or " " in note:
        return []
    starts = range(0, len(key), LETTERS)
    return [part[start : start + LETTERS] for start in starts for part in (key, note)]


def _shown(section: Section) -> dict[str, object]:
    return {
        "title": section.title,
        "paragraphs": section.paragraphs,
        "grids": section.grids,
        "pictures": [_shown_picture(picture) for picture in section.pictures],
        "cards": [
            {
                "card": card,
                "address": None if card.svg is None else data_uri(card.svg, "svg"),
                "lines": _lines(card.key, card.note),
            }
            for card in section.cards
        ],
    }


def _shown_picture(picture: Picture) -> dict[str, object]:
    return {"picture": picture, "address": data_uri(picture.svg, "svg")}
