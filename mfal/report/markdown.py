"""A round in Markdown with its pictures inside it: readable offline, wherever it is shown."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mfal.digits import amount, number, written
from mfal.progress import round_name
from mfal.reasons import in_a_line
from mfal.report.canvas import data_uri, to_bytes
from mfal.report.figures import spending_figure, top_k_figure
from mfal.report.learning_figures import (
    coverage_figure,
    loss_figure,
    ranks_figure,
    samples_figure,
)
from mfal.report.snapshot import Snapshot
from mfal.types import Observation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 12
FIGURES: tuple[tuple[str, Callable[[Snapshot], "Figure | None"]], ...] = (
    ("Top-K against cost", top_k_figure),
    ("Cost by fidelity", spending_figure),
    ("Surrogate on candidates left out: ranks", ranks_figure),
    ("Surrogate on candidates left out: intervals", coverage_figure),
    ("Sampler: loss", loss_figure),
    ("Sampler: effective sample size", samples_figure),
)


def round_markdown(snapshot: Snapshot, number: int) -> str:
    """What a round bought, the best so far, and the figures of the campaign until then."""
    batch = snapshot.in_order(number)
    info = next(r for r in snapshot.rounds if r.number == number)
    parts = [
        f"# {snapshot.name}: {round_name(number, info.kind)}",
        _summary(snapshot, batch),
        f"## Best {min(MOST_ROWS, snapshot.top_k)} measured at {snapshot.target.name}",
        _table(snapshot, snapshot.best(min(MOST_ROWS, snapshot.top_k)), with_round=True),
        f"## Batch: {_counts(snapshot, batch)}",
        _table(snapshot, batch[:MOST_ROWS], with_round=False),
    ]
    if len(batch) > MOST_ROWS:
        parts.append(f"and {len(batch) - MOST_ROWS} more, in the artifact of the whole batch.")
    # Of the initial design alone there is one point to show, which the words above say.
    for name, draw in FIGURES if info.kind == "batch" else ():
        figure = draw(snapshot)
        if figure is not None:
            parts.append(f"![{name}]({data_uri(to_bytes(figure), 'png')})")
    return "\n\n".join(parts) + "\n"


def batch_rows(snapshot: Snapshot, number: int) -> list[dict[str, str | float | None]]:
    """Every query of a round as a row of plain values."""
    name = snapshot.objective.label
    return [
        {
            "candidate": o.query.key,
            "fidelity": o.query.fidelity,
            name: o.outcome.value,
            "cost": o.cost,
            "seconds": round(o.outcome.seconds, 3),
            "error": o.outcome.error,
        }
        for o in snapshot.in_order(number)
    ]


def _summary(snapshot: Snapshot, batch: Sequence[Observation]) -> str:
    objective, failed = snapshot.objective, sum(o.outcome.values is None for o in batch)
    top = snapshot.mean
    mean = f"{number(top)}{objective.suffix}"
    best = "" if top is None else f", top-{snapshot.top_k} mean **{mean}**"
    return (
        f"{snapshot.problem.name}. Spent **{amount(snapshot.spent)}** of "
        f"{amount(snapshot.budget)}{best}; {failed} of {len(batch)} queries of this round failed."
    )


def _counts(snapshot: Snapshot, batch: Sequence[Observation]) -> str:
    counts = {f.name: sum(o.query.fidelity == f.name for o in batch) for f in snapshot.ladder}
    asked = ", ".join(f"{n} {name}" for name, n in reversed(counts.items()) if n)
    return f"{asked}, cost {amount(sum(o.cost for o in batch))}"


def _table(snapshot: Snapshot, rows: Sequence[Observation], *, with_round: bool) -> str:
    drawn = snapshot.problem.draw is not None
    objective = snapshot.objective
    last = "round" if with_round else "cost"
    header = ["", "candidate", "fidelity", objective.label, last]
    lines = [header if drawn else header[1:]]
    lines.append([":---"] * (len(lines[0]) - 2) + ["---:"] * 2)
    form = written(o.outcome.value for o in rows)
    for o in rows:
        cells = [
            _plain(f"`{o.query.key}`"),
            o.query.fidelity,
            form(o.outcome.value) or _plain(f"failed: {in_a_line(o.outcome.error or '')}"),
            str(o.round) if with_round else amount(o.cost),
        ]
        lines.append([_picture(snapshot, o), *cells] if drawn else cells)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _picture(snapshot: Snapshot, observation: Observation) -> str:
    draw = snapshot.problem.draw
    svg = draw(observation.query.key) if draw and observation.outcome.values else ""
    return f"![]({data_uri(svg, 'svg')})" if svg else ""


def _plain(text: str) -> str:
    """Text that stays in its cell."""
    return text.replace("|", "\\|").replace("\n", " ")
