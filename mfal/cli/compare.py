"""A comparison for a person at a terminal: bars while it runs, a table when it ends."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from mfal.compare.config import Comparison, load_comparison
from mfal.compare.figures import VALUES, curves, final, write_curves
from mfal.compare.run import RunProgress, run_comparison
from mfal.compare.runs import Run, runs_of
from mfal.digits import amount, written
from mfal.errors import NoLedgerError
from mfal.problem import build_problem
from mfal.types import Objective

SHOWN = {
    "top_k": "measured",
    "published_top_k": "published",
    "published_top_k_scaled": "scaled",
    "published_similarity": "alike",
    "diverse_top_k": "diverse",
    "diverse_n": "differ",
    "n_target": "answers",
}
"""Figures of the final table and their headings; the CSV file has them all."""

COUNTS = ("diverse_n", "n_target")

Form = Callable[[float | None], str]  # how a number is written

LEGEND = (
    "mean of the K best: measured at the target; published: true values of all that was queried, "
    "scored outside the budget{scale}; alike: mean similarity of those (lower is more diverse); "
    "diverse: measured and different from each other; differ: how many these are, up to K; "
    "answers: measured at the target"
)


def compare_in_terminal(
    path: Path, overrides: Sequence[str], processes: int | None = None, *, run: bool = True
) -> None:
    """Run what is left of the comparison in a file, write its curves, and show it.

    Args:
        processes: Runs at once, instead of what the file says.
        run: False to show what there is so far, and to run and write nothing.

    Raises:
        NoLedgerError: where there is nothing to show.
    """
    console = Console(markup=False)
    changes = [*overrides, *([f"processes={processes}"] if processes else [])]
    comparison = load_comparison(path, changes)
    runs = runs_of(comparison)
    if run:
        with Bars(console, runs) as bars:
            run_comparison(comparison, bars)
    elif not any(run.look().has_begun for run in runs):
        raise NoLedgerError(
            f"nothing of it has run: there is no ledger in {comparison.folder}/",
            "run it, without --show",
        )
    table = curves(comparison, runs)
    objective = build_problem(runs[0].config.problem).oracle.objectives[0]
    console.print(final_table(comparison, runs, table, objective))
    console.print(f"ledgers: {comparison.folder}", soft_wrap=True)
    # What is shown may be a part of what was run, and its curves are no others' to replace.
    for path in write_curves(table, comparison.folder) if run else ():
        console.print(f"curves: {path}", soft_wrap=True)


class Bars(RunProgress):
    """A bar for each run that has begun, and one for all; a line for each that has ended."""

    def __init__(self, console: Console, runs: Sequence[Run]) -> None:
        self._console = console
        self._budgets = {run.name: run.config.budget.total for run in runs}
        self._ended = sum(run.look().is_done for run in runs)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=32),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            console=console,
        )
        self._all = self._bars.add_task("all runs", total=sum(self._budgets.values()), note="")
        self._of: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def state(self, spent: dict[str, float], running: Sequence[str], seconds_left: float) -> None:
        """Move the bars."""
        left = "" if math.isinf(seconds_left) else f"about {duration(seconds_left)} left"
        self._bars.update(
            self._all,
            completed=sum(spent.values()),
            note=f"{self._ended} of {len(spent)} done  {left}",
        )
        for name in running:
            if name not in self._of:
                self._of[name] = self._bars.add_task(name, total=self._budgets[name], note="")
        for name, task in self._of.items():
            note = f"{amount(spent[name])} of {amount(self._budgets[name])}"
            self._bars.update(task, completed=spent[name], note=note, visible=name in running)

    def ended(self, run: Run, seconds: float, why: str) -> None:
        """Say that a run has ended."""
        self._ended += 1
        line = f"{run.name}: ended after {duration(seconds)}: {why}"
        self._console.print(line, soft_wrap=True)


def final_table(
    comparison: Comparison, runs: Sequence[Run], table: pd.DataFrame, objective: Objective
) -> Table:
    """Every seed of every method at its end, and the median of each method."""
    k, scale = runs[0].config.top_k, comparison.measure.scale
    note = "" if scale is None else f" (scaled: {scale.label})"
    shown = Table(
        title=f"{comparison.name}: {objective.label} at the end, {objective.better}, K = {k}",
        caption=LEGEND.format(scale=note),
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=0,
    )
    last = final(table)
    names = [name for name in SHOWN if name in last.columns]
    forms = _forms(last[names])
    shown.add_column("method", overflow="fold")
    for heading in ("seed", *(SHOWN[name] for name in names)):
        shown.add_column(heading, no_wrap=True, justify="right")
    for method in comparison.methods:
        rows = last[names].query("method == @method")
        for seed, row in zip(rows.index.get_level_values("seed"), rows.to_numpy(), strict=True):
            shown.add_row(method, str(seed), *_cells(forms, row))
        if rows.empty:
            shown.add_row(method, "not begun", end_section=True)
        else:
            shown.add_row("", "median", *_cells(forms, rows.median()), end_section=True)
    return shown


def duration(seconds: float) -> str:
    """Such as 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _forms(last: pd.DataFrame) -> list[Form]:
    """How to write the figures of each column; those in the objective's unit alike."""
    in_unit = written(last[[name for name in last if name in VALUES]].to_numpy().ravel())
    return [
        _count if name in COUNTS else in_unit if name in VALUES else written(last[name])
        for name in last
    ]


def _count(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:g}"


def _cells(forms: Sequence[Form], values: Iterable[float]) -> Iterator[str]:
    return (form(value) for form, value in zip(forms, values, strict=True))
