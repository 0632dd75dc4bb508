import io
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from mfal.campaign import Campaign, open_campaign
from mfal.config import CampaignConfig
from mfal.gfn.base import TrainMetrics
from mfal.metrics import CurvePoint, curve
from mfal.progress import STAGES, Silent, training_line
from mfal.terminal import (
    BATCH_ROWS,
    INDENT,
    TerminalProgress,
    batch_table,
    best_table,
    curve_table,
    show_rounds,
    show_state,
)
from mfal.types import Observation, Outcome, Query

COST = {"half": 1.0, "whole": 3.0}
KINDS = {0: "initial"}


def observed(
    key: str, at: str, value: float | None, *, number: int = 1, error: str = "it broke"
) -> Observation:
    outcome = Outcome(None, error, 0.0) if value is None else Outcome((value,), None, 0.0)
    return Observation(Query(key, at), outcome, number, COST[at], f"motif {at}")


def recorder(width: int = 100) -> Console:
    return Console(record=True, width=width, file=io.StringIO(), force_terminal=False)


def text(renderable: RenderableType) -> str:
    console = recorder()
    console.print(renderable)
    return console.export_text()


def table_rows(rendered: str) -> list[list[str]]:
    """The cells of a table's body, line by line."""
    return [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in rendered.splitlines()
        if line.startswith("│")
    ]


@pytest.fixture
def campaign(motif: Callable[..., CampaignConfig]) -> Iterator[Campaign]:
    with open_campaign(motif(top_k=2)) as opened:
        yield opened


@pytest.fixture
def played(campaign: Campaign) -> Campaign:
    """The initial design and a round, answered by hand."""
    rounds = [
        [observed("CCCCCCCC", "half", 2, number=0), observed("GGGGGGGG", "whole", 2.5, number=0)],
        [
            observed("ACGTCCCC", "half", 4),
            observed("ACGTACGA", "whole", 7),
            observed("AAAAAAAA", "whole", None, error="RuntimeError: no fold"),
            observed("ACGTACGT", "whole", 8),
        ],
    ]
    for number, batch in enumerate(rounds):
        campaign.store.begin_round(
            number,
            [(o.query, o.cost) for o in batch],
            kind="batch" if number else "initial",
            seed=1,
            config={},
            versions={},
            record={},
        )
        campaign.store.record([(o.query, o.outcome, o.backend) for o in batch])
        campaign.store.finish_round(number)
    return campaign


def test_names_and_errors_with_brackets_are_shown_as_they_are(campaign: Campaign) -> None:
    batch = [
        observed("c1cc[nH]c1", "whole", 3),
        observed("[C][#C][=C]", "whole", None, error="FileNotFoundError: [/tmp/x]"),
    ]
    rendered = text(batch_table(campaign, batch, 1))
    for shown in ("c1cc[nH]c1", "[C][#C][=C]", "FileNotFoundError: [/tmp/x]"):
        assert shown in rendered


def test_a_batch_shows_the_target_first_then_the_best(campaign: Campaign) -> None:
    batch = [
        observed("CCCCCCCC", "half", 4),
        observed("AAAAAAAA", "whole", None, error="RuntimeError: no fold"),
        observed("GGGGGGGG", "whole", 2.346),
        observed("ACGTACGT", "whole", 8),
        observed("TTTTTTTT", "half", None),
    ]
    rendered = text(batch_table(campaign, batch, 3))
    assert "Round 3: 3 whole, 2 half, cost 11" in rendered
    assert "agreement (places)" in rendered
    assert table_rows(rendered) == [
        ["ACGTACGT", "whole", "8.00", "3"],
        ["GGGGGGGG", "whole", "2.35", "3"],
        ["AAAAAAAA", "whole", "failed: RuntimeError: no fold", "3"],
        ["CCCCCCCC", "half", "4.00", "1"],
        ["TTTTTTTT", "half", "failed: it broke", "1"],
    ]


