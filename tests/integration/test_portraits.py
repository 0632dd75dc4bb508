"""Problems that cannot show a candidate: rounds, tables and reports go on without."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mfal.campaign import open_campaign
from mfal.cli.terminal import best_table
from mfal.portraits import shown
from mfal.report.campaign_page import campaign_page
from mfal.report.html import render
from mfal.report.markdown import round_markdown
from mfal.report.snapshot import Snapshot, take
from tests.integration.campaigns import Folder, play
from tests.problems.motif import problem
from tests.unit.cli.test_terminal import text

ODD = """
from dataclasses import replace
from tests.problems.motif import problem as motif

def problem():
    return replace(motif(), describe=lambda key: 1 / 0, draw=lambda key: 1 / 0)
"""


@pytest.fixture
def odd(folder: Folder, caplog: pytest.LogCaptureFixture) -> Iterator[Snapshot]:
    (folder.path / "odd.py").write_text(ODD)
    config = folder.add("odd", problem=f"{folder.path}/odd.py:problem")
    play(config)
    with open_campaign(config, to_read=True) as campaign:
        yield take(campaign)


def test_the_best_are_shown_without_what_fails(
    folder: Folder, odd: Snapshot, caplog: pytest.LogCaptureFixture
) -> None:
    code, out = folder.call("best", "odd")
    assert code == 0 and "ACGTACGT" in out and "ACGTACGA" in out
    (said,) = caplog.messages
    assert said.endswith(
        "describe: candidate 'ACGTACGT' is shown without it, as others may be: "
        "ZeroDivisionError: division by zero"
    )


def test_reports_are_made_without_what_fails(
    odd: Snapshot, caplog: pytest.LogCaptureFixture
) -> None:
    page = render(campaign_page(odd))
    assert "The best different candidates" in page and "ACGTACGT" in page
    assert '<div class="card">\n<img' not in page
    assert "| ACGTACGT |" in round_markdown(odd, 1).replace("`", "")
    assert len([said for said in caplog.messages if "describe: candidate 'ACGT" in said]) == 1
    assert len([said for said in caplog.messages if "draw: candidate 'ACGT" in said]) == 1
    assert len(caplog.messages) == 2


def test_what_is_no_text_is_left_out(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    numbers = replace(problem(), describe=lambda key: 3)  # type: ignore[arg-type, return-value]
    config = folder.add("motif")
    play(config)
    with open_campaign(config, to_read=True) as campaign:
        best = take(campaign).best(1)
        table = text(best_table(replace(campaign, problem=shown(numbers)), best))
    assert "ACGTACGT" in table
    assert caplog.messages[0].endswith("gives 3, no text")


def test_what_would_end_the_program_costs_its_text_only(caplog: pytest.LogCaptureFixture) -> None:
    def leave(key: str) -> str:
        sys.exit("no licence")

    kept = shown(replace(problem(), describe=leave))
    assert kept.describe is not None and kept.describe("ACGT") == kept.describe("AAAA") == ""
    (said,) = caplog.messages
    assert said.endswith("as others may be: SystemExit: no licence")


def test_what_no_file_can_hold_is_written_out() -> None:
    kept = shown(replace(problem(), describe=lambda key: f"{key}\ud800\0"))
    assert kept.describe is not None and kept.describe("ACGT") == "ACGT\\ud800\\x00"


def test_what_can_be_shown_is(tmp_path: Path) -> None:
    kept = shown(replace(problem(), describe=str.lower, draw=None))
    assert kept.describe is not None and kept.describe("ACGT") == "acgt"
    assert kept.draw is None
