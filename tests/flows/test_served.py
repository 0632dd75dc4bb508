"""A served campaign under the real Prefect: its schedule, its form, its runs."""

import math
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psutil
import pytest

from mfal.campaign import open_campaign
from mfal.config import parse_config
from mfal.differences import compare
from mfal.round import run_rounds
from tests.flows.servers import (
    TRAINING_LINE,
    call,
    create_run,
    end_of,
    flow_process,
    python,
    run_to_its_end,
    running,
    serving,
    wait_for,
)
from tests.support import motif_settings

EVIL = """
from prefect import flow

@flow
def campaign_flow(campaign="x", rounds=1, budget=None):
    return 1
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server and a serving process: address of the API, folder.

    They have the campaign motif, which is scheduled, another one, which is not, and a file that is
    no campaign.
    """
    folder = tmp_path_factory.mktemp("served")
    (folder / "configs").mkdir()
    (folder / "configs" / "broken.yaml").write_text("name: broken\n")
    scheduled = motif_settings(folder, schedule={"cron": "0 3 * * *"})
    with serving(folder, scheduled, motif_settings(folder, name="unscheduled")) as api:
        yield api, folder


def test_a_broken_file_is_named_and_stops_no_other(served: tuple[str, Path]) -> None:
    log = served[1] / "flows.serve.log"
    said = wait_for("names", lambda: "serving" in (text := log.read_text()) and text)
    assert "not served: configs/broken.yaml" in said and "serving motif, unscheduled on" in said


@pytest.mark.parametrize("what", ["deployment", "flow-run"])
def test_the_command_line_of_prefect_lists_what_is_served(
    served: tuple[str, Path], what: str
) -> None:
    api, folder = served
    done = python(folder, "-m", "prefect", what, "ls", PREFECT_API_URL=api)
    assert done.returncode == 0, done.stderr
    assert what == "flow-run" or "campaign/unscheduled" in done.stdout


def test_a_cron_deployment_gets_scheduled_runs(served: tuple[str, Path]) -> None:
    api, _ = served

    def by_schedule() -> list[Any]:
        return [run for run in call(f"{api}/flow_runs/filter", {}) if run["auto_scheduled"]]

    scheduled = wait_for("scheduled run", by_schedule)
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
    ("changes", "reason"),
    [
        ({"rounds": "many"}, "field 'rounds'"),
        ({"rounds": 0}, "field 'rounds'"),
        ({"budget": -1}, "field 'budget'"),
        ({"budget": 1e101}, "field 'budget'"),
        ({"budget": math.inf}, "field 'budget'"),
        ({"campaign": "another"}, "field 'campaign'"),
        ({"campaign": "../motif"}, "field 'campaign'"),
        ({"campaign": "os:system"}, "field 'campaign'"),
        # Prefect's own ways to have a value made on the server.
        (
            {"campaign": {"__prefect_kind": "jinja", "template": "{{ ''.__class__.__mro__ }}"}},
            "field 'campaign'",
        ),
        ({"campaign": {"$ref": {"block_document_id": "1"}}}, "field 'campaign'"),
        # Parameters that do not exist.
        ({"round": 2}, "Additional properties are not allowed ('round' was unexpected)"),
        ({"config": "../motif.yaml"}, "'config' was unexpected"),
        ({"entrypoint": "os:system"}, "'entrypoint' was unexpected"),
    ],
    ids=str,
)
def test_bad_parameters_are_refused_before_anything_runs(
    served: tuple[str, Path], changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(HTTPError) as refused:
        call(create_run(served[0]), {"parameters": {"campaign": "motif"} | changes})
    assert refused.value.code == 409
    answer = refused.value.read().decode()
    assert "Validation failed" in answer and reason in answer


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://127.0.0.1:{port}", True),
        ("http://localhost:{port}", True),
        ("http://a.page", False),
    ],
)
def test_a_browser_lets_only_the_own_page_change_runs(
    served: tuple[str, Path], origin: str, allowed: bool
) -> None:
    port = urlsplit(served[0]).port
    headers = {"Origin": origin.format(port=port), "Access-Control-Request-Method": "PATCH"}
    request = Request(f"{served[0]}/deployments/filter", headers=headers, method="OPTIONS")
    try:
        with urlopen(request, timeout=30) as answer:
            let_in = answer.headers.get("Access-Control-Allow-Origin")
    except HTTPError as refused:
        let_in = refused.headers.get("Access-Control-Allow-Origin")
    assert let_in == (headers["Origin"] if allowed else None)