def test_where_less_is_better_the_least_comes_first(campaign: Campaign) -> None:
    class Downhill:
        fidelities = campaign.problem.oracle.fidelities
        objectives = (replace(campaign.objective, goal="min", unit="kcal/mol"),)
        backends = campaign.problem.oracle.backends
        evaluate = campaign.problem.oracle.evaluate

    downhill = replace(campaign, problem=replace(campaign.problem, oracle=Downhill()))
    batch = [observed("AAAAAAAA", "whole", -1.5), observed("CCCCCCCC", "whole", -9.25)]
    rendered = text(batch_table(downhill, batch, 1))
    assert [row[2] for row in table_rows(rendered)] == ["-9.25", "-1.50"]
    assert "agreement (kcal/mol)" in rendered
    points = curve(
        [replace(o, round=number) for number, o in enumerate(batch)], "whole", downhill.objective, 1
    )
    rows = table_rows(text(curve_table(downhill, points, KINDS)))
    assert [row[3:] for row in rows] == [["-1.500", "▁"], ["-9.250", "█"]]


def test_a_long_batch_is_cut_and_says_by_how_much(campaign: Campaign) -> None:
    batch = [observed(f"{i:08}", "half", float(i)) for i in range(BATCH_ROWS + 5)]
    rows = table_rows(text(batch_table(campaign, batch, 1)))
    assert len(rows) == BATCH_ROWS + 1
    assert rows[0][0] == f"{BATCH_ROWS + 4:08}"
    assert rows[-1][0] == "and 5 more"
    whole = table_rows(text(batch_table(campaign, batch[:BATCH_ROWS], 1)))
    assert len(whole) == BATCH_ROWS and whole[-1][0] == f"{0:08}"


def test_an_empty_batch_is_a_table_without_rows(campaign: Campaign) -> None:
    rendered = text(batch_table(campaign, [], 4))
    assert "Round 4: " in rendered and table_rows(rendered) == []


def test_the_best_are_shown_with_their_structures(campaign: Campaign) -> None:
    drawn = replace(campaign.problem, describe=lambda key: f"(({key[:2].lower()}..))")
    leaders = [observed("ACGTACGT", "whole", 8, number=2), observed("GCGTACGT", "whole", 7)]
    rendered = text(best_table(replace(campaign, problem=drawn), leaders))
    assert "Best 2 measured at whole" in rendered
    assert table_rows(rendered) == [
        ["ACGTACGT", "8.00", "2"],
        ["((ac..))", "", ""],
        ["GCGTACGT", "7.00", "1"],
        ["((gc..))", "", ""],
    ]


def test_without_structures_the_key_says_it_all(campaign: Campaign) -> None:
    rendered = text(best_table(campaign, [observed("ACGTACGT", "whole", 8)]))
    assert table_rows(rendered) == [["ACGTACGT", "8.00", "1"]]
    assert "Best 0 measured at whole" in text(best_table(campaign, []))


def test_the_curve_grows_as_it_improves(campaign: Campaign) -> None:
    points = [
        CurvePoint(0, 12.5, None, 0),
        CurvePoint(1, 24, 2.0, 3),
        CurvePoint(2, 36, 3.0, 6),
        CurvePoint(3, 48, 9.0, 9),
    ]
    rendered = text(curve_table(campaign, points, KINDS))
    assert "Top-2 mean against cost" in rendered
    assert "measured at whole" in rendered and "top-2 (places)" in rendered
    assert table_rows(rendered) == [
        ["initial design", "12.5", "0", "", ""],
        ["round 1", "24", "3", "2.000", "▁"],
        ["round 2", "36", "6", "3.000", "▂"],
        ["round 3", "48", "9", "9.000", "█"],
    ]


@pytest.mark.parametrize(
    ("points", "bars"),
    [([], []), ([CurvePoint(0, 1, None, 0)], [""]), ([CurvePoint(0, 1, -3.0, 1)], ["█"])],
)
def test_a_curve_of_hardly_anything(
    campaign: Campaign, points: list[CurvePoint], bars: list[str]
) -> None:
    assert [row[-1] for row in table_rows(text(curve_table(campaign, points, KINDS)))] == bars


