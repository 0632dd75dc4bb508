"""Prefect's real server and a real serving process, for tests to start and to ask."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import yaml

from tests.support import ROOT

TRAINING_LINE = re.compile(
    r"step 10 of 10: loss \S+, validation \S+, log Z \S+, ESS \d+ %, \d+ modes?$"
)
BUSY = 503  # the server's database is locked by another request


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT")}
    return kept | {"PREFECT_HOME": str(folder / "prefect")} | more


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def python(folder: Path, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in a folder, where Prefect has to start a server of its own."""
    nowhere = {"MFAL_UI_PORT": str(free_port()), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(folder, **(nowhere | more)),
        capture_output=True,
        text=True,
        timeout=240,
    )


def call(url: str, body: Any = None, method: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = Request(url, data=data, headers=headers, method=method)
    while True:
        try:
            with urlopen(request, timeout=30) as response:
                return json.loads(response.read() or b"null")
        except HTTPError as error:
            if error.code != BUSY:
                raise
            time.sleep(1)  # as Prefect's own client does; the test's time limit ends it


def wait_for(what: str, found: Any, seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if result := found():
                return result
        except OSError:
            pass  # the server is not up yet
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.5)


@contextmanager
def running(folder: Path, module: str, port: int) -> Iterator[None]:
    with (folder / f"{module}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=folder,
            env=environment(folder, MFAL_UI_PORT=str(port), PYTHONPATH=str(ROOT)),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def serving(folder: Path, *campaigns: dict[str, Any]) -> Iterator[str]:
    """A server, and a process that serves these campaigns in a folder: address of the API."""
    (folder / "configs").mkdir(exist_ok=True)
    for settings in campaigns:
        (folder / "configs" / f"{settings['name']}.yaml").write_text(yaml.safe_dump(settings))
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    with running(folder, "flows.ui", port):
        wait_for("server", lambda: call(f"{api}/health"))
        with running(folder, "flows.serve", port):
            deployed = f"{api}/deployments/filter"
            wait_for("deployments", lambda: len(call(deployed, {})) == len(campaigns))
            yield api


def flow_process(folder: Path) -> psutil.Process:
    """The process that runs a served round in this folder."""
    for process in psutil.process_iter(["cmdline"]):
        is_flow = any("spawn_main" in part for part in process.info["cmdline"] or [])
        if is_flow and process.cwd() == str(folder):
            return process
    raise OSError("there is none yet")


def create_run(api: str, campaign: str = "motif") -> str:
    """Where to ask for a run of a campaign."""
    of_it = {"deployments": {"name": {"any_": [campaign]}}}
    (deployment,) = wait_for("deployment", lambda: call(f"{api}/deployments/filter", of_it))
    return f"{api}/deployments/{deployment['id']}/create_flow_run"


def end_of(api: str, run: Any, seconds: float = 180) -> Any:
    """A run when it has ended, well or not."""

    def ended() -> Any:
        state = call(f"{api}/flow_runs/{run['id']}")
        return state["state_type"] in ("COMPLETED", "FAILED", "CRASHED") and state

    return wait_for("end of the run", ended, seconds)


def run_to_its_end(
    api: str, parameters: dict[str, Any], deployed: str = "motif", **more: Any
) -> Any:
    # The server answers 503 while its database is busy, and is asked again.
    asked = {"parameters": parameters} | more
    return end_of(api, wait_for("run", lambda: call(create_run(api, deployed), asked)))
