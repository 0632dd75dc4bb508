"""What the environment and the server say, where it is not what was meant."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.local import Flows
from flows.settings import apply_defaults, is_healthy, origins, ui_port
from flows.stale import PID, STARTED, SYSTEM, is_dead
from mfal import process
from mfal.campaign import open_campaign
from mfal.config import CampaignConfig
from mfal.errors import ConfigError, MfalError
from mfal.progress import Progress
from tests.flows.servers import free_port
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


def test_who_serves_is_told_which_server_does_not_answer() -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    done = subprocess.run(
        [sys.executable, "-m", "flows.serve"],
        cwd=ROOT,
        env=os.environ | {"PREFECT_API_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: no Prefect server answers at {url}"), done.stderr
    assert "PREFECT_API_URL" in done.stderr


@contextmanager
def prefect_of(version: str) -> Iterator[str]:
    """A server that says it is of this version and well: address of its API."""
    answers = {"/api/health": True, "/api/admin/version": version}

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answers[self.path]).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


def test_a_server_of_another_version_is_refused(
    motif: Callable[..., CampaignConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    with prefect_of("2.20.0") as url:
        monkeypatch.setenv("PREFECT_API_URL", url)
        with (
            open_campaign(motif()) as campaign,
            temporary_settings({PREFECT_API_URL: url}),
            pytest.raises(MfalError, match=r"cannot be used: .* server: 2\.20\.0") as refused,
        ):
            Flows().run(campaign, 1, Progress())
        assert "make ui" in refused.value.hint
        assert not campaign.store.observations()


def test_a_proxy_for_others_does_not_stand_before_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with prefect_of("3.8.0") as url:
        for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
        # As in a new process: `urlopen` remembers the proxies that it saw first.
        monkeypatch.setattr("urllib.request._opener", None)
        assert not is_healthy(url)
        apply_defaults()
        assert is_healthy(url)


@pytest.mark.parametrize(
    ("answer", "is_prefect"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nt", False),
        (b"SSH-2.0-OpenSSH\r\n", False),
        (b"", False),
    ],
)
def test_another_program_on_the_port_is_no_server(answer: bytes, is_prefect: bool) -> None:
    def reply() -> None:
        asking, _ = listener.accept()
        with asking:
            asking.recv(1024)
            asking.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=reply)
        thread.start()
        assert is_healthy(f"http://127.0.0.1:{listener.getsockname()[1]}/api") is is_prefect
        thread.join()


def test_whom_the_environment_asks_directly_is_asked_so_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "example.org, localhost")
    for _ in range(2):
        apply_defaults()
        assert os.environ["NO_PROXY"] == "example.org,localhost,127.0.0.1"
        assert os.environ["no_proxy"] == "example.org,localhost,127.0.0.1"


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