def test_a_state_says_what_was_spent_by_whom_and_where_it_is(played: Campaign) -> None:
    console = recorder()
    show_state(console, played)
    shown = console.export_text()
    assert "Best 2 measured at whole" in shown
    rows = table_rows(shown)
    assert rows[:2] == [["ACGTACGT", "8.00", "1"], ["ACGTACGA", "7.00", "1"]]
    assert rows[2:] == [
        ["initial design", "4", "1", "2.500", "▁"],
        ["round 1", "14", "3", "7.500", "█"],
    ]
    assert "spent 14 of 100 on 6 queries (1 failed)" in shown
    assert "half: motif half" in shown and "whole: motif whole" in shown
    # In one piece, however long, so that it can be copied.
    assert f"ledger: {played.store.location}\n" in shown
    assert played.store.location.endswith("ledger.db")


def test_rounds_are_shown_each_with_its_own_batch(played: Campaign) -> None:
    console = recorder()
    show_rounds(console, played, [1])
    shown = console.export_text()
    assert "Round 1: 3 whole, 1 half, cost 10" in shown
    assert "failed: RuntimeError: no fold" in shown
    assert "Round 0" not in shown and "CCCCCCCC" not in shown
    assert shown.index("Round 1") < shown.index("Best 2") < shown.index("Top-2")
    show_rounds(console, played, [0, 1])
    both = console.export_text()
    assert both.index("Round 0: 1 whole, 1 half, cost 4") < both.index("Round 1")


def test_the_surrogate_and_the_batch_are_shown_by_fidelity(campaign: Campaign) -> None:
    batch = {
        "half": {"queries": 3, "share": 0.75, "cost": 3.0, "cost_share": 0.5},
        "whole": {"queries": 1, "share": 0.25, "cost": 3.0, "cost_share": 0.5},
    }
    figures = {"n": 12, "spearman": 0.876, "rmse": 1.2345, "nlpd": 1.5, "coverage_90": 0.917}
    record: dict[str, object] = {
        "held_out": {"half": figures, "whole": figures | {"n": 2, "spearman": None}},
        "correlations": {"half": 0.9},
        "batch": batch,
        "fallback": "ucb: gibbon does not tell candidates apart",
    }
    for number, kind in enumerate(("initial", "batch")):
        campaign.store.begin_round(
            number, [], kind=kind, seed=1, config={}, versions={}, record=record if number else {}
        )
        campaign.store.finish_round(number)
    console = recorder(120)
    show_state(console, campaign)
    shown = console.export_text()
    assert "Round 1: the surrogate on candidates left out, and the batch" in shown
    assert "ucb: gibbon does not tell candidates apart" in shown
    rows = [row for row in table_rows(shown) if row[0] in ("half", "whole")]
    assert rows == [
        ["whole", "2", "", "1.23", "1.50", "92%", "", "1", "50%"],
        ["half", "12", "0.88", "1.23", "1.50", "92%", "0.900", "3", "50%"],
    ]


def test_an_empty_campaign_can_be_shown(campaign: Campaign) -> None:
    console = recorder()
    show_rounds(console, campaign, [])
    assert "spent 0 of 100 on 0 queries (0 failed)" in console.export_text()


def play(console: Console) -> None:
    with TerminalProgress(console) as progress:
        progress.begin_round(0, "initial")
        progress.spent(0, 120)
        progress.stage("score")
        progress.scored(18, 18)
        progress.begin_round(7, "batch")
        for stage in ("fit", "train"):
            progress.stage(stage)
        for step in (1, 150, 300):
            progress.train(TrainMetrics(step, 300, 12.5 / step, 1.25, -3.0, 0.875, step))
        progress.stage("propose")
        progress.stage("score")
        progress.scored(0, 25)
        progress.scored(12, 25)
        progress.spent(42, 120)


