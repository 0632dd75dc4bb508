"""Campaigns run by a serving process and a server, any of which may be killed and come back."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil

from tests.reliability.harness import PATIENCE, Campaign, below, environment, kill, until


def _quietly(ask: Callable[[], Any]) -> Any:
    """What a server answers; None while it is not there."""
    try:
        return ask()
    except OSError:
        return None


ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


class Served:
    """``make ui`` and ``make serve`` in a folder with the campaigns to be served."""

    def __init__(self, folder: Path, campaigns: list[Campaign]) -> None:
        self._folder = folder
        for campaign in campaigns:
            campaign.written(folder / "configs")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self._port = int(s.getsockname()[1])
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._run = ""
        self._flow_pid = 0

    def start(self, campaign: Campaign) -> None:
        self._server_up()
        self._up("flows.serve", lambda: bool(self._deployment(campaign)))
        body = {"parameters": {"campaign": campaign.name, "rounds": 1}}
        deployment = self._deployment(campaign)
        self._run = self._call(f"deployments/{deployment}/create_flow_run", body)["id"]

    def kill(self, target: str, campaign: Campaign, stage: str) -> None:
        flow = self._flow(campaign, stage)
        if target in ("flow", "flow and serve"):
            kill(flow)
        if target in ("serve", "flow and serve"):
            self._kill("flows.serve")
        if target == "server":
            self._kill("flows.ui")
            self._server_up()  # as whatever watches over a service would have it
        if target == "worker":
            kill(*below(flow, "mfal.scoring.worker"))

    def wait(self, campaign: Campaign) -> None:
        # A flow process without its server or whoever served it may end untold.
        if self._flow_pid:
            deadline = time.monotonic() + PATIENCE
            while not self._gone() and time.monotonic() < deadline:
                time.sleep(0.1)
            if not self._gone():  # one that has lost its server may take longer to give up
                kill(psutil.Process(self._flow_pid))
            self._flow_pid = 0
        else:
            until("end of the run", lambda: self._state() in ENDED)

    def close(self) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                there = psutil.Process(process.pid)
                kill(there, *there.children(recursive=True))
            process.wait()

    def _kill(self, module: str) -> None:
        process = self._processes[module]
        there = psutil.Process(process.pid)
        # A run that the serving process has begun is not part of it.
        kill(there, *(there.children(recursive=True) if module == "flows.ui" else []))
        process.wait()

    def _server_up(self) -> None:
        self._up("flows.ui", lambda: self._call("health") is True)

    def _up(self, module: str, ready: Callable[[], object]) -> None:
        """Start a process unless it runs, and wait until it is ready."""
        process = self._processes.get(module)
        if process is None or process.poll() is not None:
            with (self._folder / f"{module}.log").open("a") as log:
                self._processes[module] = subprocess.Popen(
                    [sys.executable, "-m", module],
                    cwd=self._folder,
                    env=environment(self._folder, MFAL_UI_PORT=str(self._port)),
                    stdout=log,
                    stderr=log,
                )
        until(f"{module} to be ready", lambda: bool(_quietly(ready)))

    def _flow(self, campaign: Campaign, stage: str) -> psutil.Process:
        process, parent = campaign.stopped() or (0, 0)
        self._flow_pid = parent if stage == "score" else process
        return psutil.Process(self._flow_pid)

    def _gone(self) -> bool:
        """Whether the process of the flow that was stopped is gone."""
        try:
            return psutil.Process(self._flow_pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    def _state(self) -> str:
        return str(_quietly(lambda: self._call(f"flow_runs/{self._run}")["state_type"]))

    def _deployment(self, campaign: Campaign) -> str:
        wanted = {"deployments": {"name": {"any_": [campaign.name]}}}
        found = self._call("deployments/filter", wanted)
        return found[0]["id"] if found else ""

    def _call(self, path: str, body: Any = None) -> Any:
        request = Request(
            f"http://127.0.0.1:{self._port}/api/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with urlopen(request, timeout=30) as response:
                    return json.loads(response.read() or b"null")
            except HTTPError as error:
                # What the server answers while its database is busy; its own clients ask again.
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                    raise
            time.sleep(0.5)
