"""A verdict for people: its tables, and its picture."""

from io import StringIO
from pathlib import Path

import matplotlib as mpl
import pytest
from rich.console import Console

from mfal.cli.verify import draw_verdict, show_verdict
from mfal.gfn.settings import TrainSettings
from mfal.verification import exercises
from mfal.verification.verify import Verdict, verify


@pytest.fixture(scope="module")
def trained() -> Verdict:
    return verify(exercises.tetris(), TrainSettings(steps=40, report_every=4), seed=3)


def test_the_tables_show_every_mode_and_figure(trained: Verdict) -> None:
    console = Console(width=80, record=True, file=StringIO())
    show_verdict(console, trained)
    text = console.export_text()
    for key, learnt, _ in trained.modes():
        line = next(line for line in text.splitlines() if line.startswith(key))
        assert f"{100 * learnt:.2f} %" in line and "10.00 %" in line
    assert f"{trained.total_variation:.5f}" in text
    assert f"{trained.log_z:.4f}" in text and "2.3026" in text


@pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_pictures(trained: Verdict, ending: str, magic: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"verdict.{ending}"
    draw_verdict(trained, path)
    data = path.read_bytes()
    assert data.startswith(magic) and len(data) > 10_000


def test_a_picture_leaves_the_callers_backend_alone(trained: Verdict, tmp_path: Path) -> None:
    before = mpl.get_backend()
    mpl.use("svg")
    try:
        draw_verdict(trained, tmp_path / "verdict.png")
        assert mpl.get_backend() == "svg"
    finally:
        mpl.use(before)
