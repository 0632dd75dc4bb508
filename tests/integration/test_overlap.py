"""One campaign from several processes, and in several databases."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from mfal.campaign import open_campaign
from mfal.config import CampaignConfig, parse_config
from mfal.differences import compare
from mfal.round import run_rounds
from tests.postgres import Server
from tests.support import motif_settings


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_of_twenty_rounds_that_start_at_once_one_runs_and_the_rest_say_why(tmp_path: Path) -> None:
    gate, calls = tmp_path / "gate", tmp_path / "calls.txt"
    options = {"calls": str(calls), "gate": str(gate)}
    settings = motif_settings(tmp_path, problem__options=options, scoring__timeout_seconds=800.0)
    path = tmp_path / "motif.yaml"
    path.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "mfal", "round", str(path), "--no-prefect"]
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=pipe, text=True)
        for _ in range(20)
    ]
    deadline = time.monotonic() + 600
    while sum(process.poll() is None for process in started) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    gate.touch()
    (winner,) = (process for process in started if process.poll() is None)
    _, complaint = winner.communicate(timeout=240)
    assert winner.returncode == 0, complaint
    for loser in (process for process in started if process is not winner):
        _, complaint = loser.communicate()
        assert loser.returncode == 2
        assert f"another process (number {winner.pid} on " in complaint
        assert "hint:  wait until it ends, stop it, or set lock.wait_seconds" in complaint
        assert "Traceback" not in complaint

    asked = calls.read_text().splitlines()
    assert len(asked) == len(set(asked)) == 12 + 6 + _queries_of_the_batch(settings)
    undisturbed = parse_config(motif_settings(tmp_path / "undisturbed"))
    (tmp_path / "undisturbed").mkdir()
    with open_campaign(undisturbed) as campaign:
        run_rounds(campaign, 1)
    assert compare(parse_config(settings), undisturbed).first is None


def _queries_of_the_batch(settings: dict[str, object]) -> int:
    with open_campaign(parse_config(settings), to_read=True) as campaign:
        return campaign.store.count(1)


@pytest.mark.slow
def test_campaigns_in_postgresql_are_the_same_as_in_sqlite(
    tmp_path: Path, postgres_server: Server
) -> None:
    url = postgres_server.new_database()

    def run(name: str, ledger: str | None) -> CampaignConfig:
        settings = motif_settings(tmp_path, name=name, ledger=ledger, problem__options={})
        config = parse_config(settings)
        with open_campaign(config) as campaign:
            assert run_rounds(campaign, 2) == [1, 2]
            assert campaign.store.location.startswith("postgresql" if ledger else str(tmp_path))
        return config

    one, other, file = run("one", url), run("other", url), run("file", None)
    assert compare(one, file).same and compare(one, other).same
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["file"]
