"""Figures of one campaign: what it found, what it paid for, how its models did."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from mfal.ledger.reading import RoundInfo
from mfal.report.canvas import (
    COLOURS,
    GREY,
    add_legend,
    add_legend_above,
    name_axes,
    panels,
    whole_numbers,
)
from mfal.report.diversity import Diversity
from mfal.report.snapshot import Snapshot
from mfal.types import Observation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COST = "cost so far (campaign units)"
ROUND = "round (0: the initial design)"
Z90 = 1.6449  # half width of a central 90 % interval, in standard deviations


def top_k_figure(snapshot: Snapshot) -> "Figure":
    """The mean of the K best measured at the target, and each of them, against cost."""
    figure, (axes,) = panels()
    objective, target = snapshot.objective, snapshot.target.name
    spent = accumulate(o.cost for o in snapshot.observations)
    measured = [
        (cost, o.outcome.values[0])
        for cost, o in zip(spent, snapshot.observations, strict=True)
        if o.query.fidelity == target and o.outcome.values is not None
    ]
    points = [(p.cost, p.top_k) for p in snapshot.curve() if p.top_k is not None]
    axes.scatter(
        [x for x, _ in measured], [y for _, y in measured], s=9, color=GREY, alpha=0.5, lw=0
    )
    axes.plot([x for x, _ in points], [y for _, y in points], color=COLOURS[0], marker="o", ms=4)
    if objective.goal == "min":
        axes.invert_yaxis()
    name_axes(
        axes,
        f"Mean of the {snapshot.top_k} best at {target}, and all measured (dots)",
        COST,
        f"{objective.label}, better upwards",
    )
    return figure


def spending_figure(snapshot: Snapshot) -> "Figure":
    """What every round cost, by fidelity."""
    figure, (axes,) = panels()
    costs = _sums(snapshot, lambda o: o.cost)
    labels = (f"{f.name} ({f.cost:g} each)" for f in snapshot.ladder)
    _stack(axes, _rounds(snapshot), dict(zip(labels, costs.values(), strict=True)))
    name_axes(axes, "Cost of each round by fidelity", ROUND, "campaign units")
    return figure


def calibration_figure(snapshot: Snapshot) -> "Figure | None":
    """The surrogate on candidates left out, round by round; None before the first batch."""
    diagnosed = [r for r in snapshot.diagnosed if r.record.get("held_out")]
    if not diagnosed:
        return None
    figure, (ranks, coverage) = panels(2)
    for i, fidelity in enumerate(snapshot.ladder):
        for axes, name in ((ranks, "spearman"), (coverage, "coverage_90")):
            values = [r.record["held_out"].get(fidelity.name, {}).get(name) for r in diagnosed]
            known = [(r.number, v) for r, v in zip(diagnosed, values, strict=True) if v is not None]
            axes.plot(
                [x for x, _ in known],
                [y for _, y in known],
                color=COLOURS[i % len(COLOURS)],
                marker="o",
                ms=4,
                label=fidelity.name,
            )
    coverage.axhspan(0.85, 0.95, color=GREY, alpha=0.2, lw=0)
    for axes in (ranks, coverage):
        axes.set_ylim(min(0.0, axes.get_ylim()[0]), 1.02)
        whole_numbers(axes, [r.number for r in diagnosed])
        add_legend(axes)
    name_axes(ranks, "Rank correlation on candidates left out", "round", "Spearman")
    name_axes(coverage, "Coverage of 90 % intervals (band: .85 to .95)", "round", "share inside")
    return figure


def training_figure(snapshot: Snapshot) -> "Figure | None":
    """How the sampler learnt in the last round; None where it keeps no history."""
    last = next((r for r in reversed(snapshot.diagnosed) if r.record.get("training")), None)
    if last is None:
        return None
    history = last.record["training"]
    steps = [m["step"] for m in history]
    figure, (losses, samples) = panels(2)
    losses.plot(steps, [m["loss"] for m in history], color=COLOURS[0], label="training")
    losses.plot(steps, [m["validation_loss"] for m in history], color=COLOURS[1], label="fresh")
    losses.set_yscale("log")
    name_axes(losses, f"Sampler in round {last.number}: loss", "training step", "loss")
    add_legend(losses)
    samples.plot(steps, [m["effective_sample_size"] for m in history], color=COLOURS[2])
    samples.set_ylim(0, 1.02)
    for axes in (losses, samples):
        whole_numbers(axes, steps)
    name_axes(
        samples,
        "Effective sample size (1: samples the target)",
        "training step",
        "share of samples",
    )
    return figure


def parity_figure(snapshot: Snapshot) -> "Figure | None":
    """Predicted against observed of candidates left out, in the last round that has them."""
    last = next((r for r in reversed(snapshot.diagnosed) if r.record.get("parity")), None)
    if last is None:
        return None
    objective, points = snapshot.objective, last.record["parity"]
    shown = [(i, f.name) for i, f in enumerate(snapshot.ladder) if points.get(f.name)]
    figure, panel = panels(len(shown))
    for axes, (i, name) in zip(panel, shown, strict=True):
        observed = [o * objective.sign for o, _, _ in points[name]]
        mean = [m * objective.sign for _, m, _ in points[name]]
        spread = [Z90 * s for _, _, s in points[name]]
        low, high = min(observed), max(observed)
        axes.plot([low, high], [low, high], color=GREY, lw=1)
        axes.errorbar(
            observed,
            mean,
            spread,
            fmt="o",
            ms=3,
            lw=0.6,
            color=COLOURS[i % len(COLOURS)],
            alpha=0.7,
        )
        labelled = objective.labelled
        title = f"{name}, round {last.number}"
        name_axes(axes, title, labelled("observed"), labelled("predicted"))
    return figure


def seconds_figure(snapshot: Snapshot) -> "Figure | None":
    """What choosing and asking took in every round; None before the first batch."""
    if not _timed(snapshot):
        return None
    figure, (choosing, asking) = panels(2)
    _stack(choosing, [r.number for r in _timed(snapshot)], choosing_seconds(snapshot))
    name_axes(choosing, "Choosing the queries: wall time by stage", "round", "seconds")
    _stack(asking, _rounds(snapshot), oracle_seconds(snapshot))
    name_axes(asking, "The oracles: seconds summed over workers", ROUND, "seconds")
    return figure


def choosing_seconds(snapshot: Snapshot) -> dict[str, list[float]]:
    """Stage -> its wall time in every round that a surrogate chose."""
    return {
        stage: [float(r.record["seconds"].get(stage, 0.0)) for r in _timed(snapshot)]
        for stage in ("fit", "train", "propose")
    }


def oracle_seconds(snapshot: Snapshot) -> dict[str, list[float]]:
    """Fidelity -> seconds by the oracles' own account in every round, the initial design's too.

    They are summed over the workers that asked at the same time: the clock may have shown fewer.
    """
    return _sums(snapshot, lambda o: o.outcome.seconds)


def _sums(snapshot: Snapshot, figure: Callable[[Observation], float]) -> dict[str, list[float]]:
    """Fidelity -> the sum of a figure of its answers in every round."""
    sums = {f.name: dict.fromkeys(_rounds(snapshot), 0.0) for f in snapshot.ladder}
    for o in snapshot.observations:
        sums[o.query.fidelity][o.round] += figure(o)
    return {name: list(of_rounds.values()) for name, of_rounds in sums.items()}


def _rounds(snapshot: Snapshot) -> list[int]:
    return sorted({o.round for o in snapshot.observations})


def _timed(snapshot: Snapshot) -> list[RoundInfo]:
    return [r for r in snapshot.diagnosed if r.record.get("seconds")]


def _stack(axes: "Axes", numbers: Sequence[int], parts: Mapping[str, Sequence[float]]) -> None:
    """A bar a round, made of the parts that the legend names."""
    below = [0.0] * len(numbers)
    for i, (name, heights) in enumerate(parts.items()):
        axes.bar(numbers, heights, 0.7, bottom=below, color=COLOURS[i % len(COLOURS)], label=name)
        below = [b + h for b, h in zip(below, heights, strict=True)]
    whole_numbers(axes, numbers)
    add_legend_above(axes, len(parts))


def diversity_figure(snapshot: Snapshot, diversity: Sequence[Diversity]) -> "Figure":
    """The mean of the K best different candidates, and how alike the K best are, against cost."""
    figure, (values, alike) = panels(2)
    cost = [d.cost for d in diversity]
    values.plot(cost, [d.top_k for d in diversity], color=GREY, marker="o", ms=3, label="best")
    values.plot(
        cost, [d.diverse for d in diversity], color=COLOURS[0], marker="o", ms=4, label="different"
    )
    if snapshot.objective.goal == "min":
        values.invert_yaxis()
    k, label = snapshot.top_k, snapshot.objective.label
    name_axes(values, f"Mean of the {k} best, and of the {k} best different", COST, label)
    add_legend(values)
    known = [(d.cost, d.similarity) for d in diversity if d.similarity is not None]
    alike.plot([x for x, _ in known], [y for _, y in known], color=COLOURS[5], marker="o", ms=4)
    alike.set_ylim(0, 1.02)
    name_axes(alike, f"Mean similarity of the {k} best (lower: more diverse)", COST, "similarity")
    return figure
