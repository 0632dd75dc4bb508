"""Figures of one campaign: what it found, what it paid for, how its models did."""

from itertools import accumulate
from typing import TYPE_CHECKING

from mfal.report.canvas import COLOURS, GREY, add_legend, name_axes, panels, whole_rounds
from mfal.report.snapshot import Snapshot

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
        f"Mean of the {snapshot.top_k} best at {target} (line), all measured there (dots)",
        "cost so far (campaign units)",
        f"{objective.name} ({objective.unit}), better upwards",
    )
    return figure


def spending_figure(snapshot: Snapshot) -> "Figure":
    """What every round cost, by fidelity."""
    figure, (axes,) = panels()
    numbers = sorted({o.round for o in snapshot.observations})
    below = [0.0] * len(numbers)
    for i, fidelity in enumerate(snapshot.ladder):
        costs = [
            sum(o.cost for o in snapshot.of_round(n) if o.query.fidelity == fidelity.name)
            for n in numbers
        ]
        label = f"{fidelity.name} ({fidelity.cost:g} each)"
        axes.bar(numbers, costs, 0.7, bottom=below, color=COLOURS[i % len(COLOURS)], label=label)
        below = [b + c for b, c in zip(below, costs, strict=True)]
    whole_rounds(axes, numbers)
    name_axes(
        axes, "Cost of each round by fidelity", "round (0: the initial design)", "campaign units"
    )
    add_legend(axes)
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
        whole_rounds(axes, [r.number for r in diagnosed])
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
    name_axes(
        samples,
        "Effective sample size (1: samples the target)",
        "training step",
        "share of samples",
    )
    return figure
