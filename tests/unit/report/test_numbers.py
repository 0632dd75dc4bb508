"""What the report says in numbers: in any unit, of every round, at whole steps, as configured."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from mfal.report.campaign_page import campaign_page
from mfal.report.diversity import diversity_curve
from mfal.report.figures import (
    asking_figure,
    choosing_figure,
    choosing_seconds,
    oracle_seconds,
)
from mfal.report.lead import lead
from mfal.report.learning_figures import loss_figure, samples_figure
from mfal.report.markdown import round_markdown
from mfal.report.page import Grid, Page
from mfal.report.snapshot import Snapshot
from mfal.report.tables import campaign_tables
from mfal.report.words import inline
from mfal.types import Objective
from tests.unit.report.changed import scaled, with_outcomes, with_second


def grid(page: Page, title: str, i: int = 0) -> Grid:
    """A table of a section."""
    return next(s.grids[i] for s in page.sections if s.title == title)


@pytest.mark.parametrize("factor", [1e-9, 1e-3, 1.0, 1e9])
def test_values_are_told_apart_in_any_unit(snapshot: Snapshot, factor: float) -> None:
    changed = scaled(snapshot, factor)
    curve = [p.top_k for p in changed.curve()]
    best = changed.best(1)[0].outcome.values
    assert best is not None
    said = lead(changed, diversity_curve(changed))
    found = re.search(r"from (\S+) to (\S+) places; the highest is (\S+),", said)
    assert found is not None
    assert [*map(float, found.groups())] == pytest.approx([curve[0], curve[-1], best[0]], rel=1e-3)
    shown = campaign_page(changed)
    means = [float(row[2]) for row in grid(shown, "What was found").rows]
    assert means == pytest.approx(curve, rel=1e-3)
    cards = [card for section in shown.sections for card in section.cards]
    assert float(cards[0].lines[0].removesuffix(" places")) == pytest.approx(best[0], rel=1e-3)

    page = round_markdown(changed, 2)
    found = re.search(r"top-3 mean \*\*(\S+) places", page)
    assert found is not None and float(found[1]) == pytest.approx(curve[-1], rel=1e-3)
    found = re.search(r"`\w+` \| whole \| (\S+) \|", page)  # the first of the best
    assert found is not None and float(found[1]) == pytest.approx(best[0], rel=1e-3)


def test_seconds_are_those_of_the_record_and_of_the_oracles(snapshot: Snapshot) -> None:
    recorded = [r.record["seconds"] for r in snapshot.diagnosed]
    assert choosing_seconds(snapshot)["train"] == [s["train"] for s in recorded]

    slow = with_outcomes(snapshot, lambda o: replace(o, seconds=10.0))
    asked = [len(slow.of_round(number)) for number in range(3)]
    by_round = zip(*oracle_seconds(slow).values(), strict=True)
    assert [sum(seconds) for seconds in by_round] == [10 * n for n in asked]

    shown = {name: (n, float(s)) for name, n, s in grid(campaign_page(slow), "Time").rows}
    assert {name: n for name, (n, _) in shown.items()} == {
        **dict.fromkeys(("fit", "train", "propose"), "2"),
        **dict.fromkeys(("oracle half", "oracle whole"), "3"),  # the initial design's, too
    }
    assert shown["oracle half"][1] + shown["oracle whole"][1] == 10 * sum(asked)


def test_what_workers_did_at_the_same_time_is_not_shown_as_wall_time(snapshot: Snapshot) -> None:
    figure = choosing_figure(snapshot)
    assert figure is not None
    (choosing,), (asking,) = figure.axes, asking_figure(snapshot).axes
    assert "wall time" in choosing.get_title(loc="left")
    assert "summed over workers" in asking.get_title(loc="left")
    stages = [text.get_text() for text in choosing.get_legend().get_texts()]
    assert stages == ["fit", "train", "propose"]


def test_training_is_shown_at_whole_steps_in_labels_of_one_size(snapshot: Snapshot) -> None:
    last = snapshot.rounds[-1]
    (first, *_) = last.record["training"]
    history = [first | {"step": step, "loss": 20.0 + step} for step in (10, 20, 30)]
    changed = replace(last, record=last.record | {"training": history})
    trained = replace(snapshot, rounds=(*snapshot.rounds[:-1], changed))
    loss, sample = loss_figure(trained), samples_figure(trained)
    assert loss is not None and sample is not None
    (losses,), (samples,) = loss.axes, sample.axes
    assert all(float(x).is_integer() for axes in (losses, samples) for x in axes.get_xticks())
    ticks = (*losses.yaxis.get_major_ticks(), *losses.yaxis.get_minor_ticks())
    assert {tick.label1.get_size() for tick in ticks} == {8.0}


def test_no_objective_is_left_out_of_the_table_of_observations(snapshot: Snapshot) -> None:
    both = with_second(snapshot, Objective("length", "m", "max"))
    read = campaign_tables(both)["observations"]
    assert list(read) == [
        *("round", "candidate", "fidelity", "agreement", "length"),
        *("cost", "seconds", "backend", "error"),
    ]
    assert (read["length"].dropna() == 2 * read["agreement"].dropna()).all()


@pytest.mark.parametrize("value", ["../runs", ".", "runs.", "a b", "...", {"x": [1]}, 20, None])
def test_a_setting_is_shown_as_it_would_be_typed(value: object) -> None:
    assert yaml.safe_load(inline(value)) == value
    assert "\n" not in inline(value)


def test_the_folder_of_the_data_is_shown_as_it_is(snapshot: Snapshot) -> None:
    config = snapshot.config.model_copy(update={"data_dir": Path("../runs")})
    page = campaign_page(replace(snapshot, config=config))
    shown = grid(page, "Configuration, versions, seeds")
    assert ("data_dir", "../runs") in shown.rows
