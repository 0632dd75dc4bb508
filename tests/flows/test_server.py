"""Whom the server answers: programs of this machine and its own page, whatever a browser sends."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.server import OwnPageOnly
from tests.flows.servers import environment
from tests.support import ROOT

OWN = ("http://127.0.0.1:4200", "http://localhost:4200")


def is_asked(allowed: tuple[str, ...], kind: str = "http", **headers: str) -> bool:
    """Whether a request with these headers comes through."""
    asked, sent = [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope)

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("what is refused is not read")

    scope = {"type": kind, "headers": [(k.encode(), v.encode()) for k, v in headers.items()]}
    asyncio.run(OwnPageOnly(app, allowed)(scope, receive, send))
    assert asked or sent[0]["status"] == 403
    return bool(asked)


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_other_pages_ask_nothing(kind: str) -> None:
    for host in ("127.0.0.1:4200", "localhost:4200"):
        assert is_asked(OWN, kind, host=host)  # a program
        assert is_asked(OWN, kind, host=host, origin="http://localhost:4200")
        assert not is_asked(OWN, kind, host=host, origin="http://a.page")
        assert not is_asked(OWN, kind, host=host, origin="http://localhost:8000")
        assert not is_asked(OWN, kind, host=host, origin="null")
    # A name of a page's own that leads here.
    assert not is_asked(OWN, kind, host="a.page:4200")
    assert not is_asked(OWN, kind)


def test_pages_that_the_environment_allows_may_ask() -> None:
    allowed = ("https://lab.example",)
    assert is_asked(allowed, host="lab.example", origin="https://lab.example")
    assert is_asked(allowed, host="127.0.0.1:4200")
    assert not is_asked(allowed, host="localhost:4200", origin="http://localhost:4200")
    assert is_asked(("*",), host="a.page", origin="http://a.page")


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "flows.ui"],
            cwd=tmp_path,
            env=environment(tmp_path, MFAL_UI_PORT=str(port), PYTHONPATH=str(ROOT)),
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    said = f"error: port {port} of 127.0.0.1 cannot be had: Address already in use"
    assert done.stderr.startswith(said), done.stderr
    assert "MFAL_UI_PORT" in done.stderr
