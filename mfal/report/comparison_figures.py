"""The figures of a comparison: every method against cost, and quality against variety."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mfal.report.canvas import COLOURS, add_legend, name_axes, panels
from mfal.report.published import PublishedCurve
from mfal.types import Objective

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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


MEASURES = {
    "top_k": Measure("best K, measured", "Mean of the K best measured at the target (strict)."),
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
        "best K that differ, true values", "The same of candidates that differ from each other."
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


def against_cost(
    table: pd.DataFrame,
    metric: str,
    objective: Objective,
    published: Sequence[PublishedCurve] = (),
) -> "Figure":
    """A figure against cost for every method: median over seeds, and the range of the seeds."""
    figure, (axes,) = panels()
    for method, colour, style, rows in _methods(table[table["metric"] == metric]):
        wide = rows.pivot_table(index="beyond", columns="seed", values="value")
        # Seeds end their rounds at costs of their own: between rounds the last figure stands.
        wide = wide.sort_index().ffill().dropna()
        if len(wide) == 0:
            continue
        cost = wide.index.to_numpy()
        axes.fill_between(cost, wide.min(axis=1), wide.max(axis=1), color=colour, alpha=0.15, lw=0)
        axes.plot(cost, wide.median(axis=1), style, color=colour, label=method)
    for curve in published:
        axes.plot(curve.cost, curve.value, ":", color="black", label=f"{curve.method} (published)")
    measure = MEASURES[metric]
    quantity = _quantity(objective) if measure.is_value else "similarity (1: all the same)"
    name_axes(axes, measure.title, "cost beyond the initial design (campaign units)", quantity)
    if measure.is_value:
        _better_upwards(axes, objective)
    add_legend(axes)
    return figure


def quality_and_variety(table: pd.DataFrame, prefix: str, objective: Objective) -> "Figure":
    """Top-K mean over similarity: a line a run, from its first round to a dot at its end.

    Args:
        prefix: Of the reading: empty for strict, ``published_``.
    """
    figure, (axes,) = panels()
    quality, variety = f"{prefix}top_k", f"{prefix}similarity"
    of_both = table[table["metric"].isin([quality, variety])]
    for method, colour, style, rows in _methods(of_both):
        wide = rows.pivot_table(index=["seed", "round"], columns="metric", values="value").dropna()
        for i, (_, run) in enumerate(wide.groupby(level="seed")):
            x, y = run[variety].to_numpy(), run[quality].to_numpy()
            label = method if i == 0 else None
            axes.plot(x, y, style, color=colour, lw=1.2, label=label)
            axes.plot(x[-1:], y[-1:], "o", color=colour, ms=5)
    title = f"{MEASURES[quality].title}: quality and variety"
    alike = "mean similarity of the K best (left: more varied)"
    name_axes(axes, title, alike, _quantity(objective))
    _better_upwards(axes, objective)
    add_legend(axes)
    return figure


def _methods(rows: pd.DataFrame) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    """Name, colour, style and rows of each method."""
    rows = rows.assign(beyond=rows["cost"] - rows["design"])
    for i, (method, of_method) in enumerate(rows.groupby("method", sort=False)):
        style = "-" if i < len(COLOURS) else "--"
        yield str(method), COLOURS[i % len(COLOURS)], style, of_method


def _quantity(objective: Objective) -> str:
    return f"{objective.label}, better upwards"


def _better_upwards(axes: "Axes", objective: Objective) -> None:
    values = np.concatenate([line.get_ydata() for line in axes.get_lines()] or [[1.0]])
    if values.min() > 0 and values.max() > WIDE * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    if objective.goal == "min":
        axes.invert_yaxis()
