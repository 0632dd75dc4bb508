"""The server that a round starts for itself does not outlive it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml

from tests.flows.servers import environment, free_port, python, wait_for
from tests.support import ROOT, motif_settings


def servers(folder: Path) -> list[psutil.Process]:
    """Runs' own servers that keep their history in this folder."""
    home, found = str(folder / "prefect"), []
    for process in psutil.process_iter():
        try:
            if "flows.own" in process.cmdline() and process.environ().get("PREFECT_HOME") == home:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_ends_and_so_does_its_server(tmp_path: Path, how: signal.Signals) -> None:
    settings = motif_settings(tmp_path, problem__options__slow=0.5, scoring__workers=1)
    (tmp_path / "motif.yaml").write_text(yaml.safe_dump(settings))
    own = environment(tmp_path, MFAL_UI_PORT=str(free_port()), PYTHONPATH=str(ROOT))
    run = subprocess.Popen(
        [sys.executable, "-m", "mfal", "round", "motif.yaml"],
        cwd=tmp_path,
        env=own,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for("answers", lambda: (tmp_path / "calls.txt").exists())
    (server,) = servers(tmp_path)
    os.kill(run.pid, how)
    run.wait(60)
    assert server.wait(30) is None
    assert servers(tmp_path) == []


def test_a_server_that_is_named_and_silent_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "motif.yaml").write_text(yaml.safe_dump(motif_settings(tmp_path)))
    url = f"http://127.0.0.1:{free_port()}/api"
    done = python(tmp_path, "-m", "mfal", "round", "motif.yaml", PREFECT_API_URL=url)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == f"error: no Prefect server answers at {url}"
    assert "--no-prefect" in done.stderr
    assert not (tmp_path / "data").exists()
