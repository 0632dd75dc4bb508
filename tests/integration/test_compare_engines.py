"""Comparisons whose engine is replaced on the way, as by an upgrade of a library."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mfal.compare import (
    Comparison,
    curves,
    load_comparison,
    run_comparison,
    runs_of,
    score_outside,
)
from mfal.errors import LedgerError
from tests.integration.comparisons import play, written

# The engine is the machine's, and no option of the problem: a file says which it is.
PROBLEM = """
from pathlib import Path
from tests.problems import motif

def problem(calls: str):
    engine = Path(__file__).with_name("engine.txt").read_text()
    return motif.problem(calls=calls, backend=engine)
"""

MakeComparison = Callable[..., Comparison]


@pytest.fixture
def compared(tmp_path: Path) -> MakeComparison:
    """Comparisons of random search on both fidelities, all in one folder."""
    (tmp_path / "problem.py").write_text(PROBLEM)
    install(tmp_path, "old")
    path = written(tmp_path, problem__name=f"{tmp_path / 'problem.py'}:problem")
    methods = "methods={random: {surrogate: null, sampler: random}}"
    return lambda *changes: load_comparison(path, [methods, "seeds=[0]", *changes])


def install(folder: Path, engine: str) -> None:
    (folder / "engine.txt").write_text(engine)


def test_old_answers_outside_the_budget_are_not_mixed_with_new_ones(
    compared: MakeComparison, tmp_path: Path
) -> None:
    comparison = compared()
    play(comparison)
    score_outside(comparison)
    install(tmp_path, "new")
    shutil.rmtree(runs_of(comparison)[0].config.folder)
    play(comparison)
    said = r"answers at 'whole' are of different engines: new whole \(random-0\); old whole \(outsi"
    with pytest.raises(LedgerError, match=said):
        curves(comparison)
    assert not curves(compared("campaign.mix_backends=true")).empty


def test_what_was_answered_is_shown_and_scored_by_one_engine_alone(
    compared: MakeComparison, tmp_path: Path, calls: Callable[[], list[str]]
) -> None:
    comparison = compared()
    play(comparison)
    install(tmp_path, "new")
    asked = calls()
    said = r"'whole' are of different engines: old whole \(random-0\); new whole \(today\)"
    with pytest.raises(LedgerError, match=said):
        score_outside(comparison)
    assert calls() == asked
    install(tmp_path, "old")
    score_outside(comparison)
    assert len(calls()) > len(asked)
    table = curves(comparison)
    install(tmp_path, "new")  # nothing is left to ask of it
    score_outside(comparison)
    assert curves(comparison).equals(table)


def test_who_looks_asks_nobody(compared: MakeComparison, calls: Callable[[], list[str]]) -> None:
    comparison = compared()
    score_outside(comparison)  # of nothing
    play(comparison)
    asked = calls()
    before = curves(comparison)
    assert calls() == asked
    published = before["metric"].str.startswith(("published", "recommended"))
    assert not before.empty
    assert not published.any()
    score_outside(comparison)
    after = curves(comparison)
    there = after["metric"].str.startswith(("published", "recommended"))
    assert there.any()
    assert after[~there].reset_index(drop=True).equals(before)


def test_runs_of_different_engines_are_neither_shown_nor_gone_on_with(
    compared: MakeComparison, tmp_path: Path, calls: Callable[[], list[str]]
) -> None:
    first, second = compared(), compared("seeds=[1]")
    play(first)
    install(tmp_path, "new")
    asked = calls()
    said = r"'half' are of different engines: old half \(random-0\); new half \(random today\)"
    with pytest.raises(LedgerError, match=said):
        run_comparison(compared("seeds=[1, 0]"))
    assert calls() == asked
    play(second)
    said = r"'half' are of different engines: old half \(random-0\); new half \(random-1\)"
    for outside in ("true", "false"):
        with pytest.raises(LedgerError, match=said):
            curves(compared("seeds=[0, 1]", f"measure.outside={outside}"))
