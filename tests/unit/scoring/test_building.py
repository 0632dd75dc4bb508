"""A problem that cannot be built in a worker is the user's error, and nothing is charged."""

from pathlib import Path

import pytest

from mfal.errors import MfalError
from mfal.scoring.scorer import Scorer, scorer
from mfal.sections import Component, ScoringConfig
from mfal.types import Fidelity, Query
from tests.support import worker_processes

ONLY = [Fidelity("only", 1.0, 1.0)]


def test_a_problem_that_cannot_be_built_in_a_worker_is_the_users_error(tmp_path: Path) -> None:
    component = Component(name=f"{tmp_path}/is_not_there.py:problem")
    made = Scorer(component, ONLY, 1, ScoringConfig())
    made.ask([Query("x", "only")])
    with pytest.raises(MfalError, match=r"cannot be built in a worker process: .*is_not_there"):
        made.answers()
    made.close()
    assert worker_processes() == set()


def test_a_worker_that_dies_while_it_builds_is_the_users_error(tmp_path: Path) -> None:
    path = tmp_path / "dies_at_once.py"
    path.write_text("import os\ndef problem():\n    os._exit(5)\n")
    made = Scorer(Component(name=f"{path}:problem"), ONLY, 1, ScoringConfig())
    made.ask([Query("x", "only")])
    with pytest.raises(MfalError, match=r"it died \(exit code 5\)"):
        made.answers()
    made.close()


def test_a_problem_that_hangs_while_it_is_built_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mfal.scoring.processes.BUILDING", 1.0)
    path = tmp_path / "hangs_at_once.py"
    path.write_text("import time\ndef problem():\n    time.sleep(600)\n")
    config = ScoringConfig(timeout_seconds=1)
    with scorer(Component(name=f"{path}:problem"), ONLY, 1, config) as made:
        made.ask([Query("x", "only")])
        with pytest.raises(MfalError, match=r"in a worker process: that takes longer than 1 s"):
            made.answers()
        assert worker_processes() == set()
