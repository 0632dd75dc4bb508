"""What the environment and the server say, where it is not what was meant."""

import os
import subprocess
import sys
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun

from flows.settings import origins, ui_port
from flows.stale import PID, STARTED, SYSTEM, is_dead
from mfal import process
from mfal.errors import ConfigError
from tests.support import ROOT


@pytest.mark.parametrize("given", ["abc", "", "0", "65536", "-1", "4200.5"])
def test_what_is_no_port_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MFAL_UI_PORT", given)
    with pytest.raises(ConfigError, match=f"MFAL_UI_PORT: '{given}' is no port"):
        ui_port()


def test_the_server_says_so_without_a_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.ui"],
        cwd=ROOT,
        env=os.environ | {"MFAL_UI_PORT": "abc"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: MFAL_UI_PORT: 'abc' is no port"), done.stderr


def test_pages_of_the_own_port_may_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MFAL_UI_PORT", "4321")
    assert origins() == "http://127.0.0.1:4321,http://localhost:4321"


HERE = process.system() or ""
GONE = 2**22 + 1  # no process has this number


@pytest.mark.skipif(not HERE, reason="the system does not tell about processes")
@pytest.mark.parametrize(
    ("labels", "dead"),
    [
        ({SYSTEM: HERE, PID: GONE, STARTED: "1"}, True),
        ({SYSTEM: HERE, PID: os.getpid(), STARTED: process.started(os.getpid())}, False),
        ({SYSTEM: "another", PID: GONE, STARTED: "1"}, False),
        ({SYSTEM: HERE, PID: "abc", STARTED: "1"}, False),
        ({SYSTEM: HERE, STARTED: "1"}, False),
        ({SYSTEM: HERE, PID: GONE}, False),
        ({}, False),
    ],
)
def test_labels_that_somebody_else_wrote_mark_nobody(labels: dict[str, Any], dead: bool) -> None:
    run = FlowRun(flow_id=uuid4(), labels=labels)
    assert is_dead(run, HERE) is dead
