"""Whether the cheap fidelities tell of the target what they told of it at first."""

from dataclasses import dataclass
from statistics import fmean, linear_regression
from typing import TYPE_CHECKING

import torch

from mfal.digits import written
from mfal.report.canvas import COLOURS, GREY, add_legend, name_axes, panel
from mfal.report.page import Grid, Picture
from mfal.report.snapshot import Snapshot
from mfal.report.words import unitless
from mfal.surrogate.calibration import spearman

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST = 3  # pairs that a line is laid through

Pair = tuple[float, float]
"""What one candidate has at a fidelity and at the target."""


@dataclass(frozen=True)
class Pairs:
    """Candidates with an answer at a fidelity and at the target.

    Attributes:
        fidelity: Its name.
        rung: Its place in the ladder.
        first: Those that were measured at the target before a surrogate chose.
        chosen: Those that a surrogate chose to measure there.
    """

    fidelity: str
    rung: int
    first: tuple[Pair, ...]
    chosen: tuple[Pair, ...]

    def line(self) -> tuple[float, float] | None:
        """Slope and intercept of the target over the fidelity, by least squares on `first`.

        None for fewer than three pairs, or equal values at the fidelity.
        """
        low = [x for x, _ in self.first]
        if len(low) < FEWEST or min(low) == max(low):
            return None
        slope, intercept = linear_regression(low, [y for _, y in self.first])
        return slope, intercept

    def beside_line(self) -> float | None:
        """How far the chosen lie above `line`, in the mean."""
        line = self.line()
        if line is None or not self.chosen:
            return None
        return fmean(y - line[0] * x - line[1] for x, y in self.chosen)


def pairs_of(snapshot: Snapshot) -> list[Pairs]:
    """For each fidelity below the target that shares a candidate with it, by rising level."""
    values: dict[str, dict[str, float]] = {f.name: {} for f in snapshot.ladder}
    chosen_rounds, chosen = {r.number for r in snapshot.diagnosed}, set[str]()
    for o in snapshot.observations:
        if o.outcome.value is None:
            continue
        values[o.query.fidelity][o.query.key] = o.outcome.value
        if o.query.fidelity == snapshot.target.name and o.round in chosen_rounds:
            chosen.add(o.query.key)
    target = values[snapshot.target.name]
    found = []
    for rung, fidelity in enumerate(snapshot.ladder[:-1]):
        both = {k: (x, target[k]) for k, x in values[fidelity.name].items() if k in target}
        if both:
            first = tuple(pair for key, pair in both.items() if key not in chosen)
            later = tuple(pair for key, pair in both.items() if key in chosen)
            found.append(Pairs(fidelity.name, rung, first, later))
    return found


def agreement_figure(snapshot: Snapshot, pairs: Pairs) -> "Figure":
    """The target against a fidelity, a point a candidate, and what the first of them promised."""
    figure, axes = panel()
    both = pairs.first + pairs.chosen
    if (line := pairs.line()) is not None:
        ends = [min(x for x, _ in both), max(x for x, _ in both)]
        axes.plot(ends, [line[0] * x + line[1] for x in ends], color=GREY, lw=1)
    colour = COLOURS[pairs.rung % len(COLOURS)]
    for label, shown, edge, face in (
        ("before a surrogate chose", pairs.first, GREY, "none"),
        ("chosen by it", pairs.chosen, colour, colour),
    ):
        if shown:
            x, y = zip(*shown, strict=True)
            axes.plot(x, y, "o", ms=4, color=edge, mfc=face, alpha=0.8, label=label)
    add_legend(axes)
    labelled, target = snapshot.objective.labelled, snapshot.target.name
    title = f"{target} against {pairs.fidelity}"
    name_axes(axes, title, labelled(pairs.fidelity), labelled(target))
    return figure


def agreement_pictures(snapshot: Snapshot, found: list[Pairs]) -> list[Picture]:
    """A picture a fidelity."""
    return [
        Picture(
            f"agreement-{a.rung + 1}",  # a fidelity's name may hold what no file's does
            agreement_figure(snapshot, a),
            f"Each candidate that was asked at both. The line is of those measured before a "
            f"surrogate chose; where the chosen ones lie on its worse side "
            f"({snapshot.objective.better}), {a.fidelity} flatters what the campaign picks by it.",
        )
        for a in found
    ]


def agreement_grid(snapshot: Snapshot, found: list[Pairs]) -> Grid:
    """The same in numbers."""
    beside = [a.beside_line() for a in found]
    value = written(beside, figures=3)
    rows = [
        (
            a.fidelity,
            str(len(a.first)),
            _ranks(a.first),
            str(len(a.chosen)),
            _ranks(a.chosen),
            value(far),
        )
        for a, far in zip(found, beside, strict=True)
    ]
    above = snapshot.objective.labelled("chosen above the line")
    header = ("fidelity", "first", "Spearman", "chosen", "Spearman", above)
    said = (
        f"Candidates asked there and at {snapshot.target.name}: measured before a surrogate chose, "
        "and chosen. Among these, which are all good, ranks agree less in any case."
    )
    return Grid(said, header, rows)


def _ranks(pairs: tuple[Pair, ...]) -> str:
    if not pairs:
        return ""
    low, high = torch.tensor(pairs, dtype=torch.float64).T
    return unitless(spearman(low, high))
