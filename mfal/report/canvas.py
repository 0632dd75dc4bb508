"""Axes in one style, figures as bytes, and files for them; no state of matplotlib is touched."""

import base64
import io
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from mfal.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Wong's palette (Nature Methods 8, 441, 2011), which the colour-blind can tell apart, and for its
# yellow, which is lost on white, and its black two dark colours of Tol's.
COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"),
    *("#332288", "#882255"),
)
# One more than colours: in grey print, too, each of many lines is told from the others.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<")
GREY = "#8A8F98"
DECADES = 1e3  # ratio of values up to which numbers between powers of ten are labelled
# Of a legend as wide as a panel: letters in a row, and those that a colour and the space before
# the next name take; shares of the height that a row, and what is around all, takes.
LETTERS, HANDLE = 70, 8
ROW, MARGIN = 0.07, 0.06
ENDINGS = (".png", ".svg", ".pdf")  # of files that a picture is drawn into


def load_canvas() -> None:
    """Import what `panel` and `to_bytes` need, which takes a second."""
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401


def panel() -> "tuple[Figure, Axes]":
    """An empty figure; each shows one thing, so that a narrow page need not shrink its labels."""
    figure, (axes,) = panels(1)
    return figure, axes


def panels(n: int, above: float = 0.35) -> "tuple[Figure, list[Axes]]":
    """An empty figure of panels side by side, as `panel` has them.

    Args:
        above: Inches for the titles.
    """
    from matplotlib.figure import Figure

    width, height = 5.4 * n, 3.15 + above
    figure = Figure(figsize=(width, height))
    row = list(figure.subplots(1, n, squeeze=False)[0])
    # In inches, what labels take; a layout that measures them takes longer than the drawing.
    figure.subplots_adjust(
        left=0.75 / width,
        bottom=0.6 / height,
        right=1 - 0.15 / width,
        top=1 - above / height,
        wspace=(0.75 + 0.15) / (5.4 - 0.75 - 0.15),
    )
    for axes in row:
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        axes.grid(axis="y", color="#E5E7EB", linewidth=0.8)
    return figure, row


def name_axes(axes: "Axes", title: str, x: str, y: str) -> None:
    """Say what a panel shows."""
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(which="both", labelsize=8)


def add_legend(axes: "Axes") -> None:
    """A legend without a frame, where it hides least."""
    axes.legend(frameon=False, fontsize=8)


def add_legend_above(axes: "Axes") -> None:
    """A legend above all that is drawn from zero upwards, in as many columns as there is room."""
    names = axes.get_legend_handles_labels()[1]
    columns = max(1, min(len(names), LETTERS // (HANDLE + max(map(len, names)))))
    rows = ceil(len(names) / columns)
    axes.set_ylim(0, axes.get_ylim()[1] / (1 - MARGIN - ROW * rows))
    axes.legend(frameon=False, fontsize=8, loc="upper right", ncols=columns, columnspacing=1.2)


def logarithmic(axes: "Axes") -> None:
    """A logarithmic scale of values for what is drawn, its ticks at plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    low, high = axes.get_ylim()
    if high > DECADES * low:
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:  # powers of ten alone would be too few to read values off
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5) if high > 10 * low else range(2, 10)))
        axes.yaxis.set_minor_formatter("{x:g}")


def whole_numbers(axes: "Axes", numbers: Sequence[int]) -> None:
    """Ticks at whole rounds or steps only."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    if len(numbers) == 1:
        axes.set_xlim(numbers[0] - 1, numbers[0] + 1)


def to_bytes(figure: "Figure", kind: str = "png") -> bytes:
    """The figure as a file of the given kind: png, svg or pdf."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=110)
    return buffer.getvalue()


def check_picture(path: Path) -> None:
    """Raise ConfigError where no picture could be written, and leave nothing there."""
    if path.suffix not in ENDINGS:
        raise ConfigError(
            f"cannot draw {path}: unknown ending {path.suffix!r}", f"end in {', '.join(ENDINGS)}"
        )
    if not path.parent.is_dir():
        raise ConfigError(f"cannot draw {path}: there is no folder {path.parent}", "create it")
    try:
        if path.exists():
            path.open("ab").close()
        else:
            TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise ConfigError(
            f"cannot draw {path}: it cannot be written: {error.strerror}",
            "draw into a folder that may be written",
        ) from error


def data_uri(content: bytes | str, kind: str) -> str:
    """A picture (png or svg) as an address that a page shows without fetching anything."""
    media = {"png": "image/png", "svg": "image/svg+xml"}[kind]
    raw = content.encode() if isinstance(content, str) else content
    return f"data:{media};base64,{base64.b64encode(raw).decode()}"
