"""Figures of how a campaign's models did: its surrogate and its sampler."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mfal.ledger.reading import RoundInfo
from mfal.report.canvas import (
    COLOURS,
    GREY,
    add_legend,
    logarithmic,
    name_axes,
    panel,
    whole_numbers,
)
from mfal.report.snapshot import Snapshot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Z90 = 1.6449  # half width of a central 90 % interval, in standard deviations


def ranks_figure(snapshot: Snapshot) -> "Figure | None":
    """Rank correlation on candidates left out, round by round; None before the first batch."""
    drawn = _held_out(snapshot, "spearman")
    if drawn is None:
        return None
    figure, axes = drawn
    name_axes(axes, "Rank correlation on candidates left out", "round", "Spearman")
    return figure


def coverage_figure(snapshot: Snapshot) -> "Figure | None":
    """Coverage on candidates left out, round by round; None before the first batch."""
    drawn = _held_out(snapshot, "coverage_90")
    if drawn is None:
        return None
    figure, axes = drawn
    axes.axhspan(0.85, 0.95, color=GREY, alpha=0.2, lw=0)
    name_axes(axes, "Coverage of 90 % intervals (band: .85 to .95)", "round", "share inside")
    return figure


def _held_out(snapshot: Snapshot, name: str) -> "tuple[Figure, Axes] | None":
    """A figure of candidates left out, a line a fidelity."""
    diagnosed = [r for r in snapshot.diagnosed if r.record.get("held_out")]
    if not diagnosed:
        return None
    figure, axes = panel()
    for i, fidelity in enumerate(snapshot.ladder):
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
    axes.set_ylim(min(0.0, axes.get_ylim()[0]), 1.02)
    whole_numbers(axes, [r.number for r in diagnosed])
    add_legend(axes)
    return figure, axes


def parity_figures(snapshot: Snapshot) -> "dict[str, Figure]":
    """Fidelity -> predicted against observed of candidates left out.

    Of the last round with any, and of the fidelities that had any in it, by rising level.
    """
    last = _last(snapshot, "parity")
    if last is None:
        return {}
    points = last.record["parity"]
    return {
        fidelity.name: _parity(snapshot, fidelity.name, points[fidelity.name], i, last.number)
        for i, fidelity in enumerate(snapshot.ladder)
        if points.get(fidelity.name)
    }


def _parity(
    snapshot: Snapshot, name: str, points: list[tuple[float, float, float]], i: int, number: int
) -> "Figure":
    figure, axes = panel()
    sign, labelled = snapshot.objective.sign, snapshot.objective.labelled
    observed = [o * sign for o, _, _ in points]
    low, high = min(observed), max(observed)
    axes.plot([low, high], [low, high], color=GREY, lw=1)
    axes.errorbar(
        observed,
        [m * sign for _, m, _ in points],
        [Z90 * s for _, _, s in points],
        fmt="o",
        ms=3,
        lw=0.6,
        color=COLOURS[i % len(COLOURS)],
        alpha=0.7,
    )
    name_axes(axes, f"{name}, round {number}", labelled("observed"), labelled("predicted"))
    return figure


def loss_figure(snapshot: Snapshot) -> "Figure | None":
    """The sampler's losses in the last round; None where it keeps no history."""
    last = _last(snapshot, "training")
    if last is None:
        return None
    steps, history = _history(last)
    figure, axes = panel()
    axes.plot(steps, [m["loss"] for m in history], color=COLOURS[0], label="training")
    axes.plot(steps, [m["validation_loss"] for m in history], color=COLOURS[1], label="fresh")
    logarithmic(axes)
    whole_numbers(axes, steps)
    add_legend(axes)
    name_axes(axes, f"Sampler in round {last.number}: loss", "training step", "loss")
    return figure


def samples_figure(snapshot: Snapshot) -> "Figure | None":
    """The sampler's effective sample size in the last round; None where it keeps no history."""
    last = _last(snapshot, "training")
    if last is None:
        return None
    steps, history = _history(last)
    figure, axes = panel()
    axes.plot(steps, [m["effective_sample_size"] for m in history], color=COLOURS[2])
    axes.set_ylim(0, 1.02)
    whole_numbers(axes, steps)
    title = "Effective sample size (1: samples the target)"
    name_axes(axes, title, "training step", "share of samples")
    return figure


def _last(snapshot: Snapshot, name: str) -> RoundInfo | None:
    """The last round whose record has a part."""
    return next((r for r in reversed(snapshot.diagnosed) if r.record.get(name)), None)


def _history(info: RoundInfo) -> tuple[list[int], list[Mapping[str, Any]]]:
    history = info.record["training"]
    return [m["step"] for m in history], history
