"""`mfal verify` as users run it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import mfal

OWN = '''
import torch
from mfal.envs.sequence import SequenceEnvironment
from mfal.verification.exercises import Exercise


def exercise():
    """Words of three letters, each A doubling the reward."""
    environment = SequenceEnvironment(alphabet="AB", length=3)
    doubled = lambda states: (states == 0).sum(dim=1) * torch.tensor(2.0).log()
    return Exercise("words", environment, doubled, 2_000)


def not_one():
    return "an exercise"
'''


def test_an_exercise_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text(OWN)
    arguments = ("./words.py:exercise", "--json", "--loss", "tb", "--plot", "words.svg")
    done = mfal("verify", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["exact_log_z"] == pytest.approx(3.295837, abs=1e-5)  # log 27
    assert verdict["total_variation"] < 0.01
    assert [(m["key"], round(m["exact"], 6)) for m in verdict["modes"]] == [("AAA", 0.296296)]
    assert verdict["settings"]["loss"] == "tb" and verdict["trajectories"] == 2_016
    assert (tmp_path / "words.svg").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "message", "remedy"),
    [
        (["nope"], "exercise 'nope' is not known", "tetris-4x4"),
        (["./words.py:not_one"], "gives a str", "mfal.verification.exercises.Exercise"),
        (["tetris", "--loss", "foo"], "train.loss", "it takes steps"),
        (["tetris", "--set", "train.stepz=1"], "train.stepz", "it takes steps"),
        (["tetris", "--set", "train.steps=1"], "train.steps follows", "--trajectories"),
        (["tetris", "--set", "training.x=1"], "no section 'training'", "train. or policy."),
        (["tetris", "--set", "train=5"], "train: 5 is no section", "train.NAME=VALUE"),
        (["tetris", "--set", "policy=null"], "policy: None is no section", "policy.NAME=VALUE"),
        (["tetris", "--set", "policy.kind=gru"], "reads sequences", "'mlp'"),
        (["tetris", "--plot", "a.bmp"], "unknown ending '.bmp'", ".svg"),
        (["tetris", "--plot", "no/a.png"], "there is no folder no", "create it"),
        # Nobody may write there, not even root.
        (["tetris", "--plot", "/proc/a.png"], "/proc/a.png: it cannot be written", "may be"),
        (["tetris", "--plot", "dir.png"], "dir.png: it cannot be written", "may be"),
    ],
)
def test_mistakes_are_named(
    arguments: list[str],
    message: str,
    remedy: str,
    tmp_path: Path,
    refused: Callable[..., str],
) -> None:
    (tmp_path / "words.py").write_text(OWN)
    (tmp_path / "dir.png").mkdir()
    said = refused(tmp_path, "verify", *arguments)
    assert message in said and remedy in said