def test_progress_shows_the_stage_the_training_the_counts_and_the_cost() -> None:
    console = recorder()
    play(console)
    shown = console.export_text(clear=False)
    lines = shown.splitlines()
    assert lines[0].split() == ["round", "7", *STAGES]
    train, metrics, score, cost = (re.split(r"\s{2,}", line.strip()) for line in lines[1:5])
    assert train[0] == "train" and score[0] == "score" and cost[0] == "cost"
    assert "300/300" in lines[1] and "12.5" not in shown
    assert metrics == ["loss 0.0417, validation 1.25, log Z -3, ESS 88 %, 300 modes"]
    assert "12/25" in lines[3] and "oracle calls" in lines[3]
    assert "42/120" in lines[4] and "of the budget" in lines[4]
    # The stage that runs stands out from the others.
    styled = console.export_text(styles=True)
    assert "\x1b[7m score \x1b[0m" in styled
    assert styled.count("\x1b[7m") == 1 and "\x1b[2m train \x1b[0m" in styled


LINES = {
    "usual": TrainMetrics(120, 300, 0.4217, 0.5036, 3.2141, 0.871, 14),
    "wide": TrainMetrics(100, 300, 999.6, 2345.6, -123.456, 0.031, 4823),
}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("width", [80, 100])
def test_the_view_fits_a_terminal(width: int, line: str) -> None:
    console = recorder(width)
    with TerminalProgress(console) as progress:
        progress.begin_round(12, "batch")
        progress.stage("train")
        progress.train(LINES[line])
        progress.scored(12, 125)
        progress.spent(1042, 12000)
    shown = [line.rstrip() for line in console.export_text().splitlines()]
    assert len(shown) == 5 and max(map(len, shown)) <= width
    _, train, metrics, score, cost = shown
    # Every word is there, below the bar it belongs to, and the columns of the bars agree.
    assert metrics == " " * train.index("━") + training_line(LINES[line])
    assert {row.index("━") for row in (train, score, cost)} == {train.index("━")}
    assert len({row.index("0:00:0") for row in (train, score, cost)}) == 1
    assert "12/125" in score and "oracle calls" in score
    assert "1042/12000" in cost and "of the budget" in cost


def test_in_a_narrow_terminal_what_is_said_of_training_goes_on_below() -> None:
    console = recorder(50)
    with TerminalProgress(console) as progress:
        progress.begin_round(1, "batch")
        progress.train(LINES["wide"])
    metrics = [line.rstrip() for line in console.export_text().splitlines()][2:]
    assert len(metrics) == 2 and max(map(len, metrics)) <= 50
    assert " ".join(line.strip() for line in metrics) == training_line(LINES["wide"])
    assert all(line == " " * INDENT + line.strip() for line in metrics)


def test_where_nobody_watches_a_view_is_written_once_and_without_escapes() -> None:
    console = recorder()
    play(console)
    written = console.file
    assert isinstance(written, io.StringIO)
    assert "\x1b" not in written.getvalue()
    assert written.getvalue().count("round 7") == 1
    assert written.getvalue().endswith("\n")


def test_a_new_round_starts_with_bars_of_its_own() -> None:
    console = recorder()
    with TerminalProgress(console) as progress:
        progress.begin_round(1, "batch")
        progress.train(TrainMetrics(300, 300, 0.5, 0.5, 0.0, 0.5, 1))
        progress.scored(25, 25)
        progress.spent(60, 120)
        progress.begin_round(2, "batch")
        progress.stage("fit")
    shown = console.export_text()
    assert "round 2" in shown and "round 1" not in shown
    assert "60/120" in shown  # what is spent is the campaign's
    assert "loss" not in shown and "25/25" not in shown


def test_the_view_ends_with_a_round_that_breaks() -> None:
    console = recorder()
    with pytest.raises(KeyboardInterrupt), TerminalProgress(console) as progress:
        progress.begin_round(0, "initial")
        raise KeyboardInterrupt
    assert "initial design" in console.export_text()
    console.print("and on")
    assert console.export_text() == "and on\n"
    with TerminalProgress(console) as again:  # a console takes one live view at a time
        again.begin_round(1, "batch")
    assert "round 1" in console.export_text()


def test_progress_may_be_silent(capsys: pytest.CaptureFixture[str]) -> None:
    silent = Silent()
    silent.begin_round(0, "initial")
    silent.stage("fit")
    silent.train(TrainMetrics(1, 2, 0.0, 0.0, 0.0, 1.0, 0))
    silent.scored(1, 2)
    silent.spent(1, 2)
    assert capsys.readouterr() == ("", "")
