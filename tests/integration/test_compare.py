"""Comparisons on the motif problem, with real processes and ledgers."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mfal.campaign import open_campaign
from mfal.cli.compare import compare_in_terminal
from mfal.compare import at_cost, curves, final, load_comparison, run_comparison, runs_of
from mfal.compare.figures import COLUMNS
from mfal.compare.runs import DONE
from mfal.errors import ConfigError, MfalError, NoLedgerError
from mfal.ledger.reading import Ledger, read_ledger
from tests.integration.comparisons import ledgers, written

PATIENCE = 240.0  # seconds


def command(path: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "mfal", "compare", str(path)], stdout=subprocess.DEVNULL
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison that came to its end."""
    path = written(tmp_path_factory.mktemp("undisturbed"), problem__options={})
    run_comparison(load_comparison(path, ["processes=2"]))
    return path


@pytest.fixture(scope="module")
def table(undisturbed: Path) -> pd.DataFrame:
    """Its curves."""
    return curves(load_comparison(undisturbed))


@pytest.mark.slow
def test_kill_9_loses_nothing_and_the_same_command_finishes(
    undisturbed: Path, tmp_path: Path
) -> None:
    options = {"calls": str(tmp_path / "calls.txt"), "slow": 0.1}
    scoring = {"chunk_size": 2}  # by worker processes
    path = written(tmp_path, without=["evolution"], problem__options=options, scoring=scoring)
    process = command(path)
    try:
        deadline = time.monotonic() + PATIENCE
        while len(calls(tmp_path)) < 12:
            assert time.monotonic() < deadline, "the comparison did not get that far"
            time.sleep(0.02)
    finally:
        process.kill()  # kill -9, the process alone: its workers see to themselves
        process.wait()
    time.sleep(1.0)
    before = calls(tmp_path)
    time.sleep(1.0)
    assert calls(tmp_path) == before, "workers outlived the comparison"

    assert command(path).wait(timeout=PATIENCE) == 0
    expected = ledgers(undisturbed)
    assert ledgers(path) == {name: expected[name] for name in ledgers(path)}
    comparison = load_comparison(path)
    assert all(run.look().is_done for run in runs_of(comparison))
    table = pd.read_csv(comparison.folder / "curves.csv")
    again = pd.DataFrame(json.loads((comparison.folder / "curves.json").read_text()))
    assert tuple(table.columns) == tuple(again.columns) == COLUMNS
    expected_table = curves(load_comparison(undisturbed)).query("method != 'evolution'")
    assert len(table) == len(again) == len(expected_table)


def agreement(word: str) -> int:
    """The motif problem's value at the target."""
    return sum(a == b for a, b in zip(word, "ACGTACGT", strict=True))


def calls(folder: Path) -> list[str]:
    path = folder / "calls.txt"
    return path.read_text().splitlines() if path.exists() else []


def test_what_has_ended_is_not_run_again(undisturbed: Path) -> None:
    comparison = load_comparison(undisturbed)
    marks = [run.config.folder / DONE for run in runs_of(comparison)]
    before = [mark.stat().st_mtime_ns for mark in marks]
    run_comparison(comparison)
    assert [mark.stat().st_mtime_ns for mark in marks] == before


