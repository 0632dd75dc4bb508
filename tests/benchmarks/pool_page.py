"""The page and the picture of `tests.benchmarks.pool`, from the campaigns that have ended."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from tests.benchmarks import machine
from tests.benchmarks.report import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Runs = list[dict[str, Any]]
Curve = list[tuple[float, float]]

INTRODUCTION = """# Campaigns over a fixed pool

Written by `python -m tests.benchmarks.pool`; every campaign's figures are in `pool.json`.

The pool holds 5,000 DNA 30-mers, other ones for each seed (`tests/problems/dna_ladder.py`), of
12,000: 2,000 random ones with a stem of 0 to 6 pairs planted, and 10,000 mutants. The ladder has
three rungs that differ in kind: the longest perfect hairpin, the energy of the same letters under
RNA parameters, and the target, the energy of the DNA ensemble. The surrogate sees k-mer counts
alone; stem features would hand it the lowest rung for nothing.

All methods run through the product's own rounds, with the same budget, rounds of the same cost and
a random initial design of the same cost: nested over the ladder for multi-fidelity methods, all at
the target for the others. **Recommended** is the mean true energy of the 50 candidates of the pool
with the best posterior means of the method's own surrogate, **measured** that of the 10 best asked
at the target (kcal/mol, lower is better). Costs include the initial design; the columns of the
tables are the rounds. UCB has β = 2. All know that fifty are to be recommended (`top_k: 50`).
"""


def write(
    runs: Runs, multi: str, rivals: Sequence[str], folder: Path, where: dict[str, Any]
) -> None:
    """docs/pool.md and docs/pool.png."""
    ladders = list(dict.fromkeys(r["ladder"] for r in sorted(runs, key=lambda r: r["ladder"])))
    parts = [INTRODUCTION, machine.sentence(where)]
    for ladder in ladders:
        here = [r for r in runs if r["ladder"] == ladder]
        parts += [f"## Costs {ladder}", verdict(here, multi, rivals), means(here), every_seed(here)]
    (folder / "pool.md").write_text("\n\n".join(parts) + "\n\n![curves](pool.png)\n")
    picture(runs, ladders).savefig(folder / "pool.png", dpi=110)


def of(runs: Runs, method: str) -> Runs:
    """The campaigns of a method by seed."""
    return sorted((r for r in runs if r["method"] == method), key=lambda r: int(r["seed"]))


def methods(runs: Runs) -> list[str]:
    """Names of the methods, those with most seeds first."""
    names = sorted({r["method"] for r in runs})
    return sorted(names, key=lambda name: -len(of(runs, name)))


def mean_curve(runs: Runs, field: str) -> Curve:
    """Mean over campaigns of a figure, against the mean cost of the same round."""
    shortest = min(len(r["points"]) for r in runs)
    return [
        (
            mean(r["points"][i]["cost"] for r in runs),
            mean(r["points"][i][field] for r in runs),
        )
        for i in range(shortest)
    ]


def cost_to_reach(curve: Curve, value: float) -> float | None:
    """The first cost at which a curve is down to `value`, linear between rounds."""
    if curve[0][1] <= value:
        return curve[0][0]
    for (c0, v0), (c1, v1) in pairwise(curve):
        if v1 <= value < v0:
            return c0 + (c1 - c0) * (v0 - value) / (v0 - v1)
    return None


def share(curve: Curve, value: float) -> str:
    """That cost, as a share of the curve's whole, in words."""
    cost = cost_to_reach(curve, value)
    return "never" if cost is None else f"{cost / curve[-1][0]:.0%}"


