"""What the README and the pages beside it promise, run."""

import json
import re
from pathlib import Path

import pytest

from tests.commands import mfal
from tests.support import ROOT, motif_settings

README = (ROOT / "README.md").read_text()
ENGINE = (ROOT / "docs" / "engine.md").read_text()


def block(first_line: str) -> str:
    """The code block that begins with this comment."""
    (found,) = re.findall(rf"```\w+\n({re.escape(first_line)}\n.*?)```", README, re.DOTALL)
    return str(found)


def test_a_problem_of_your_own_in_one_file(tmp_path: Path) -> None:
    for name in ("my_problem.py", "my_campaign.yaml"):
        (tmp_path / name).write_text(block(f"# {name}"))
    done = mfal("round", "my_campaign.yaml", "--no-prefect", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    # 20 x 1 + 10 x 5 for the design, 30 for the batch.
    assert "spent 100 of 200" in done.stdout
    assert (tmp_path / "data" / "mirror" / "ledger.db").is_file()


def test_every_make_target_in_the_readme_exists() -> None:
    named = set(re.findall(r"\bmake ([a-z-]+)", README)) - {"lint"}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named <= targets


def test_every_problem_has_the_campaigns_that_the_readme_says() -> None:
    (table,) = re.findall(r"^\| problem \|.*?\n\n", README, re.MULTILINE | re.DOTALL)
    problems = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row)}

    def of(folder: str) -> set[str]:
        return {path.stem for path in (ROOT / "configs" / folder).glob("*.yaml")}

    assert of("smoke") == problems
    assert of(".") == problems - {"ehrlich"}


def test_any_network_can_be_plugged_into_the_engine(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(import torch.*?)```", ENGINE, re.DOTALL)
    exec(compile(code, "engine.md", "exec"), {})
    drawn = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"\[('[ACGT]{6}'(, )?){5}\]", drawn), drawn


def test_a_sampler_with_a_loss_of_its_own_runs_a_campaign(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(# my_sampler.py.*?)```", ENGINE, re.DOTALL)
    (tmp_path / "my_sampler.py").write_text(code)
    sampler = {
        "name": "./my_sampler.py:RobustSampler",
        "options": {"train": {"steps": 10, "batch_size": 32}},
    }
    (tmp_path / "mine.yaml").write_text(json.dumps(motif_settings(tmp_path, sampler=sampler)))
    done = mfal("round", "mine.yaml", "--no-prefect", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    # 12 x 1 + 6 x 3 for the design, 12 for the batch.
    assert "spent 42 of 100" in done.stdout


@pytest.mark.parametrize(
    "command", re.findall(r"^    mfal (verify [a-z].*?)(?: +#|$)", ENGINE, re.M)
)
def test_commands_of_the_engine_page(command: str, tmp_path: Path) -> None:
    arguments = command.split()
    # Shortened: what is tested is that the options exist.
    arguments += ["--trajectories", "64"]
    done = mfal(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "total variation" in done.stdout
