"""What Prefect's page and the report show of a round, on a campaign whose numbers are known."""

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace

from PIL import Image

from mfal.campaign import open_campaign
from mfal.config import CampaignConfig
from mfal.digits import number
from mfal.report.figures import spending_figure, top_k_figure
from mfal.report.learning_figures import (
    coverage_figure,
    loss_figure,
    ranks_figure,
    samples_figure,
)
from mfal.report.markdown import batch_rows, round_markdown
from mfal.report.snapshot import Snapshot, take
from mfal.round import run_rounds


def test_the_figures_show_what_the_ledger_holds(snapshot: Snapshot) -> None:
    line = top_k_figure(snapshot).axes[0].lines[0]
    assert list(line.get_xdata()) == [p.cost for p in snapshot.curve()]
    assert list(line.get_ydata()) == [p.top_k for p in snapshot.curve()]
    assert line.get_xdata()[-1] == snapshot.spent

    bars = spending_figure(snapshot).axes[0].patches
    assert sum(bar.get_height() for bar in bars) == snapshot.spent
    assert len(bars) == 2 * 3  # fidelities x (initial design and two rounds)

    for draw, name in ((ranks_figure, "spearman"), (coverage_figure, "coverage_90")):
        figure = draw(snapshot)
        assert figure is not None
        shown = [list(line.get_ydata()) for line in figure.axes[0].lines]
        assert shown == [
            [
                r.record["held_out"][f.name][name]
                for r in snapshot.diagnosed
                if r.record["held_out"][f.name][name] is not None
            ]
            for f in snapshot.ladder
        ]

    history = snapshot.rounds[-1].record["training"]
    figure = loss_figure(snapshot)
    assert figure is not None
    losses, validation = figure.axes[0].lines
    assert list(losses.get_ydata()) == [m["loss"] for m in history]
    assert list(validation.get_ydata()) == [m["validation_loss"] for m in history]
    figure = samples_figure(snapshot)
    assert figure is not None
    (sizes,) = figure.axes[0].lines
    assert list(sizes.get_ydata()) == [m["effective_sample_size"] for m in history]


def test_before_the_first_batch_there_is_no_surrogate_and_no_sampler_to_show(
    motif: Callable[..., CampaignConfig],
) -> None:
    with open_campaign(motif(stop__rounds=1)) as campaign:
        run_rounds(campaign, 1)
        snapshot = take(campaign)
    before = replace(snapshot, rounds=snapshot.rounds[:1], observations=tuple(snapshot.of_round(0)))
    for draw in (ranks_figure, coverage_figure, loss_figure, samples_figure):
        assert draw(before) is None
    assert "# motif: initial design" in round_markdown(before, 0)


def test_a_batch_is_shown_target_first_then_by_value_failures_last(snapshot: Snapshot) -> None:
    rows = batch_rows(snapshot, 2)
    assert [row["candidate"] for row in rows] == [o.query.key for o in snapshot.in_order(2)]
    fidelities = [row["fidelity"] for row in rows]
    assert fidelities == sorted(fidelities, reverse=True)  # whole, then half
    for name in set(fidelities):
        values = [row["agreement (places)"] for row in rows if row["fidelity"] == name]
        known = [v for v in values if v is not None]
        assert values == sorted(known, reverse=True) + [None] * (len(values) - len(known))
    assert sum(row["cost"] for row in rows) == sum(o.cost for o in snapshot.of_round(2))


def test_a_round_in_markdown_carries_its_pictures_and_its_failures(snapshot: Snapshot) -> None:
    page = round_markdown(snapshot, 2)
    assert "http" not in re.sub(r"data:[^)]*", "", page)  # nothing is fetched
    assert f"Spent **{snapshot.spent:g}** of 100" in page
    top = snapshot.curve()[-1].top_k
    assert f"top-3 mean **{number(top)} places**" in page
    pictures = [base64.b64decode(p) for p in re.findall(r"image/png;base64,([^)]*)", page)]
    assert len(pictures) == 6
    assert all(Image.open(io.BytesIO(p)).width > 500 for p in pictures)

    first = round_markdown(snapshot, 0)
    failed = [o for o in snapshot.of_round(0) if o.outcome.values is None]
    assert failed
    assert f"{len(failed)} of 18 queries of this round failed" in first
    drawings = re.findall(r"image/svg\+xml;base64,([^)]*)", page)
    best = snapshot.best(3)
    letters = ["".join(re.findall(r">(\w)</text>", _text(d))) for d in drawings[:3]]
    assert letters == [o.query.key for o in best]


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()
