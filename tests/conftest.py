import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mfal.config import CampaignConfig, parse_config
from tests import postgres
from tests.commands import mfal
from tests.forks import FORKS
from tests.reliability import page
from tests.support import motif_settings


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    # Tests run side by side; one thread each is faster, and results do not depend on it.
    torch.set_num_threads(1)


@pytest.fixture
def motif(tmp_path: Path) -> Callable[..., CampaignConfig]:
    """Configurations of the motif campaign in a folder of the test; `a__b=c` changes a field.

    Threads ask its oracle, which is as good as worker processes where those are not the subject.
    """

    def make(**changes: Any) -> CampaignConfig:
        return parse_config(motif_settings(tmp_path, **{"scoring__runner": "threads"} | changes))

    return make


@pytest.fixture
def refused() -> Callable[..., str]:
    """What the command line says when it refuses arguments in a folder; exit code 2."""

    def run(folder: Path, *arguments: str) -> str:
        done = mfal(*arguments, cwd=folder)
        assert done.returncode == 2
        return done.stderr

    return run


@pytest.fixture
def forked_laws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the laws of oracles held in processes that need not import torch first."""
    forked = SimpleNamespace(Pipe=FORKS.Pipe, get_context=lambda _: FORKS)
    monkeypatch.setattr("mfal.laws.multiprocessing", forked)


@pytest.fixture
def calls(tmp_path: Path) -> Callable[[], list[str]]:
    """What the motif oracle was asked so far, in order."""

    def read() -> list[str]:
        path = tmp_path / "calls.txt"
        return path.read_text().splitlines() if path.exists() else []

    return read


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    with postgres.server() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a ledger that is not there yet, in each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    server: postgres.Server = request.getfixturevalue("postgres_server")
    return server.new_database()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    # Cells of the kill matrix say in their properties which they are.
    cell = dict(report.user_properties).get("cell")
    if cell and report.when == "call" and "PYTEST_XDIST_WORKER" not in os.environ:
        way, target, stage, repetition, how = cell  # type: ignore[misc]
        page.note(way, target, stage, repetition, how if report.passed else "failed", page.DOCS)