def verdict(runs: Runs, multi: str, rivals: Sequence[str]) -> str:
    """What the multi-fidelity default needs for the best rival's end, and where it is behind.

    Over the seeds for which all of them have ended.
    """
    seeds = [{r["seed"] for r in of(runs, name)} for name in (multi, *rivals)]
    common = set.intersection(*seeds)
    if not common:
        return "No seed has ended for all methods yet."
    runs = [r for r in runs if r["seed"] in common]
    ours = of(runs, multi)
    theirs = {name: of(runs, name) for name in rivals}
    ends = {name: mean_curve(found, "recommended")[-1][1] for name, found in theirs.items()}
    best = min(ends, key=lambda name: ends[name])
    shares = [share(mean_curve([r], "recommended"), _best_end(runs, r, rivals)) for r in ours]
    late = {name: mean_curve(found, "measured")[-1][1] for name, found in theirs.items()}
    curve = mean_curve(ours, "measured")
    behind = [
        f"{name} until {cost:g}"
        for name, found in theirs.items()
        if (cost := _behind_until(curve, mean_curve(found, "measured"))) is not None
    ]
    return "\n".join(
        [
            f"- Seeds compared: {len(common)}. By its recommendation at the end, the best rival is "
            f"{best} "
            f"({ends[best]:.2f}). The multi-fidelity default is there at "
            f"{share(mean_curve(ours, 'recommended'), ends[best])} of the cost (mean curves); "
            f"seed by seed, against the best rival of each, at {', '.join(shares)}.",
            f"- Measured, at the end: {curve[-1][1]:.2f} against "
            + ", ".join(f"{value:.2f} ({name})" for name, value in late.items())
            + ".",
            f"- Measured, it is behind (means) {'; '.join(behind) or 'nowhere'}.",
        ]
    )


def _best_end(runs: Runs, ours: dict[str, Any], rivals: Sequence[str]) -> float:
    same = [r for r in runs if r["seed"] == ours["seed"] and r["method"] in rivals]
    return min(float(r["points"][-1]["recommended"]) for r in same)


def _behind_until(ours: Curve, theirs: Curve) -> float | None:
    """The last cost after which the other curve is lower; None where it never is."""
    worse = [cost for (cost, value), (_, other) in zip(ours, theirs, strict=False) if other < value]
    return max(worse, default=None)


def means(runs: Runs) -> str:
    """Recommended and measured after each round, the mean over seeds."""
    costs = [f"{p['cost']:g}" for p in runs[0]["points"]]
    rows = []
    for name in methods(runs):
        found = of(runs, name)
        both = zip(mean_curve(found, "recommended"), mean_curve(found, "measured"), strict=True)
        cells = [f"{a:.2f} / {b:.2f}" for (_, a), (_, b) in both]
        rows.append([f"{name}, {len(found)} seeds", *cells])
    head = "Recommended / measured after a cost of, mean over the seeds:"
    return f"{head}\n\n{table(['method', *costs], rows)}"


def every_seed(runs: Runs) -> str:
    """Both figures at the end of the budget, seed by seed, and what was asked."""
    seeds = sorted({int(r["seed"]) for r in runs})
    rows = []
    for name in methods(runs):
        cells = {
            int(r["seed"]): f"{r['points'][-1]['recommended']:.2f} / "
            f"{r['points'][-1]['measured']:.2f}"
            for r in of(runs, name)
        }
        asked = " + ".join(str(n) for n in of(runs, name)[0]["points"][-1]["queries"])
        rows.append([name, *(cells.get(seed, "-") for seed in seeds), asked])
    header = ["method", *(f"seed {seed}" for seed in seeds), "queries of seed 0"]
    return f"At the end of the budget, every seed:\n\n{table(header, rows)}"


def picture(runs: Runs, ladders: Sequence[str]) -> "Figure":
    """Both figures against cost, a column per ladder: means, and a thin line per seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6 * len(ladders), 8), layout="constrained")
    axes = figure.subplots(2, len(ladders), squeeze=False)
    colours = {name: f"C{i}" for i, name in enumerate(methods(runs))}
    for column, ladder in enumerate(ladders):
        here = [r for r in runs if r["ladder"] == ladder]
        for row, field in enumerate(("recommended", "measured")):
            panel = axes[row][column]
            for name in methods(here):
                found, style = of(here, name), {"color": colours[name]}
                panel.plot(*zip(*mean_curve(found, field), strict=True), label=name, **style)
                for one in found:
                    panel.plot(*zip(*mean_curve([one], field), strict=True), lw=0.4, **style)
            panel.set_title(f"{field}, costs {ladder}", loc="left")
            panel.set_xlabel("cost, initial design included")
            panel.set_ylabel("kcal/mol")
            panel.spines[["top", "right"]].set_visible(False)
    # Below them all: no ladder need have been run with every method.
    lines = {line.get_label(): line for panel in axes.flat for line in panel.get_lines()}
    named = [lines[name] for name in colours]
    figure.legend(handles=named, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure
