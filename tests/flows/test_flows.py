"""Rounds under the real Prefect: its ephemeral server, and one that runs with schedules."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import yaml

from mfal.campaign import open_campaign
from mfal.config import parse_config
from mfal.round import run_rounds
from tests.flows.servers import (
    call,
    create_run,
    environment,
    free_port,
    python,
    run_to_its_end,
    running,
    serving,
    wait_for,
)
from tests.support import ROOT, motif_settings

# Asks a server on the same database for what it shows of the only run.
READ_LOGS = """
import flows
from prefect import get_client
from prefect.client.schemas.filters import LogFilter

with get_client(sync_client=True) as client:
    (run,) = client.read_flow_runs(sort="ID_DESC", limit=10)
    found = LogFilter(flow_run_id={"any_": [run.id]})
    for line in client.read_logs(found, limit=200, offset=0):
        print(line.level, line.name, line.message)
"""
TRAINING_LINE = re.compile(
    r"step 10 of 10: loss \S+, validation \S+, log Z \S+, ESS \d+ %, \d+ modes?$"
)

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
        (flow,) = history.execute("SELECT name, state_type FROM flow_run").fetchall()
        tasks = history.execute("SELECT name, state_type FROM task_run").fetchall()
    assert flow == ("motif round 1", "COMPLETED")
    assert {name.rpartition("-")[0] for name, _ in tasks} == {
        "fit",
        "train",
        "propose",
        "score",
        "append",
    }
    assert {state for _, state in tasks} == {"COMPLETED"}

    logged = python(tmp_path, "-c", READ_LOGS)
    assert logged.returncode == 0, logged.stderr
    lines = [line for line in logged.stdout.splitlines() if line.startswith("20 mfal.learn ")]
    assert len(lines) == 1 and TRAINING_LINE.search(lines[0]), logged.stdout

    hosts = {line.split(" ", 1)[1] for line in contacts.read_text().splitlines()}
    assert hosts & LOOPBACK
    assert hosts <= LOOPBACK, hosts


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


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server and a serving process with one scheduled campaign: address of the API, folder."""
    folder = tmp_path_factory.mktemp("served")
    with serving(folder, motif_settings(folder, schedule={"cron": "0 3 * * *"})) as api:
        yield api, folder


def test_a_cron_deployment_gets_scheduled_runs(served: tuple[str, Path]) -> None:
    api, _ = served
    scheduled = wait_for("scheduled run", lambda: call(f"{api}/flow_runs/filter", {}))
    assert {run["state_type"] for run in scheduled} == {"SCHEDULED"}
    assert {run["next_scheduled_start_time"][11:16] for run in scheduled} == {"03:00"}
    assert {run["parameters"]["campaign"] for run in scheduled} == {"motif"}


def test_the_page_is_served_on_loopback_and_calls_its_own_port(served: tuple[str, Path]) -> None:
    api, _ = served
    settings = call(f"{api.removesuffix('/api')}/ui-settings")
    assert settings["api_url"] == api
    port = int(api.rsplit(":", 1)[1].partition("/")[0])
    listening = {
        address
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        for address, state in [(line.split()[1], line.split()[3])]
        if state == "0A" and int(address.split(":")[1], 16) == port
    }
    assert {a.split(":")[0] for a in listening} == {"0100007F"}  # 127.0.0.1


@pytest.mark.parametrize(
    "parameters",
    [
        {"campaign": "motif", "rounds": "many"},
        {"campaign": "motif", "rounds": 0},
        {"campaign": "motif", "budget": -1},
        {"campaign": "another"},
        {"campaign": "../motif"},
        {"campaign": "os:system"},
    ],
)
def test_bad_parameters_are_refused_before_anything_runs(
    served: tuple[str, Path], parameters: dict[str, Any]
) -> None:
    with pytest.raises(HTTPError) as refused:
        call(create_run(served[0]), {"parameters": parameters})
    assert refused.value.code == 409
    (field,) = [name for name, value in parameters.items() if value != "motif"]
    assert f"Validation failed for field '{field}'" in refused.value.read().decode()


@pytest.mark.parametrize(
    ("campaign", "reason"),
    [
        pytest.param(
            "another", "there is no campaign 'another' in configs/", marks=pytest.mark.slow
        ),
        ("../configs/motif", "String should match pattern"),
    ],
)
def test_a_run_refuses_them_too_where_a_client_has_told_the_server_not_to(
    served: tuple[str, Path], campaign: str, reason: str
) -> None:
    final = run_to_its_end(served[0], {"campaign": campaign}, enforce_parameter_schema=False)
    assert final["state_type"] == "FAILED"
    assert reason in final["state"]["message"]
    assert not [run for run in call(f"{served[0]}/task_runs/filter", {}) if is_of(run, final)]


def is_of(task_run: Any, flow_run: Any) -> bool:
    return bool(task_run["flow_run_id"] == flow_run["id"])


def test_a_run_from_the_api_is_a_round(served: tuple[str, Path]) -> None:
    api, folder = served
    final = run_to_its_end(api, {"campaign": "motif", "rounds": 1})
    assert final["state_type"] == "COMPLETED", (folder / "flows.serve.log").read_text()
    with sqlite3.connect(folder / "data" / "motif" / "ledger.db") as ledger:
        assert ledger.execute("SELECT number FROM rounds").fetchall() == [(0,), (1,)]
    wait_for("line on training", lambda: training_lines(api, final["id"]))
    assert "step 10 of 10" not in (folder / "flows.serve.log").read_text()

    assert final["name"] == "motif round 1"
    of_run = {"artifacts": {"flow_run_id": {"any_": [final["id"]]}}}
    published = call(f"{api}/artifacts/filter", of_run)
    told = {(a["key"], a["description"]) for a in published if a["type"] != "progress"}
    assert told == {
        ("motif-round", "motif, initial design"),
        ("motif-batch", "Every query of motif, initial design"),
        ("motif-round", "motif, round 1"),
        ("motif-batch", "Every query of motif, round 1"),
    }
    (live,) = [a for a in published if a["type"] == "progress"]
    assert live["data"] == 100
    assert live["description"].startswith("round 1: append; ")


@pytest.mark.slow
def test_a_budget_for_one_run_ends_it_early(served: tuple[str, Path]) -> None:
    api, folder = served
    final = run_to_its_end(api, {"campaign": "motif", "rounds": None, "budget": 55})
    assert final["state_type"] == "COMPLETED"
    with sqlite3.connect(folder / "data" / "motif" / "ledger.db") as ledger:
        (spent,) = ledger.execute("SELECT sum(cost) FROM outcomes").fetchone()
    assert spent == 55


def training_lines(api: str, flow_run: str) -> list[str]:
    # Prefect sends logs in batches, the last of them after the run has ended.
    lines = call(f"{api}/logs/filter", {"logs": {"flow_run_id": {"any_": [flow_run]}}})
    said = [line["message"] for line in lines if line["name"] == "mfal.learn"]
    return [line for line in said if TRAINING_LINE.match(line)]


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
