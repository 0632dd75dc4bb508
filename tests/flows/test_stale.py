"""Runs whose process was killed, and no later run comes to mark them."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.stale import PID
from tests.flows.servers import call, end_of, environment, serving, wait_for
from tests.support import ROOT, motif_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Held:
    """A round from the shell whose oracle answers only when it is let."""

    def __init__(self, folder: Path, name: str, port: int) -> None:
        self.gate, self.calls = folder / f"{name}.gate", folder / f"{name}.calls"
        options = {"gate": str(self.gate), "calls": str(self.calls)}
        settings = motif_settings(folder, name=name, problem__options=options, scoring__workers=1)
        settings["scoring"]["timeout_seconds"] = 600.0
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(settings))
        self.name = f"{name} round 1"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mfal", "round", f"{name}.yaml"],
            cwd=folder,
            env=environment(folder, MFAL_UI_PORT=str(port), PYTHONPATH=str(ROOT)),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def run(self, api: str) -> Any:
        """Its run, as the server has it."""
        of_it = {"flow_runs": {"name": {"any_": [self.name]}}}
        (found,) = wait_for("run", lambda: call(f"{api}/flow_runs/filter", of_it))
        return found


def test_whoever_serves_marks_a_run_whose_process_is_gone_and_no_other(tmp_path: Path) -> None:
    with serving(tmp_path, motif_settings(tmp_path)) as api:
        port = int(api.rsplit(":", 1)[1].partition("/")[0])
        alive, dead = runs = [Held(tmp_path, name, port) for name in ("alive", "dead")]
        try:
            for held in runs:  # no run begins after the other's end, and marks it
                wait_for("question", held.calls.exists)
                wait_for("note of its process", lambda held=held: PID in held.run(api)["labels"])
            dead.kill()
            ended = end_of(api, dead.run(api), 120)
            assert (ended["state_type"], ended["state"]["message"]) == (
                "CRASHED",
                "Its process is gone; the next run finishes what it began.",
            )
            assert alive.run(api)["state_type"] == "RUNNING"
            alive.gate.touch()
            assert alive.process.wait(timeout=120) == 0
            assert alive.run(api)["state_type"] == "COMPLETED"
        finally:
            for held in runs:
                if held.process.poll() is None:
                    held.kill()
