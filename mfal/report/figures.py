"""Figures of one campaign: what it found, what it paid for, how long it took."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from mfal.digits import amount
from mfal.ledger.reading import RoundInfo
from mfal.report.canvas import (
    COLOURS,
    GREY,
    add_legend,
    add_legend_above,
    name_axes,
    panel,
    whole_numbers,
)
from mfal.report.diversity import Diversity
from mfal.report.snapshot import Snapshot
from mfal.types import Observation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COST = "cost so far (campaign units)"
MOST_NUMBERS = 3  # of rounds of a kind that are named below a panel


def top_k_figure(snapshot: Snapshot) -> "Figure":
    """The mean of the K best measured at the target, and each of them, against cost."""
    figure, axes = panel()
    objective, target = snapshot.objective, snapshot.target.name
    spent = accumulate(o.cost for o in snapshot.observations)
    measured = [
        (cost, o.outcome.value)
        for cost, o in zip(spent, snapshot.observations, strict=True)
        if o.query.fidelity == target and o.outcome.value is not None
    ]
    points = [(p.cost, p.top_k, p.n_target) for p in snapshot.curve() if p.top_k is not None]
    axes.scatter(
        [x for x, _ in measured], [y for _, y in measured], s=9, color=GREY, alpha=0.5, lw=0
    )
    _plot_means(axes, points, snapshot.top_k)
    if objective.goal == "min":
        axes.invert_yaxis()
    name_axes(
        axes,
        f"Mean of the {snapshot.top_k} best at {target}, and all measured (dots)",
        COST,
        f"{objective.label}, better upwards",
    )
    return figure


def diversity_figure(snapshot: Snapshot, diversity: Sequence[Diversity]) -> "Figure":
    """The means of the K best, and of the K best different candidates, against cost."""
    figure, axes = panel()
    cost = [d.cost for d in diversity]
    # Broad, so that it is seen where the two are one.
    axes.plot(cost, [d.top_k for d in diversity], color=GREY, lw=6, alpha=0.5, label="best")
    different = [(d.cost, d.diverse, d.n_diverse) for d in diversity]
    _plot_means(axes, different, snapshot.top_k, label="different")
    if snapshot.objective.goal == "min":
        axes.invert_yaxis()
    k, label = snapshot.top_k, snapshot.objective.label
    name_axes(
        axes,
        f"Mean of the {k} best, and of the {k} best different",
        COST,
        f"{label}, better upwards",
    )
    add_legend(axes)
    return figure


def similarity_figure(snapshot: Snapshot, diversity: Sequence[Diversity]) -> "Figure":
    """How alike the K best are, against cost."""
    figure, axes = panel()
    known = [(d.cost, d.similarity) for d in diversity if d.similarity is not None]
    axes.plot([x for x, _ in known], [y for _, y in known], color=COLOURS[5], marker="o", ms=4)
    axes.set_ylim(0, 1.02)
    title = f"Mean similarity of the {snapshot.top_k} best (lower: more diverse)"
    name_axes(axes, title, COST, "similarity")
    return figure


def _plot_means(
    axes: "Axes", points: Sequence[tuple[float, float, int]], k: int, label: str = ""
) -> None:
    """A line of means against cost, those of fewer than k values hollow.

    Args:
        points: Cost, mean, and how many values there were.
    """
    cost, means = [x for x, _, _ in points], [y for _, y, _ in points]
    axes.plot(cost, means, color=COLOURS[0], marker="o", ms=4, label=label)
    few = [(x, y) for x, y, n in points if n < k]
    if few:
        cost, means = [x for x, _ in few], [y for _, y in few]
        said = f"mean of fewer than {k}"
        axes.plot(cost, means, "o", color=COLOURS[0], mfc="white", ms=4, label=said)
        add_legend(axes)


def spending_figure(snapshot: Snapshot) -> "Figure":
    """What every round cost, by fidelity."""
    figure, axes = panel()
    costs = _sums(snapshot, lambda o: o.cost)
    labels = (f"{f.name} ({amount(f.cost)} each)" for f in snapshot.ladder)
    _stack(axes, _rounds(snapshot), dict(zip(labels, costs.values(), strict=True)))
    name_axes(axes, "Cost of each round by fidelity", _round_label(snapshot), "campaign units")
    return figure


def choosing_figure(snapshot: Snapshot) -> "Figure | None":
    """What choosing took in every round; None before the first batch."""
    if not _timed(snapshot):
        return None
    figure, axes = panel()
    _stack(axes, [r.number for r in _timed(snapshot)], choosing_seconds(snapshot))
    name_axes(axes, "Choosing the queries: wall time by stage", "round", "seconds")
    return figure


def asking_figure(snapshot: Snapshot) -> "Figure":
    """What the oracles took in every round, by their own account."""
    figure, axes = panel()
    _stack(axes, _rounds(snapshot), oracle_seconds(snapshot))
    name_axes(axes, "The oracles: seconds summed over workers", _round_label(snapshot), "seconds")
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


def _round_label(snapshot: Snapshot) -> str:
    """What numbers of rounds stand for, such as ``round (0: imported data; 1: initial design)``."""
    numbers: dict[str, list[str]] = {}
    for info in snapshot.rounds:
        if info.kind != "batch":
            numbers.setdefault(snapshot.name_of(info.number), []).append(str(info.number))
    named = []
    for name, of in numbers.items():
        shown = of if len(of) <= MOST_NUMBERS else [*of[:MOST_NUMBERS], "…"]
        named.append(f"{', '.join(shown)}: {name}")
    return f"round ({'; '.join(named)})" if named else "round"


def _timed(snapshot: Snapshot) -> list[RoundInfo]:
    return [r for r in snapshot.diagnosed if r.record.get("seconds")]


def _stack(axes: "Axes", numbers: Sequence[int], parts: Mapping[str, Sequence[float]]) -> None:
    """A bar a round, made of the parts that the legend names."""
    below = [0.0] * len(numbers)
    for i, (name, heights) in enumerate(parts.items()):
        axes.bar(numbers, heights, 0.7, bottom=below, color=COLOURS[i % len(COLOURS)], label=name)
        below = [b + h for b, h in zip(below, heights, strict=True)]
    whole_numbers(axes, numbers)
    add_legend_above(axes)
