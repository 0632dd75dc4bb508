"""The report of a comparison: every method and seed, at equal cost."""

from collections.abc import Sequence

import pandas as pd

from mfal.compare import NUMBERS, Comparison, at_cost, beyond_design, final
from mfal.digits import amount, number, written
from mfal.report.comparison_figures import MEASURES, against_cost, quality_and_variety
from mfal.report.page import Grid, Page, Picture, Section
from mfal.report.published import PublishedCurve
from mfal.report.reaching import reaching
from mfal.report.words import counted, inline, listed, unitless
from mfal.types import Objective

LEADS = {
    "diverse_top_k": "the mean of the {k} best that were measured and differ from each other",
    "top_k": "the {k} best that were measured, alike or not",
    "published_top_k": "the {k} best true values of all that was queried",
}
"""The figures of which the first paragraph says who is ahead."""

PUBLISHED = " Dotted: published curves, whose points are joined by straight lines."
FEW = " Dashed: a seed has fewer than K, and its mean is of all it has."


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
        published: Curves of others; their costs leave out the initial design.
    """
    names = [name for name in MEASURES if (table["metric"] == name).any()]
    sections = [
        Section("Against cost", pictures=_pictures(table, names, objective, k, published)),
        Section("Every seed at its end", grids=[_ends(comparison, table, names, objective, k)]),
        *([reached] if (reached := reaching(comparison, table, names, objective, k)) else []),
        Section("Where the cost went", grids=[_shares(comparison, table)]),
    ]
    if published:
        sections.append(Section("Published curves", grids=[_published(published, objective)]))
    sections.append(Section("Configuration", grids=[_settings(comparison)]))
    return Page(
        title=f"Comparison {comparison.name}",
        lead=verdict(comparison, table, objective, k),
        sections=sections,
        made="Made by mfal from the ledgers of the comparison; mfal.metrics defines the figures.",
    )


def verdict(comparison: Comparison, table: pd.DataFrame, objective: Objective, k: int) -> str:
    """How far the comparison is, and who is ahead of its first method, or level, at equal cost."""
    begun = table[["method", "seed"]].drop_duplicates()
    wanted = len(comparison.methods) * len(comparison.seeds)
    cost = common_cost(table)
    here = at_cost(table, cost)
    reference = next(iter(comparison.methods))
    compared = (
        f": a method is ahead of every seed of {reference} if its median is better than each of "
        "them, and level if it lies among them"
    )
    said = [
        f"{len(begun)} of {wanted} runs have begun ({counted(len(comparison.methods), 'method')}, "
        f"{counted(len(comparison.seeds), 'seed')} each).",
        f"All have spent {amount(cost)} campaign units beyond the initial design; what follows is "
        f"at that cost, by the median over seeds ({objective.better})"
        f"{compared if len(comparison.methods) > 1 else ''}.",
    ]
    by_standing: dict[str, list[str]] = {}
    is_of_few = False
    for name, by in LEADS.items():
        # Some methods have true values before everything is scored: they lead nobody until then.
        if name not in here.columns or (name.startswith("published") and here[name].isna().any()):
            continue
        of_k = here[name][here[NUMBERS[name]] >= k].dropna()
        is_of_few |= len(of_k) < here[name].count()
        if len(of_k):
            stands = standing(of_k, reference, objective)
            by_standing.setdefault(stands, []).append(by.format(k=k))
    said += [f"By {', and by '.join(by)}, {stands}." for stands, by in by_standing.items()]
    if is_of_few:
        said.append(f"Means of fewer than {k} are left out.")
    return " ".join(said)


def common_cost(table: pd.DataFrame) -> float:
    """The most that every run has spent beyond its design."""
    beyond = beyond_design(table)
    return float(beyond.groupby([table["method"], table["seed"]]).max().min())


def standing(figures: pd.Series, reference: str, objective: Objective) -> str:
    """Who leads by the median over seeds, and which methods a reference does not leave behind.

    A method is ahead of the reference if its median is better than every seed of the reference,
    and level if it lies among them.

    Args:
        figures: A value per method and seed.
    """
    worth = figures.mul(objective.sign)
    medians = worth.groupby(level="method").median()
    order = sorted(medians.index, key=lambda method: (-medians[method], method != reference))
    medians = medians[order]
    leader = str(medians.index[0])
    best = number(objective.sign * medians.iloc[0])
    leads = "leads with" if len(medians) > 1 else "has"
    text = f"{leader} {leads} {best}{objective.suffix}"
    if reference not in medians.index:
        return f"{text}; {reference} has no such figure yet"
    own = worth.xs(reference, level="method")
    others = medians.drop(reference)
    parts = [text]
    if leader != reference:
        parts.append(f"{reference} has {number(objective.sign * medians[reference])}")
    for word, found in (
        ("ahead of every seed of", others[others > own.max()]),
        ("level with", others[(others >= own.min()) & (others <= own.max())]),
    ):
        if len(found):
            parts.append(f"{listed(found.index)} {_is(found)} {word} {reference}")
    return "; ".join(parts)


def _is(found: Sequence[object]) -> str:
    return "is" if len(found) == 1 else "are"


def _pictures(
    table: pd.DataFrame,
    names: Sequence[str],
    objective: Objective,
    k: int,
    published: Sequence[PublishedCurve],
) -> list[Picture]:
    pictures = [
        Picture(
            name.replace("_", "-"),
            # The published evaluation is over the true values of what was queried.
            against_cost(table, name, objective, k, published if name == "published_top_k" else ()),
            f"{MEASURES[name].meaning} K\u00a0=\u00a0{k}. Line: median over seeds; band: worst "
            "seed to best; markers only tell the methods apart. Compare along a vertical line: "
            "equal cost."
            + (FEW if name in NUMBERS else "")
            + (PUBLISHED if published and name == "published_top_k" else ""),
        )
        for name in names
    ]
    return pictures + [
        Picture(
            f"{prefix}quality-and-variety".replace("_", "-"),
            quality_and_variety(table, prefix, objective),
            "A line a run, a marker at its end. Upwards is better, to the left more varied: a "
            "method is ahead in both where its line runs above and to the left.",
        )
        for prefix in ("", "published_")
        if {f"{prefix}top_k", f"{prefix}similarity"} <= set(names)
    ]


def _ends(
    comparison: Comparison, table: pd.DataFrame, names: Sequence[str], objective: Objective, k: int
) -> Grid:
    last = final(table)
    values = [name for name in names if MEASURES[name].is_value]
    form = written(last[values].to_numpy().ravel())
    forms = {name: form if name in values else unitless for name in names}
    beyond = beyond_design(table)
    spent = beyond.groupby([table["method"], table["seed"]]).max().to_dict()
    rows = []
    for method in comparison.methods:
        if method not in last.index.get_level_values("method"):
            continue
        of_method = last.xs(method, level="method")
        for seed, row in of_method.iterrows():
            figures = (forms[name](row[name]) for name in names)
            rows.append((method, str(seed), amount(spent[method, seed]), *figures))
        medians = (forms[name](of_method[name].median()) for name in names)
        rows.append((method, "median", "", *medians))
    header = ("method", "seed", "cost", *(MEASURES[name].header(objective) for name in names))
    said = (
        f"K = {k}. Cost is what was spent beyond the initial design, in campaign units. "
        f"Of {objective.label}, {objective.better}; of similarity, lower is more varied."
    )
    return Grid(said, header, rows)


def _shares(comparison: Comparison, table: pd.DataFrame) -> Grid:
    shares = final(table[table["metric"].str.startswith("share_")])
    medians = shares.groupby(level="method").median()
    medians = medians.loc[[name for name in comparison.methods if name in medians.index]]
    header = ("method", *(str(c).removeprefix("share_") for c in medians.columns))
    rows = [
        (str(method), *("" if pd.isna(v) else f"{v:.0%}" for v in row))
        for method, row in zip(medians.index, medians.to_numpy(), strict=True)
    ]
    return Grid("Share of the cost at each fidelity, median over seeds.", header, rows)


def _published(published: Sequence[PublishedCurve], objective: Objective) -> Grid:
    form = written(value for curve in published for value in curve.value)
    rows = [
        (curve.method, amount(cost), form(value), curve.source)
        for curve in published
        for cost, value in zip(curve.cost, curve.value, strict=True)
    ]
    header = ("method", "cost", objective.labelled("value"), "source")
    said = f"As given, {objective.better}; the cost in campaign units beyond the initial design."
    return Grid(said, header, rows, texts=None)


def _settings(comparison: Comparison) -> Grid:
    rows = [
        ("all methods", inline(comparison.campaign)),
        *((method, inline(changes)) for method, changes in comparison.methods.items()),
        ("measure", inline(comparison.measure.model_dump(mode="json", exclude_defaults=True))),
    ]
    return Grid("What the methods share, and what each changes.", ("", "fields"), rows, texts=None)
