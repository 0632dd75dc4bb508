"""A ladder's report for a person at a terminal, for a program that reads JSON, and as a picture."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from mfal.config import CampaignConfig
from mfal.digits import amount, written
from mfal.ladder import FEWEST, Agreement, LadderReport, RungReport, examine_ladder
from mfal.report.canvas import (
    COLOURS,
    GREY,
    add_legend,
    check_picture,
    name_axes,
    panels,
    to_bytes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ANY = 10_000  # columns of a terminal in which any table fits

Form = Callable[[float | None], str]  # how a number is written


def ladder_in_terminal(
    config: CampaignConfig,
    source: str,
    *,
    n: int = 100,
    best: int = 20,
    plot: Path | None = None,
    as_json: bool = False,
) -> None:
    """Ask every fidelity about the same candidates and show how they compare.

    Args:
        n: Random candidates.
        best: Of the campaign's ledger, the best to ask about as well.
        plot: Also draw the values into this file.
        as_json: Print JSON instead of tables.
    """
    torch.set_num_threads(config.threads)
    if plot is not None:
        check_picture(plot)
    with redirect_stdout(sys.stderr):  # what a user's code prints is no part of the report
        report = examine_ladder(config, source, n=n, n_best=best)
    console = Console(markup=False)
    if as_json:
        console.out(json.dumps(asdict(report), indent=2))
    else:
        show_ladder(console, report)
    if plot is not None:
        draw_ladder(report, plot)


def show_ladder(console: Console, report: LadderReport) -> None:
    """The fidelities side by side, and whether the cheaper ones are worth their costs."""
    objective = report.objective
    console.print(
        f"{report.problem}: {report.random} random candidates"
        + (f" and the best {report.best} of the ledger" if report.best else "")
        + "; nothing is recorded, and none of the budget spent",
    )
    console.print(_table(report, console))
    target, unit = report.rungs[-1].name, f" in {objective.unit}" if objective.suffix else ""
    console.print(f"rank: Spearman's correlation with {target}; RMSE to it{unit}")
    for name in report.by_hand:
        console.print(f"{name}: measured by hand, and left out")
    console.print(_verdict(report))


def _table(report: LadderReport, console: Console) -> Table:
    """A row per rung, or in a narrow terminal a column."""
    every = max((r.agreement.n for r in report.rungs if r.agreement), default=0)
    top = max((r.top.n for r in report.rungs if r.top), default=0)
    headings = [("", "fidelity"), ("", "cost"), ("", "per call"), ("", "failed")]
    for whose in (f"random {every}", f"best {top}"):
        headings += [(whose, "rank"), (whose, "RMSE")]
    headings += [("", "worth")]
    random = _rmse(r.agreement for r in report.rungs)
    best = _rmse(r.top for r in report.rungs)
    rows = [_row(rung, random, best) for rung in report.rungs]
    wide = _wide(headings, rows)
    fits = console.measure(wide, options=console.options.update(width=_ANY)).maximum
    return wide if fits <= console.width else _narrow(headings, rows)


def _wide(headings: Sequence[tuple[str, str]], rows: Sequence[Sequence[Text]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for whose, heading in headings:
        above = whose if heading == "rank" else ""
        justify: JustifyMethod = "left" if heading == "fidelity" else "right"
        table.add_column(f"{above}\n{heading}", justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _narrow(headings: Sequence[tuple[str, str]], rows: Sequence[Sequence[Text]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("fidelity", no_wrap=True)
    for name, *_ in rows:
        table.add_column(name, justify="right", overflow="fold")
    for (whose, heading), *cells in list(zip(headings, *rows, strict=True))[1:]:
        table.add_row(f"{whose}: {heading}" if whose else heading, *cells)
    return table


def _rmse(column: Iterable[Agreement | None]) -> Form:
    return written((a.rmse for a in column if a), figures=3)


def _row(rung: RungReport, random: Form, best: Form) -> list[Text]:
    cells = [
        rung.name,
        amount(rung.cost),
        _time(rung.seconds),
        f"{rung.failed / rung.asked:.0%}",
        *_agreement(rung.agreement, random),
        *_agreement(rung.top, best),
        "target" if rung.agreement is None else _worth(rung),
    ]
    return [Text(cell) for cell in cells]


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.0f} µs"


def _agreement(found: Agreement | None, rmse: Form) -> list[str]:
    return ["", ""] if found is None else [_rank(found), rmse(found.rmse) or "–"]


def _rank(found: Agreement) -> str:
    return "–" if found.spearman is None else f"{found.spearman:.3f}"


def _worth(rung: RungReport) -> str:
    if rung.untold:
        return "–"
    ratio = rung.variance_ratio
    return "no" if ratio is None or ratio >= 1 else f"{1 / ratio:.2f} x"


def _worth_in_words(rung: RungReport) -> str:
    if rung.untold:
        return "nothing can be said of its worth"
    ratio = rung.variance_ratio
    if ratio is None or ratio >= 1:
        return "not worth its cost"
    return f"worth {1 / ratio:.2f} times the budget"


def _verdict(report: LadderReport) -> str:
    *others, target = [rung.name for rung in report.rungs if rung.used]
    untold = [rung.name for rung in report.rungs if rung.untold]
    idle = [rung.name for rung in report.rungs if not rung.used and not rung.untold]
    said = []
    if others:
        said.append(
            f"Worth its costs: with {', '.join(others)} a mean over candidates is estimated as "
            f"well as with {1 / report.variance_ratio:.2f} times the budget at {target} alone "
            "(Peherstorfer et al. 2016)."
        )
        said += [f"{', '.join(idle)} would add nothing."] if idle else []
    elif not untold:
        said.append(f"No cheaper fidelity is worth its cost: ask {target} only.")
    elif idle:
        said.append(f"Not worth its cost: {', '.join(idle)}.")
    if untold:
        said.append(
            f"Nothing can be said of {', '.join(untold)}: fewer than {FEWEST} random candidates "
            f"have a value there and at {target}, or all values at one of the two are alike."
        )
    return " ".join(said)


def draw_ladder(report: LadderReport, path: Path) -> None:
    """Each fidelity's values against the target's, as PNG, SVG or PDF."""
    lower, target = report.rungs[:-1], report.rungs[-1]
    figure, row = panels(len(lower), above=0.8)
    figure.suptitle(
        f"{report.problem}: {target.name} costs {amount(target.cost)}",
        x=0.01,
        ha="left",
        fontsize=10,
    )
    for axes, rung in zip(row, lower, strict=True):
        _draw_rung(axes, report, rung)
    path.write_bytes(to_bytes(figure, path.suffix.removeprefix(".")))


def _draw_rung(axes: "Axes", report: LadderReport, rung: RungReport) -> None:
    target = report.rungs[-1].name
    pairs = [
        (low, high, i >= report.random)
        for i, (low, high) in enumerate(
            zip(report.values[rung.name], report.values[target], strict=True)
        )
        if low is not None and high is not None
    ]
    for known, colour, label in (
        (False, COLOURS[0], "random"),
        (True, COLOURS[5], "from the ledger"),
    ):
        points = [(low, high) for low, high, from_ledger in pairs if from_ledger == known]
        if points:
            low, high = zip(*points, strict=True)
            axes.scatter(low, high, s=14, color=colour, lw=0, alpha=0.6, label=label)
    values = [v for low, high, _ in pairs for v in (low, high)]
    if values:
        ends = [min(values), max(values)]
        axes.plot(ends, ends, color=GREY, lw=1, zorder=0)
    rank = "" if rung.agreement is None else f", rank correlation {_rank(rung.agreement)}"
    title = f"{rung.name}: cost {amount(rung.cost)}{rank}\n{_worth_in_words(rung)}"
    labelled, name = report.objective.labelled, report.objective.name
    name_axes(axes, title, labelled(f"{name} by {rung.name}"), labelled(f"{name} by {target}"))
    add_legend(axes)
