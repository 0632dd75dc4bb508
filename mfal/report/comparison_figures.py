"""The figures of a comparison: every method against cost, and quality against variety."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mfal.compare import NUMBERS, beyond_design
from mfal.report.canvas import COLOURS, MARKERS, add_legend, logarithmic, name_axes, panel
from mfal.report.published import PublishedCurve
from mfal.types import Objective

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

CROWDED = 0.05  # share of a figure's diagonal that lies at least between two markers of a line
WIDE = 20.0  # ratio of values from which a linear axis would hide how the best differ


@dataclass(frozen=True)
class Measure:
    """A figure of `mfal.metrics` as a report shows it.

    Attributes:
        title: Over its panel and its column.
        meaning: For its caption.
        is_value: Whether it is in the objective's unit.
    """

    title: str
    meaning: str
    is_value: bool = True

    def header(self, objective: Objective) -> str:
        """The title, with the unit where there is one."""
        return objective.labelled(self.title) if self.is_value else self.title


MEASURES = {
    "top_k": Measure(
        "best K, measured",
        "Mean of the K best measured at the target (strict).",
    ),
    "diverse_top_k": Measure(
        "best K that differ, measured",
        "Mean of the K best measured at the target that differ from each other (strict).",
    ),
    "published_top_k": Measure(
        "best K, true values",
        "Mean of the K best true values of all that was queried at any fidelity, scored outside "
        "the budget (published reading).",
    ),
    "published_diverse_top_k": Measure(
        "best K that differ, true values",
        "The same of candidates that differ from each other.",
    ),
    "similarity": Measure(
        "similarity, measured",
        "Mean similarity over all pairs of the K best that were measured: lower is more varied.",
        is_value=False,
    ),
    "published_similarity": Measure(
        "similarity, true values",
        "Mean similarity over all pairs of the K best by true value: lower is more varied.",
        is_value=False,
    ),
}


@dataclass(frozen=True)
class Look:
    """How the lines of a method are told from the others'."""

    name: str
    colour: str
    marker: str

    def put_on(self, line: "Line2D", *, named: bool = True) -> None:
        """Draw a line so; in the legend only if `named`."""
        line.set(color=self.colour, marker=self.marker, markersize=5)
        line.set_label(self.name if named else "")


def against_cost(
    table: pd.DataFrame,
    metric: str,
    objective: Objective,
    k: int,
    published: Sequence[PublishedCurve] = (),
) -> "Figure":
    """A figure against cost for every method: median over seeds, and the range of the seeds.

    Between rounds the last figure stands, so the lines are steps; they end where the first seed
    does, and are dashed as long as a seed has fewer than `k` values. Of published curves only
    points are known, which lines join.
    """
    figure, axes = panel()
    measure, number = MEASURES[metric], NUMBERS.get(metric)
    for look, rows in _methods(table, [metric, number]):
        wide = _at_equal_cost(rows[rows["metric"] == metric])
        if len(wide) == 0:
            continue
        low, high = wide.min(axis=1), wide.max(axis=1)
        axes.fill_between(wide.index, low, high, step="post", color=look.colour, alpha=0.15, lw=0)
        numbers = _at_equal_cost(rows[rows["metric"] == number]).reindex(wide.index)
        _plot_medians(axes, look, wide.median(axis=1), (numbers < k).any(axis=1))
    for curve in published:
        axes.plot(curve.cost, curve.value, ":", color="black", label=f"{curve.method} (published)")
    quantity = _quantity(objective) if measure.is_value else "similarity (1: all the same)"
    name_axes(axes, measure.title, "cost beyond the initial design (campaign units)", quantity)
    if measure.is_value:
        _better_upwards(axes, objective)
    add_legend(axes)
    return figure


def quality_and_variety(table: pd.DataFrame, prefix: str, objective: Objective) -> "Figure":
    """Top-K mean over similarity: a line a run, from its first round to a marker at its end.

    Args:
        prefix: Of the reading: empty for strict, ``published_``.
    """
    figure, axes = panel()
    quality, variety = f"{prefix}top_k", f"{prefix}similarity"
    for look, rows in _methods(table, [quality, variety]):
        wide = rows.pivot_table(index=["seed", "round"], columns="metric", values="value")
        wide = wide.reindex(columns=[quality, variety]).dropna()
        for i, (_, run) in enumerate(wide.groupby(level="seed")):
            x, y = run[variety].to_numpy(), run[quality].to_numpy()
            (line,) = axes.plot(x, y, lw=1.2, markevery=[-1])
            look.put_on(line, named=i == 0)
    title = f"{MEASURES[quality].title}: quality and variety"
    alike = "mean similarity of the K best (left: more varied)"
    name_axes(axes, title, alike, _quantity(objective))
    _better_upwards(axes, objective)
    add_legend(axes)
    return figure


def _methods(
    table: pd.DataFrame, metrics: Sequence[str | None]
) -> Iterator[tuple[Look, pd.DataFrame]]:
    """The look of each method, the same in all figures, and its rows of some metrics."""
    table = table.assign(beyond=beyond_design(table))
    for i, (method, rows) in enumerate(table.groupby("method", sort=False)):
        look = Look(str(method), COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)])
        found = rows[rows["metric"].isin(metrics)]
        if len(found):
            yield look, found


def _at_equal_cost(rows: pd.DataFrame) -> pd.DataFrame:
    """A figure at every cost that all seeds have reached and have it at; a column per seed."""
    if len(rows) == 0:
        return pd.DataFrame()
    wide = rows.pivot_table(index="beyond", columns="seed", values="value")
    # Seeds end their rounds at costs of their own.
    reached_by_all = rows.groupby("seed")["beyond"].max().min()
    return wide.sort_index().ffill().loc[:reached_by_all].dropna()


def _plot_medians(axes: "Axes", look: Look, medians: pd.Series, is_of_few: pd.Series) -> None:
    """A line of steps against cost, dashed up to the first cost from which on none is of few."""
    n_few = int(is_of_few.to_numpy().nonzero()[0].max(initial=-1)) + 1
    parts = [(medians.iloc[: n_few + 1], "--")] if n_few else []
    if n_few < len(medians):
        parts.append((medians.iloc[n_few:], "-"))
    for i, (part, style) in enumerate(parts):
        (line,) = axes.plot(part.index, part, style, drawstyle="steps-post", markevery=CROWDED)
        look.put_on(line, named=i == len(parts) - 1)


def _quantity(objective: Objective) -> str:
    return f"{objective.label}, better upwards"


def _better_upwards(axes: "Axes", objective: Objective) -> None:
    values = np.concatenate([line.get_ydata() for line in axes.get_lines()] or [[1.0]])
    if values.min() > 0 and values.max() > WIDE * values.min():
        logarithmic(axes)
    if objective.goal == "min":
        axes.invert_yaxis()
