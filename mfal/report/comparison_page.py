"""The report of a comparison: every method and seed, at equal cost."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import yaml

from mfal.compare import Comparison, final
from mfal.report.canvas import COLOURS, add_legend, name_axes, panels
from mfal.report.page import Grid, Page, Picture, Section
from mfal.report.published import PublishedCurve
from mfal.types import Objective

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEASURES = {
    "top_k": "Mean of the K best measured at the target (strict reading)",
    "diverse_top_k": "The same of candidates that differ from each other",
    "published_top_k": "Mean of the K best true values of everything queried (published reading)",
    "published_diverse_top_k": "The same of candidates that differ from each other",
    "similarity": "Mean similarity of the K best; lower is more diverse",
}
HIGHER = {"modes", "novelty"}  # better when higher whatever the objective's goal


def comparison_page(
    comparison: Comparison,
    table: pd.DataFrame,
    objective: Objective,
    k: int,
    published: Sequence[PublishedCurve] = (),
) -> Page:
    """All sections of a comparison's report.

    Args:
        table: As `mfal.compare.curves` gives it.
        k: K of the top-K means.
    """
    names = [name for name in MEASURES if (table["metric"] == name).any()]
    pictures = [
        Picture(
            name.replace("_", "-"),
            band_figure(table, name, objective, published if name == "top_k" else ()),
            f"{MEASURES[name]}, K = {k}. Lines are medians over {len(comparison.seeds)} seeds, "
            "bands reach from the worst seed to the best. Compare at equal cost: upright.",
        )
        for name in names
    ]
    sections = [
        Section("Against cost", pictures=pictures),
        Section("Every seed at its end", grids=[_ends(comparison, table, names)]),
        Section("Where the cost went", grids=[_shares(table)]),
    ]
    if published:
        sections.append(Section("Published curves", grids=[_published(published, objective)]))
    sections.append(Section("Configuration", grids=[_settings(comparison)]))
    return Page(
        title=f"Comparison {comparison.name}",
        lead=verdict(comparison, table, objective),
        sections=sections,
        made="Made by mfal from the ledgers of the comparison.",
    )


def verdict(comparison: Comparison, table: pd.DataFrame, objective: Objective) -> str:
    """Which method leads in what, and which are level with the first one of the file or ahead."""
    last = final(table)
    reference = next(iter(comparison.methods))
    said = [f"{len(comparison.methods)} methods with {len(comparison.seeds)} seeds each."]
    for name, what in (("top_k", "the best"), ("diverse_top_k", "the best different candidates")):
        if name not in last.columns:
            continue
        medians = last[name].groupby(level="method").median().mul(objective.sign)
        order = medians.sort_values(ascending=False)
        if reference not in order.index:
            continue
        spread = last[name].mul(objective.sign).xs(reference, level="method")
        ahead = [m for m in order.index if m != reference and order[m] > spread.max()]
        level = [
            m for m in order.index if m != reference and spread.min() <= order[m] <= spread.max()
        ]
        leader = str(order.index[0])
        value = objective.sign * float(order.iloc[0])
        said.append(
            f"In {what} at the end, {leader} leads with a median of {value:.2f} {objective.unit}."
        )
        if ahead:
            said.append(f"Ahead of every seed of {reference}: {', '.join(map(str, ahead))}.")
        if level:
            said.append(f"Level with {reference} within its seeds: {', '.join(map(str, level))}.")
    return " ".join(said)


def band_figure(
    table: pd.DataFrame,
    metric: str,
    objective: Objective,
    published: Sequence[PublishedCurve] = (),
) -> "Figure":
    """A figure against cost for every method: median over seeds, and the range of the seeds."""
    figure, (axes,) = panels()
    figure.set_size_inches(9.6, 4.6)
    rows = table[table["metric"] == metric]
    for i, (method, of_method) in enumerate(rows.groupby("method", sort=False)):
        wide = of_method.pivot_table(index="cost", columns="seed", values="value")
        # Seeds end their rounds at costs of their own: between rounds the last figure stands.
        wide = wide.sort_index().ffill().dropna()
        if len(wide) == 0:
            continue
        colour, style = COLOURS[i % len(COLOURS)], "-" if i < len(COLOURS) else "--"
        cost = wide.index.to_numpy()
        axes.fill_between(cost, wide.min(axis=1), wide.max(axis=1), color=colour, alpha=0.15, lw=0)
        axes.plot(cost, wide.median(axis=1), style, color=colour, label=str(method))
    for curve in published:
        axes.plot(curve.cost, curve.value, ":", color="black", label=f"{curve.method} (published)")
    _finish(axes, metric, objective)
    return figure


def _finish(axes: "Axes", metric: str, objective: Objective) -> None:
    is_value = "top_k" in metric
    if is_value and objective.goal == "min":
        axes.invert_yaxis()
    unit = f"{objective.name} ({objective.unit}), better upwards" if is_value else metric
    name_axes(axes, metric.replace("_", " "), "cost so far (campaign units)", unit)
    add_legend(axes)


def _ends(comparison: Comparison, table: pd.DataFrame, names: Sequence[str]) -> Grid:
    last = final(table)
    rows = []
    for method in comparison.methods:
        if method not in last.index.get_level_values("method"):
            continue
        of_method = last.xs(method, level="method")
        for seed, row in of_method.iterrows():
            rows.append((method, str(seed), *(_number(row.get(name)) for name in names)))
        medians = [float(of_method[name].median()) for name in names]
        rows.append((method, "median", *map(_number, medians)))
    header = ("method", "seed", *(name.replace("_", " ") for name in names))
    return Grid("Definitions of every figure: `mfal.metrics`.", header, rows)


def _shares(table: pd.DataFrame) -> Grid:
    shares = final(table[table["metric"].str.startswith("share_")])
    medians = shares.groupby(level="method", sort=False).median()
    header = ("method", *(str(c).removeprefix("share_") for c in medians.columns))
    rows = [
        (str(method), *("" if pd.isna(v) else f"{v:.0%}" for v in row))
        for method, row in zip(medians.index, medians.to_numpy(), strict=True)
    ]
    return Grid("Share of the cost at each fidelity, median over seeds.", header, rows)


def _published(published: Sequence[PublishedCurve], objective: Objective) -> Grid:
    rows = [
        (curve.method, f"{cost:g}", f"{value:.3f}", curve.source)
        for curve in published
        for cost, value in zip(curve.cost, curve.value, strict=True)
    ]
    return Grid("As given.", ("method", "cost", f"value ({objective.unit})", "source"), rows)


def _settings(comparison: Comparison) -> Grid:
    rows = [
        ("all methods", _inline(comparison.campaign)),
        *((method, _inline(changes)) for method, changes in comparison.methods.items()),
        ("measure", _inline(comparison.measure.model_dump(mode="json", exclude_defaults=True))),
    ]
    return Grid(
        "What the methods share, and what each changes.", ("", "fields"), rows, numeric=False
    )


def _inline(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).strip()


def _number(value: float | None) -> str:
    return "" if value is None or pd.isna(value) else f"{value:.3f}"