def test_each_ledger_is_opened_once_to_see_that_all_have_ended(
    undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison = load_comparison(undisturbed, ["measure.outside=false"])
    opened: list[str] = []

    def noted(url: str, campaign: str, identity: dict[str, Any]) -> Ledger:
        opened.append(campaign)
        return read_ledger(url, campaign, identity)

    monkeypatch.setattr("mfal.compare.runs.read_ledger", noted)
    names = [run.name for run in run_comparison(comparison)]
    assert opened == names


def test_methods_share_the_design_of_a_seed(undisturbed: Path) -> None:
    design = {
        name: [row[3] for row in rows if row[0] == 0 and row[4] == "whole"]
        for name, rows in ledgers(undisturbed).items()
    }
    for seed in (0, 1):
        assert design[f"breeding-{seed}"] == design[f"random-{seed}"]
        assert design[f"evolution-{seed}"] == design[f"random-{seed}"][:6]
    assert design["random-0"] != design["random-1"]
    price = {
        name: sum(row[5] for row in rows if row[0] == 0)
        for name, rows in ledgers(undisturbed).items()
    }
    assert set(price.values()) == {30.0}


def test_curves_are_what_the_ledgers_say(undisturbed: Path, table: pd.DataFrame) -> None:
    runs = runs_of(load_comparison(undisturbed))
    for run in runs:
        mine = table[(table["method"] == run.method) & (table["seed"] == run.seed)]
        value = mine.set_index(["round", "metric"])["value"]
        with open_campaign(run.config, to_read=True) as campaign:
            rows = campaign.store.observations()
        for number in {o.round for o in rows}:
            until = [o for o in rows if o.round <= number]
            whole = sorted(agreement(o.query.key) for o in until if o.query.fidelity == "whole")
            whole.reverse()
            assert value[number, "top_k"] == pytest.approx(sum(whole[:10]) / len(whole[:10]))
            assert value[number, "top_k_scaled"] == pytest.approx(2 * value[number, "top_k"] + 1)
            keys = sorted({o.query.key for o in until})
            true = sorted(map(agreement, keys), reverse=True)
            assert value[number, "published_top_k"] == pytest.approx(sum(true[:10]) / 10)
            assert value[number, "published_n"] == len(keys)
            assert value[number, "n_target"] == len(whole)
            assert mine[mine["round"] == number]["cost"].unique() == [sum(o.cost for o in until)]
        assert mine["design"].unique() == [30.0]
    # Scoring outside the budget charged no run.
    assert {run.look().spent for run in runs} == {54.0}
    assert set(at_cost(table, 0.0)["n_target"]) == {6.0, 10.0}


def test_of_no_runs_there_are_no_curves(undisturbed: Path) -> None:
    comparison = load_comparison(undisturbed)
    first = runs_of(comparison)[:1]
    assert curves(comparison, []).empty
    assert set(curves(comparison, first)["method"]) == {first[0].method}


def test_what_is_recommended_at_the_end_is_known_one_round_late(table: pd.DataFrame) -> None:
    table = table[table["method"] == "evolution"]
    last = table["round"].max()
    found = table[table["metric"] == "recommended_top_k"].set_index(["seed", "round"])["value"]
    rounds = [(seed, number) for seed in (0, 1) for number in range(last)]
    assert sorted(found.index) == rounds
    ends = final(table)["recommended_top_k"]
    assert [ends["evolution", seed] for seed in (0, 1)] == [found[s, last - 1] for s in (0, 1)]


def test_a_model_beats_random_from_the_same_start(table: pd.DataFrame) -> None:
    last = at_cost(table, 30.0)["published_top_k"]
    assert all(last["evolution", seed] > last["random", seed] for seed in (0, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("measure.pairs=edditt", r"compare.yaml: measure.pairs: similarity 'edditt' is not known"),
        ("measure.similarity={name: edit, options: {x: 1}}", r"measure.similarity: .*x"),
        ("measure.pairs=tanimoto", r"compare.yaml: measure.pairs: tanimoto cannot compare"),
        ("measure.similarity=./odd.py:Odd", r"similarity: ./odd.py:Odd cannot compare .* gives 2"),
        ("measure.similarity=./odd.py:Raising", r"cannot compare .*KeyError: 'A'.*odd.py, line 9"),
    ],
)
def test_a_measure_that_cannot_compare_is_refused_before_anything_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("odd.py").write_text(ODD)
    with pytest.raises(MfalError, match=message):
        run_comparison(load_comparison(written(tmp_path), [change]))
    assert not calls(tmp_path)


ODD = """from mfal.similarity import Similarity

class Odd(Similarity):
    def __call__(self, a, b):
        return 2

class Raising(Similarity):
    def __call__(self, a, b):
        return {}["A"]
"""


def test_designs_of_unequal_cost_are_refused_before_anything_is_spent(tmp_path: Path) -> None:
    path = written(tmp_path)
    change = "methods.random={fidelities: [whole], initial.queries: {whole: 6}}"
    comparison = load_comparison(path, [change])
    with pytest.raises(ConfigError, match=r"do not cost the same: .*breeding 30.*random 18"):
        run_comparison(comparison)
    assert not calls(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("campaign.seed=3", "campaign.seed is not for a comparison to set"),
        ("campaign.ledger=postgresql+psycopg://host/db", "campaign.ledger is not for a comp"),
        ("methods.random={data_dir: there}", "methods.random: data_dir is not for a comparison"),
        ("methods.random={top_k: 3}", "methods.random: top_k is not that of breeding"),
        ("methods.random={problem.options.x: 3}", "methods.random: problem is not that of bree"),
        (
            "methods.random={batch.cots: 3}",
            "--set: methods.random: batch.cots: there is no such field",
        ),
        ("methods.random={batch.cost.x: 3}", "methods.random: cost is not a section"),
        ("seeds=[]", "seeds: .*one entry or more"),
        ("methods.random={surrogate: null, sampler: gflownet}", "learns from a reward"),
        (
            "campaign.features=[kmes]",
            r"compare.yaml: methods.breeding: features.0: features 'kmes' is not known",
        ),
        (
            "methods.random={surrogate: null, sampler: randm}",
            r"compare.yaml: methods.random: sampler: sampler 'randm' is not known",
        ),
        ("seeds=[0, 0]", "--set: seeds: .*each seed once"),
        ("seeds=['2']", r"--set: seeds\.0: Input should be a valid integer, got '2'"),
        ("processes=true", "--set: processes: Input should be a valid integer, got True"),
        ("measure.mode='5'", r"--set: measure\.mode: Input should be a valid number, got '5'"),
        (
            "measure.reach=['5']",
            r"--set: measure\.reach\.0: Input should be a valid number, got '5'",
        ),
        ("sedes=[0]", "--set: sedes: there is no such field"),
        ("campaign.budget.total=much", "--set: campaign: budget.total: Input should be a valid"),
        ("methods.random.batch.cost=-1", "--set: methods.random: batch.cost: Input should be"),
    ],
)
def test_a_wrong_comparison_says_where(tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(MfalError, match=message):
        run_comparison(load_comparison(written(tmp_path), [change]))
    assert not calls(tmp_path)


def test_a_wrong_file_is_named_with_its_method(tmp_path: Path) -> None:
    path = written(tmp_path)
    text = path.read_text()
    path.write_text(text.replace("surrogate: null", "surogate: null", 1))
    with pytest.raises(ConfigError) as raised:
        load_comparison(path)
    said = f"{path}: methods.breeding: surogate: there is no such field"
    assert raised.value.message == said
    path.write_text(text.replace("budget:", "bugdet:"))
    with pytest.raises(ConfigError) as raised:
        load_comparison(path)
    assert sorted(raised.value.message.splitlines()) == [
        f"{path}: campaign: budget: is missing",
        f"{path}: campaign: bugdet: there is no such field",
    ]
    path.write_text(text.replace("seeds:", "sedes:"))
    with pytest.raises(ConfigError) as raised:
        load_comparison(path)
    assert sorted(raised.value.message.splitlines()) == [
        f"{path}: sedes: there is no such field",
        f"{path}: seeds: is missing",
    ]


def test_showing_a_part_writes_nothing(
    undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare_in_terminal(undisturbed, [])  # runs nothing: it came to its end
    folder = load_comparison(undisturbed).folder
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {folder / "curves.csv", folder / "curves.json"} <= {*kept}
    capsys.readouterr()
    compare_in_terminal(undisturbed, ["seeds=[1]"], run=False)
    shown = capsys.readouterr().out
    assert "median" in shown and "curves:" not in shown
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == kept


def test_there_is_nothing_to_show_before_it_runs(tmp_path: Path) -> None:
    with pytest.raises(NoLedgerError, match="nothing of it has run"):
        compare_in_terminal(written(tmp_path), [], run=False)
    assert not (tmp_path / "data").exists()
    (tmp_path / "data" / "compare" / "motif").mkdir(parents=True)  # as an interrupted start leaves
    with pytest.raises(NoLedgerError, match="nothing of it has run"):
        compare_in_terminal(written(tmp_path), [], run=False)
