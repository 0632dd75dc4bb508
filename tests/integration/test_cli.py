"""The command line as a user meets it: exit codes, messages, nothing spent by mistake."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from mfal.cli.app import app
from mfal.errors import ConfigError
from tests.commands import mfal, mfal_process
from tests.integration.campaigns import Folder, play
from tests.support import ROOT, motif_settings


def write(folder: Path, settings: dict[str, Any]) -> str:
    path = folder / "campaign.yaml"
    path.write_text(yaml.safe_dump(settings))
    return str(path)


@pytest.mark.parametrize(
    ("change", "message", "remedy"),
    [
        ({"budjet": 1}, "campaign.yaml: budjet: there is no such field", "budget"),
        ({"budget__total": "lots"}, "campaign.yaml: budget.total", "Campaign units"),
        ({"costs": {"half": -1}}, "campaign.yaml: costs.half", "Cost per query"),
        ({"costs": {"third": 1}}, "campaign.yaml: costs: motif has no fidelity third", "half"),
        ({"problem": "aptamer"}, "problem 'aptamer' is not known", "built in: amp, branin, dna"),
        (
            {"problem": {"name": "dna", "options": {"backend": "nupack"}}},
            "NUPACK",
            "viennarna",
        ),
        ({"problem__options": {"sloow": 1}}, "has no option 'sloow'", "slow"),
        (
            {"sampler": {"name": "gflownet", "options": {"train": {"steps": -1}}}},
            "option train.steps",
            "batch_size",
        ),
        (
            {"sampler": {"name": "gflownet", "options": {"train": {"stepz": 1}}}},
            "option train.stepz",
            "it takes steps",
        ),
        ({"budget__total": 0.5}, "budget.total: 0.5 does not pay for a single query", "costs 1"),
        ({"budget__total": 20}, "the design costs 30", "raise the budget"),
        ({"batch": {"cost": 2}}, "batch.cost: 2 does not pay for a query at the target", "whole"),
        (
            {"sampler": {"name": "gflownet", "options": {"device": "cuda:9"}}},
            "sampler: option device: 'cuda:9' is not here",
            "use cpu",
        ),
        (
            {"surrogate": {"name": "gp", "options": {"device": "nowhere"}}},
            "surrogate: option device: 'nowhere' is not here",
            "use cpu",
        ),
        ({"data_dir": "/proc/mfal"}, "/proc/mfal", "data_dir"),
    ],
)
def test_bad_input_is_explained_and_nothing_is_spent(
    tmp_path: Path,
    refused: Callable[..., str],
    change: dict[str, Any],
    message: str,
    remedy: str,
) -> None:
    settings = motif_settings(tmp_path, **change)
    said = refused(tmp_path, "round", write(tmp_path, settings), "--no-prefect")
    assert message in said and remedy in said
    assert not (tmp_path / "calls.txt").exists()
    assert not list(tmp_path.glob("data/*/ledger.db"))


@pytest.mark.parametrize(
    ("change", "typed", "message"),
    [
        ("acquisition=ebi", "--set acquisition=ebi", "acquisition: acquisition 'ebi' is not known"),
        ("fidelities=[half]", "--set 'fidelities=[half]'", "fidelities: half leaves out"),
    ],
)
def test_a_part_that_was_changed_is_refused_with_the_change(
    tmp_path: Path, refused: Callable[..., str], change: str, typed: str, message: str
) -> None:
    path = write(tmp_path, motif_settings(tmp_path))
    said = refused(tmp_path, "round", path, "--no-prefect", "--set", change)
    assert f"{path} {typed}: {message}" in said


def test_a_round_shows_its_batch_the_best_the_curve_and_the_ledger(tmp_path: Path) -> None:
    settings = motif_settings(tmp_path, budget__total=42)
    done = mfal_process("round", write(tmp_path, settings), "--no-prefect", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for expected in (
        "motif half",  # the engine
        "Round 1:",
        "Best 8 measured at whole",
        "Top-10 mean against cost",
        "spent 42 of 42 on",
        "ledger.db",
    ):
        assert expected in done.stdout, done.stdout

    again = mfal("round", write(tmp_path, settings), "--no-prefect", cwd=tmp_path)
    assert again.returncode == 0
    assert "No further round: the budget is spent" in again.stdout

    report = mfal("report", write(tmp_path, settings), cwd=tmp_path)
    assert report.returncode == 0
    assert "spent 42 of 42 on" in report.stdout
    assert "Round 1: the surrogate on candidates left out, and the batch" in report.stdout


def test_the_schema_is_json_and_names_every_section(tmp_path: Path) -> None:
    schema = json.loads(mfal("schema", cwd=tmp_path).stdout)
    assert {"problem", "budget", "initial", "batch", "sampler"} <= set(schema["properties"])


def test_make_help_names_every_target(tmp_path: Path) -> None:
    done = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True)
    targets = "round campaign ui serve test test-all lint type bench report clean"
    assert all(f"make {target}" in done.stdout for target in targets.split())


@pytest.mark.parametrize("command", [["report"], ["ladder", "-n", "10"]])
def test_a_campaign_may_be_named(
    folder: Folder, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    play(folder.add("motif"))
    monkeypatch.chdir(folder.path)
    done = CliRunner().invoke(app, [*command, "motif"])
    assert done.exit_code == 0, done.output
    assert "motif: 10 random candidates" in done.output or "report: " in done.output
    wrong = CliRunner().invoke(app, [*command, "motiv"])
    assert isinstance(wrong.exception, ConfigError)
    assert wrong.exception.hint.startswith("there are motif")


def test_the_help_of_a_report_names_comparisons() -> None:
    done = CliRunner().invoke(app, ["report", "--help"], env={"COLUMNS": "200"})
    said = " ".join(done.output.split())
    assert "A campaign by its YAML file or its name, or a comparison by its YAML file." in said


def test_a_part_of_ones_own_may_call_anything_a_device(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from mfal.gfn.baselines import RandomSampler\n"
        "class Robot(RandomSampler):\n"
        "    def __init__(self, environment, fidelities, device: str = ''):\n"
        "        super().__init__(environment, fidelities)\n"
    )
    part = {"name": "./mine.py:Robot", "options": {"device": "robot-1"}}
    path = write(tmp_path, motif_settings(tmp_path, sampler=part, budget__total=42))
    done = mfal("round", path, "--no-prefect", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_names_and_units_in_brackets_are_shown_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "square.py").write_text(
        "from mfal.types import Fidelity, Objective, Outcome, Problem\n"
        "class Square:\n"
        "    fidelities = (Fidelity('hi[/h]', cost=1, level=1.0),)\n"
        "    objectives = (Objective('[b]rate', '[/h]', 'max'),)\n"
        "    backends = {'hi[/h]': 'square [1.0]'}\n"
        "    def evaluate(self, keys, fidelity):\n"
        "        return [Outcome((float(k.count('A')),), None, 0.0) for k in keys]\n"
        "def problem():\n"
        "    return Problem('sq[/]', Square(), environment)\n"
        "def environment():\n"
        "    from mfal.envs.sequence import SequenceEnvironment\n"
        "    return SequenceEnvironment(alphabet='AB', length=6)\n"
    )
    settings = {
        "name": "square",
        "problem": "./square.py:problem",
        "budget": {"total": 20},
        "initial": {"queries": {"hi[/h]": 6}},
        "batch": {"queries": 3},
        "features": [{"name": "kmers", "options": {"alphabet": "AB", "k": 1}}],
        "sampler": "random",
    }
    path = write(tmp_path, settings)
    for command in (["round", path, "--no-prefect"], ["best", path], ["report", path]):
        done = mfal(*command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "hi[/h]" in done.stdout
    assert "[b]rate ([/h])" in mfal("best", path, cwd=tmp_path).stdout
