"""What a report is made of: sections of text, figures, tables and pictures of candidates."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from mfal.report.canvas import to_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure with its caption, which says what to see.

    Attributes:
        name: Of its files, such as ``top-k``.
    """

    name: str
    figure: "Figure"
    caption: str

    @cached_property
    def svg(self) -> bytes:
        """The figure as it stands in the page and in a file beside it, drawn once for both."""
        return to_bytes(self.figure, "svg")


@dataclass(frozen=True)
class Grid:
    """A table of texts.

    Attributes:
        texts: How many columns, from the first, hold texts and so stand left, where the others
            hold numbers and stand right; None where all hold texts.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int | None = 1


@dataclass(frozen=True)
class Card:
    """A candidate of the gallery.

    Attributes:
        svg: Its drawing, or None.
        lines: What is known of it, such as its value and where it came from.
        note: A line of text that belongs under its key, such as a folded structure.
    """

    key: str
    svg: str | None
    lines: Sequence[str]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading."""

    title: str
    paragraphs: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    grids: Sequence[Grid] = ()
    cards: Sequence[Card] = ()


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    lead: str
    sections: Sequence[Section]
    made: str = field(default="")