@pytest.mark.parametrize("pretence", [{"Origin": "http://a.page"}, {"Host": "a.page:4200"}])
def test_what_another_page_sends_without_asking_leave_is_refused(
    served: tuple[str, Path], pretence: dict[str, str]
) -> None:
    # A browser sends such a body at once, and the server takes one of no type for JSON.
    to_all = f"{served[0]}/deployments/filter"
    untyped = Request(to_all, b"{}", {"Content-Type": ""} | pretence, method="POST")
    with pytest.raises(HTTPError) as refused:
        urlopen(untyped, timeout=30)
    assert refused.value.code == 403


@pytest.mark.slow
@pytest.mark.parametrize(
    ("campaign", "reason"),
    [
        ("another", "there is no campaign 'another' in configs/"),
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


def test_code_that_the_api_names_is_never_run(served: tuple[str, Path], tmp_path: Path) -> None:
    api, _ = served
    evil, shell = tmp_path / "evil.py", tmp_path / "shell"
    evil.write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\n" + EVIL)
    script = {"prefect.deployments.steps.run_shell_script": {"script": f"touch {shell}"}}
    of_it = {"deployments": {"name": {"any_": ["unscheduled"]}}}
    (deployment,) = call(f"{api}/deployments/filter", of_it)
    changes = {"entrypoint": f"{evil}:campaign_flow", "path": "/", "pull_steps": [script]}
    call(f"{api}/deployments/{deployment['id']}", changes, "PATCH")
    final = run_to_its_end(api, {"campaign": "unscheduled", "rounds": 1}, "unscheduled")
    assert final["state"]["message"].startswith("rounds finished: 1;")
    assert not shell.exists() and not (tmp_path / "imported").exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_who_stops_to_serve_ends_what_runs(tmp_path: Path, how: signal.Signals) -> None:
    gate, calls = tmp_path / "gate", tmp_path / "calls"
    options = {"gate": str(gate), "calls": str(calls)}
    settings = motif_settings(tmp_path, problem__options=options, scoring__workers=1)
    settings["scoring"]["timeout_seconds"] = 600.0
    with serving(tmp_path, settings) as api:
        run = call(create_run(api), {"parameters": {"campaign": "motif", "rounds": 1}})
        wait_for("question", calls.exists)
        flow = flow_process(tmp_path)
        asking = flow.children(recursive=True)
        server = flow.parent()
        assert asking and server is not None
        server.send_signal(how)
        assert server.wait(60) == 0
        ended = call(f"{api}/flow_runs/{run['id']}")["state"]
        assert (ended["type"], ended["message"]) == ("CANCELLED", "Runner is shutting down.")
        # So nothing is planned until somebody serves again.
        assert call(f"{api}/deployments/filter", {})[0]["paused"]
    said = (tmp_path / "flows.serve.log").read_text()
    assert "Traceback" not in said and "never awaited" not in said, said
    assert not [process for process in (flow, *asking) if process.is_running()]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_who_serves_again_leaves_paused_what_was_paused(tmp_path: Path) -> None:
    scheduled = {"cron": "0 3 * * *"}
    names = ["served", "paused", "off", "paused-later"]
    with serving(
        tmp_path, *(motif_settings(tmp_path, name=n, schedule=scheduled) for n in names)
    ) as api:
        port = urlsplit(api).port or 0
        pause(api, "paused")
        (schedule,) = deployed(api)["off"]["schedules"]
        address = f"{api}/deployments/{deployed(api)['off']['id']}/schedules/{schedule['id']}"
        call(address, {"active": False}, "PATCH")
        server = process_of(tmp_path, "flows.serve")
        server.terminate()
        server.wait(60)
        stopped = deployed(api)
        assert all(d["paused"] for d in stopped.values())
        assert {n for n in names if "not served" in stopped[n]["tags"]} == {*names} - {"paused"}

        with running(tmp_path, "flows.serve", port):
            log = tmp_path / "flows.serve.log"
            said = "paused, and left so until it is resumed on the page: off, paused\n"
            wait_for("word of what is paused", lambda: said in log.read_text())
            again = deployed(api)
            assert {n for n in names if again[n]["paused"]} == {"paused"}
            assert {n for n in names if not again[n]["schedules"][0]["active"]} == {"off"}
            assert not any("not served" in d["tags"] for d in again.values())
            pause(api, "paused-later")
        assert "not served" not in deployed(api)["paused-later"]["tags"]
        assert "Traceback" not in log.read_text()


def deployed(api: str) -> dict[str, Any]:
    """The deployments of the campaigns, by name."""
    return {found["name"]: found for found in call(f"{api}/deployments/filter", {})}


def pause(api: str, campaign: str) -> None:
    call(f"{api}/deployments/{deployed(api)[campaign]['id']}/pause_deployment", {}, "POST")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_who_stops_to_serve_when_the_server_is_gone_says_so(tmp_path: Path) -> None:
    log = tmp_path / "flows.serve.log"
    with serving(tmp_path, motif_settings(tmp_path)) as api:
        wait_for("word that it serves", lambda: "serving motif" in log.read_text())
        server, serves = process_of(tmp_path, "flows.ui"), process_of(tmp_path, "flows.serve")
        server.kill()
        serves.terminate()
        serves.wait(60)
    page = api.removesuffix("/api")
    assert f"{page} does not answer: no campaign could be paused there" in log.read_text()
    assert "Traceback" not in log.read_text()


def process_of(folder: Path, module: str) -> psutil.Process:
    children = psutil.Process().children()
    (found,) = [p for p in children if module in command(p) and p.cwd() == str(folder)]
    return found


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
@pytest.mark.timeout(300)
def test_a_run_that_is_refused_says_why(tmp_path: Path) -> None:
    settings = motif_settings(tmp_path)
    with open_campaign(parse_config(settings)) as campaign:
        run_rounds(campaign, 1)
    with serving(tmp_path, settings | {"seed": 7}) as api:
        final = run_to_its_end(api, {"campaign": "motif", "rounds": 1})
    assert (final["name"], final["state_type"]) == ("motif", "FAILED")
    assert "LedgerError" in final["state"]["message"] and "seed" in final["state"]["message"]


@pytest.mark.slow
def test_a_budget_for_one_run_ends_it_early(served: tuple[str, Path]) -> None:
    api, folder = served
    final = run_to_its_end(api, {"campaign": "motif", "rounds": None, "budget": 55})
    assert final["state_type"] == "COMPLETED"
    with sqlite3.connect(folder / "data" / "motif" / "ledger.db") as ledger:
        (spent,) = ledger.execute("SELECT sum(cost) FROM outcomes").fetchone()
    assert spent == 55


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_served_run_asks_its_oracle_on_dask(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    gate, calls = tmp_path / "gate", tmp_path / "calls"
    settings = motif_settings(
        tmp_path,
        problem__options={"gate": str(gate), "calls": str(calls)},
        scoring={"runner": "dask", "workers": 2, "timeout_seconds": 600.0},
    )
    with serving(tmp_path, settings) as api:
        run = call(create_run(api), {"parameters": {"campaign": "motif", "rounds": 1}})
        wait_for("question", calls.exists)
        flow = flow_process(tmp_path)
        asking = [p for p in flow.children(recursive=True) if "mfal.scoring.worker" in command(p)]
        assert asking and all(p.ppid() != flow.pid for p in asking)  # but a worker's of Dask
        gate.touch()
        assert end_of(api, run)["state_type"] == "COMPLETED"
    alone = parse_config(settings | {"data_dir": str(tmp_path / "alone"), "scoring": {}})
    with open_campaign(alone) as campaign:
        run_rounds(campaign, 1)
    assert compare(parse_config(settings), alone).first is None


def command(process: psutil.Process) -> str:
    return " ".join(process.cmdline())


def training_lines(api: str, flow_run: str) -> list[str]:
    # Prefect sends logs in batches, the last of them after the run has ended.
    lines = call(f"{api}/logs/filter", {"logs": {"flow_run_id": {"any_": [flow_run]}}})
    said = [line["message"] for line in lines if line["name"] == "mfal.learn"]
    return [line for line in said if TRAINING_LINE.match(line)]
