"""The automations of docs/automations.yaml on a real server: what they tell, rerun and pause."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.flows.servers import (
    call,
    create_run,
    end_of,
    environment,
    flow_process,
    run_to_its_end,
    serving,
    wait_for,
)
from tests.support import ROOT, motif_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MAKE_BLOCK = """
import sys
from prefect.blocks.notifications import CustomWebhookNotificationBlock as Webhook

told = {"subject": "{{subject}}", "body": "{{body}}"}
print(Webhook(name="listener", url=sys.argv[1], json_data=told).save("listener"))
"""


@contextmanager
def listener() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Somebody who is told: the address, and what has come."""
    heard: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", heard
    finally:
        server.shutdown()
        server.server_close()


def automate(folder: Path, api: str, address: str) -> None:
    """Make the block and the automations as docs/prefect.md tells."""

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            env=environment(folder, PREFECT_API_URL=api),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    block = run("-c", MAKE_BLOCK, address).split()[-1]
    assert re.fullmatch(r"[0-9a-f-]{36}", block)
    told = (ROOT / "docs" / "automations.yaml").read_text()
    (folder / "automations.yaml").write_text(told.replace("NOTIFICATION_BLOCK", block))
    run("-m", "prefect", "automation", "create", "--from-file", "automations.yaml")
    assert len(call(f"{api}/automations/filter", {})) == 3


def deployment(api: str) -> Any:
    (found,) = call(f"{api}/deployments/filter", {})
    return found


def test_automations_tell_run_again_and_pause(tmp_path: Path) -> None:
    gate, calls = tmp_path / "gate", tmp_path / "calls"
    options = {"gate": str(gate), "calls": str(calls)}
    settings = motif_settings(tmp_path, problem__options=options, scoring__workers=1)
    settings["scoring"]["timeout_seconds"] = 600.0
    with listener() as (address, heard), serving(tmp_path, settings) as api:
        automate(tmp_path, api, address)

        def is_told(subject: str, body: str) -> Any:
            return [t for t in heard if t["subject"] == subject and re.search(body, t["body"])]

        killed = call(create_run(api), {"parameters": {"campaign": "motif", "rounds": 1}})
        wait_for("question", calls.exists)
        os.kill(wait_for("process", lambda: flow_process(tmp_path)).pid, signal.SIGKILL)
        assert end_of(api, killed)["state_type"] == "CRASHED"
        gate.touch()

        def again() -> Any:
            runs = call(f"{api}/flow_runs/filter", {"sort": "START_TIME_ASC"})
            return [run for run in runs if run["id"] != killed["id"]]

        (second,) = wait_for("second run", again)
        assert second["created_by"]["type"] == "AUTOMATION"
        ended = end_of(api, second)
        assert ended["state_type"] == "COMPLETED"
        assert ended["state"]["message"] == "rounds finished: 1; spent 42 of 100"
        wait_for("notice", lambda: is_told("motif round 1: Crashed", ""))
        wait_for(
            "notice", lambda: is_told("motif round 1: Completed", "^rounds finished: 1; spent")
        )

        assert not deployment(api)["paused"]
        for _ in range(2):  # with the crash, the third
            bad = run_to_its_end(api, {"campaign": "another"}, enforce_parameter_schema=False)
            assert bad["state_type"] == "FAILED"
        wait_for("notice", lambda: is_told("another: Failed", "there is no campaign 'another'"))
        wait_for("pause", lambda: deployment(api)["paused"])
        wait_for("four notices", lambda: len(heard) == 4)
