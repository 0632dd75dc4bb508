"""The lines of a round that is running."""

import io
import re

import pytest
from rich.console import Console

from mfal.cli.terminal import (
    INDENT,
    TerminalProgress,
)
from mfal.gfn.base import TrainMetrics
from mfal.progress import STAGES, Progress, training_line


def recorder(width: int = 100) -> Console:
    return Console(record=True, width=width, file=io.StringIO(), force_terminal=False)


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


@pytest.mark.parametrize(
    ("spent", "budget", "shown"),
    [(300.0, 1200.0, " 300/1200 "), (0.9, 2.5, "0.9/2.5 "), (748760.5, 2.5e6, "748760.5/2500000 ")],
)
def test_the_bar_says_what_was_spent_in_full(spent: float, budget: float, shown: str) -> None:
    console = recorder()
    with TerminalProgress(console) as progress:
        progress.spent(spent, budget)
    assert shown in console.export_text()


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


def test_nothing_is_left_of_a_view_in_which_no_round_began() -> None:
    console = recorder()
    with TerminalProgress(console):
        pass
    assert console.export_text().strip() == ""


def test_progress_may_be_silent(capsys: pytest.CaptureFixture[str]) -> None:
    silent = Progress()
    silent.begin_round(0, "initial")
    silent.stage("fit")
    silent.train(TrainMetrics(1, 2, 0.0, 0.0, 0.0, 1.0, 0))
    silent.scored(1, 2)
    silent.spent(1, 2)
    assert capsys.readouterr() == ("", "")
