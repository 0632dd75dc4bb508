"""Rounds from the shell under the real Prefect: with a server of their own, and one that runs."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mfal.campaign import open_campaign
from mfal.config import parse_config
from mfal.differences import compare
from mfal.round import run_rounds
from tests.flows.servers import (
    TRAINING_LINE,
    call,
    environment,
    free_port,
    python,
    running,
    wait_for,
)
from tests.integration.campaigns import break_off
from tests.integration.test_answered import broken
from tests.support import ROOT, motif_settings

RUNS = """SELECT flow_run.name, type, message FROM flow_run
JOIN flow_run_state ON flow_run_state.id = flow_run.state_id"""
# Lines of a run, which is what Prefect's page shows of it.
LOGS = """SELECT level, log.name, message FROM log
JOIN flow_run ON flow_run.id = log.flow_run_id"""
LOOPBACK = {"127.0.0.1", "localhost", "::1", "None"}


def test_a_round_runs_as_a_flow_and_contacts_nobody(tmp_path: Path) -> None:
    config = tmp_path / "motif.yaml"
    config.write_text(yaml.safe_dump(motif_settings(tmp_path)))
    contacts = tmp_path / "contacts.txt"
    loopback = f"{Path(__file__).parent / 'loopback'}:{ROOT}"
    told = {"PYTHONPATH": loopback, "CONTACTS": str(contacts)}
    done = python(tmp_path, "-m", "mfal", "round", str(config), **told)
    assert done.returncode == 0, done.stderr
    assert "Round 1:" in done.stdout
    assert not done.stderr  # what goes to Prefect's page is not for the terminal
    assert "step 10 of 10" not in done.stdout

    with sqlite3.connect(tmp_path / "prefect" / "prefect.db") as history:
        (flow,) = history.execute(RUNS).fetchall()
        tasks = history.execute("SELECT name, state_type FROM task_run").fetchall()
        logged = history.execute(LOGS).fetchall()
    assert flow == ("motif round 1", "COMPLETED", "rounds finished: 1; spent 42 of 100")
    assert {name.rpartition("-")[0] for name, _ in tasks} == {
        "fit",
        "train",
        "propose",
        "score",
        "append",
    }
    assert {state for _, state in tasks} == {"COMPLETED"}

    lines = [text for level, name, text in logged if (level, name) == (20, "mfal.learn")]
    assert len(lines) == 1 and TRAINING_LINE.match(lines[0]), logged

    hosts = {line.split(" ", 1)[1] for line in contacts.read_text().splitlines()}
    assert hosts & LOOPBACK
    assert hosts <= LOOPBACK, hosts


@pytest.mark.slow
def test_what_was_begun_is_finished_as_a_flow_too(tmp_path: Path) -> None:
    whole = motif_settings(tmp_path, name="whole", problem__options={})
    broken = motif_settings(tmp_path, name="broken", problem__options={})
    (tmp_path / "configs").mkdir()
    for settings in (whole, broken):
        (tmp_path / "configs" / f"{settings['name']}.yaml").write_text(yaml.safe_dump(settings))

    with open_campaign(parse_config(whole)) as campaign:
        run_rounds(campaign, 1)
    break_off(parse_config(broken))
    done = python(tmp_path, "-m", "mfal", "resume")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()[-2:]
    assert first.startswith("broken: round 1 is finished: ")
    assert second == "whole: nothing to do: every round that was begun is finished"
    assert compare(parse_config(broken), parse_config(whole)).same
    with sqlite3.connect(tmp_path / "prefect" / "prefect.db") as history:
        (flow,) = history.execute(RUNS).fetchall()
        tasks = history.execute("SELECT name, state_type FROM task_run").fetchall()
        pages = history.execute("SELECT key FROM artifact").fetchall()
    assert flow[:2] == ("broken round 1", "COMPLETED")
    assert re.fullmatch(r"round 1: asked \d+ of \d+ queries; spent 42 of 100", flow[2]), flow
    assert {(name.rpartition("-")[0], state) for name, state in tasks} == {
        ("score", "COMPLETED"),
        ("append", "COMPLETED"),
    }
    assert {key for (key,) in pages} == {"broken-progress", "broken-round", "broken-batch"}


@pytest.mark.slow
def test_under_prefect_too_an_error_of_the_user_is_a_message(tmp_path: Path) -> None:
    options = {"warm_start": True, "train": {"steps": 2, "batch_size": 8}}
    settings = motif_settings(tmp_path, sampler={"name": "gflownet", "options": options})
    config = tmp_path / "motif.yaml"
    config.write_text(yaml.safe_dump(settings))
    with open_campaign(parse_config(settings)) as campaign:
        run_rounds(campaign, 1)
    asked = (tmp_path / "calls.txt").read_text()
    arguments = ["-m", "mfal", "round", str(config), "-s", "sampler.options.policy.hidden=8"]
    done = python(tmp_path, *arguments)
    assert done.returncode == 2
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: what the last round left for a warm start holds weights of")
    assert hint.startswith("hint:  ") and "sampler.options.warm_start: false" in hint
    assert (tmp_path / "calls.txt").read_text() == asked


@pytest.mark.slow
def test_a_run_in_which_everything_fails_has_failed(tmp_path: Path) -> None:
    config = tmp_path / "broken.yaml"
    config.write_text(yaml.safe_dump(broken(tmp_path)))
    done = python(tmp_path, "-m", "mfal", "campaign", str(config))
    assert done.returncode == 2
    assert "all 18 queries asked so far have failed, 18 with: RuntimeError: no l" in done.stderr
    with sqlite3.connect(tmp_path / "prefect" / "prefect.db") as history:
        states = history.execute("SELECT state_type FROM flow_run").fetchall()
    assert states == [("FAILED",)]


@pytest.mark.slow
def test_a_run_whose_process_was_killed_is_marked_by_the_next(tmp_path: Path) -> None:
    settings = motif_settings(tmp_path, problem__options__slow=0.5, scoring__workers=1)
    (tmp_path / "motif.yaml").write_text(yaml.safe_dump(settings))
    with running(tmp_path, "flows.ui", port := free_port()):
        api = f"http://127.0.0.1:{port}/api"
        wait_for("server", lambda: call(f"{api}/health"))
        environ = environment(tmp_path, MFAL_UI_PORT=str(port), PYTHONPATH=str(ROOT))
        command = [sys.executable, "-m", "mfal", "round", "motif.yaml"]
        killed = subprocess.Popen(
            command, cwd=tmp_path, env=environ, stdout=subprocess.DEVNULL, start_new_session=True
        )
        wait_for("answers", lambda: (tmp_path / "calls.txt").exists())
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        (left,) = call(f"{api}/flow_runs/filter", {})
        assert left["state_type"] == "RUNNING"
        subprocess.run(command, cwd=tmp_path, env=environ, check=True, timeout=240)
        states = {run["id"]: run["state"] for run in call(f"{api}/flow_runs/filter", {})}
    dead = states.pop(left["id"])
    assert (dead["type"], dead["message"]) == (
        "CRASHED",
        "Its process is gone; the next run finishes what it began.",
    )
    assert [state["type"] for state in states.values()] == ["COMPLETED"]
