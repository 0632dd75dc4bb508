"""What it cost the runs of a comparison to come to a value."""

from collections.abc import Iterator, Sequence
from math import inf, isinf
from statistics import median

import pandas as pd

from mfal.compare import NUMBERS, Comparison, beyond_design, final
from mfal.digits import amount, written
from mfal.metrics import cost_to_reach
from mfal.report.comparison_figures import MEASURES
from mfal.report.page import Grid, Section
from mfal.types import Objective

Run = tuple[str, int]  # its method and its seed
Points = dict[Run, list[tuple[float, float]]]  # run -> cost beyond the design, and the mean there


def reaching(
    comparison: Comparison, table: pd.DataFrame, names: Sequence[str], objective: Objective, k: int
) -> Section | None:
    """A table of every mean of the K best; None while no method has one of K values.

    Args:
        table: As `mfal.compare.curves` gives it.
        names: The figures of `MEASURES` that are in the table.
    """
    means = [name for name in names if MEASURES[name].is_value]
    grids = [grid for name in means for grid in _grids(comparison, table, name, objective, k)]
    if not grids:
        return None
    reference = next(iter(comparison.methods))
    others = "; measure.reach names the others" if comparison.measure.reach else ""
    said = (
        "What each run had spent beyond its initial design, in campaign units, after the first "
        f"round in which the mean of its K\u00a0=\u00a0{k} best was at least as good as a value. "
        f"The first value of a table is what {reference} has at its end, by the median over "
        f"seeds, if that is a mean of K{others}. Compare the medians of a value: the "
        "lowest came as far for the least. –: not reached so far; in a median such a run counts as "
        "later than all others. A mean of fewer than K values does not count."
    )
    return Section("Cost to reach", [said], grids=grids)


def _grids(
    comparison: Comparison, table: pd.DataFrame, name: str, objective: Objective, k: int
) -> Iterator[Grid]:
    """The table of a figure; none without a value to reach."""
    means = _of_k(table, name, k)
    own = means[means["method"] == next(iter(comparison.methods))]
    ends = [float(final(own)[name].median())] if len(own) else []
    values = list(dict.fromkeys([*ends, *comparison.measure.reach]))
    if values:
        form = written(values)
        seeds = (f"seed {seed}" for seed in comparison.seeds)
        header = (objective.labelled("value to reach"), "method", *seeds, "median")
        rows = [
            (form(value), method, *costs)
            for value in values
            for method, costs in _costs(comparison, table, _points(means), value, objective)
        ]
        yield Grid(MEASURES[name].meaning, header, rows, texts=2)


def _of_k(table: pd.DataFrame, name: str, k: int) -> pd.DataFrame:
    """The rows of a figure where it is a mean of K values, and not of fewer."""
    rows = table[table["metric"] == name]
    round_ = ["method", "seed", "round"]
    numbers = table[table["metric"] == NUMBERS[name]].set_index(round_)["value"]
    return rows[(numbers.reindex(pd.MultiIndex.from_frame(rows[round_])) >= k).to_numpy()]


def _points(means: pd.DataFrame) -> Points:
    points: Points = {}
    runs = zip(means["method"], means["seed"], strict=True)
    for run, cost, value in zip(runs, beyond_design(means), means["value"], strict=True):
        points.setdefault(run, []).append((cost, value))
    return points


def _costs(
    comparison: Comparison, table: pd.DataFrame, points: Points, value: float, objective: Objective
) -> Iterator[tuple[str, list[str]]]:
    """Methods that have begun, and what each seed, and their median, paid for a value."""
    begun = {*zip(table["method"], table["seed"], strict=True)}
    for method in comparison.methods:
        costs = {
            seed: cost_to_reach(points.get((method, seed), ()), value, objective)
            for seed in comparison.seeds
            if (method, seed) in begun
        }
        if costs:
            middle = median(inf if cost is None else cost for cost in costs.values())
            cells = [_cell(costs[seed]) if seed in costs else "" for seed in comparison.seeds]
            yield method, [*cells, "not reached" if isinf(middle) else _cell(middle)]


def _cell(cost: float | None) -> str:
    return "–" if cost is None else amount(cost)
