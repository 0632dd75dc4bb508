"""A real Dask cluster: one of this process, and one that was started by hand."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from mfal.errors import MfalError
from mfal.scoring.scorer import Scorer, scorer
from mfal.sections import Component, ScoringConfig
from mfal.types import Outcome, Query
from tests.problems.motif import MotifOracle
from tests.support import MOTIF, ROOT, score

pytest.importorskip("distributed", reason="the extra dask is not installed")

LADDER = MotifOracle.fidelities
QUERIES = [Query(key, "whole") for key in ("CCGTACGT", "CAGTACGA", "TTTTTTTT")]
VALUES = [(7.0,), (5.0,), (2.0,)]
BAD = Query("ACGTACGT", "whole")


def motif(trouble: str = "") -> Component:
    return Component(name=MOTIF, options={"trouble": trouble})


def listening(processes: list[psutil.Process]) -> set[str]:
    """Addresses at which any of these processes listens."""
    found = [c for p in processes for c in p.net_connections("inet")]
    return {c.laddr.ip for c in found if c.status == psutil.CONN_LISTEN}


def test_a_local_cluster_answers_on_loopback_and_survives_bad_candidates() -> None:
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    config = ScoringConfig(runner="dask", workers=1, timeout_seconds=1.0)
    with scorer(motif("hang"), LADDER, 1, config) as made:
        assert [o.values for o in score(made, QUERIES)] == VALUES
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        assert listening(processes) == {"127.0.0.1"}
        (outcome,) = score(made, [BAD])
        assert outcome.error == "no answer within 1 s"
        assert [o.values for o in score(made, QUERIES)] == VALUES
    after = {p.pid for p in psutil.Process().children(recursive=True)}
    # Nothing is left but what Python's multiprocessing keeps for the next time.
    assert all("resource_tracker" in " ".join(psutil.Process(p).cmdline()) for p in after - before)


@dataclass
class Cluster:
    """A scheduler, and the nanny of its worker."""

    address: str
    scheduler: psutil.Process
    nanny: psutil.Process

    def config(self) -> ScoringConfig:
        return ScoringConfig(runner="dask", address=self.address)

    def worker(self) -> psutil.Process:
        """The process of the worker, once it is there."""
        deadline = time.monotonic() + 60
        while True:
            for child in self.nanny.children():
                if "spawn_main" in " ".join(child.cmdline()):
                    return child
            assert time.monotonic() < deadline, "the nanny has no worker"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """As it is started from the shell."""
    folder = tmp_path_factory.mktemp("cluster")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    started = []

    def start(*words: str, until: str) -> str:
        log = folder / f"{words[0]}.log"
        with log.open("w") as file:
            command = [sys.executable, "-m", "distributed.cli." + words[0], *words[1:]]
            started.append(subprocess.Popen(command, env=environment, stdout=file, stderr=file))
        deadline = time.monotonic() + 60
        while not (found := re.search(until, log.read_text())):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        return found[1]

    loopback = ["--host", "127.0.0.1", "--no-dashboard"]
    try:
        address = start(
            "dask_scheduler",
            *loopback,
            "--port",
            "0",
            "--dashboard-address",
            "127.0.0.1:0",
            until=r"Scheduler at:\s+(tcp://\S+)",
        )
        start(
            "dask_worker",
            address,
            *loopback,
            "--nthreads",
            "1",
            until=r"Registered to:\s+(tcp://\S+)",
        )
        yield Cluster(address, *(psutil.Process(process.pid) for process in started))
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(30)


def test_a_running_scheduler_answers_and_is_left_as_it_was(cluster: Cluster) -> None:
    with scorer(motif(), LADDER, 1, cluster.config()) as made:
        assert [o.values for o in score(made, QUERIES)] == VALUES
        assert cluster.worker().children(), "the oracle has a process of its own"
    assert not cluster.worker().children()
    with scorer(motif(), LADDER, 1, cluster.config()) as made:
        assert [o.values for o in score(made, QUERIES)] == VALUES


@pytest.mark.slow
def test_a_dask_worker_that_is_killed_costs_nothing(cluster: Cluster, tmp_path: Path) -> None:
    made, calls = begun(cluster, tmp_path)
    os.kill(cluster.worker().pid, signal.SIGKILL)
    found: list[tuple[Query, Outcome]] = []
    while made.waiting:
        found += made.answers()
    made.close()
    assert {q: o.values for q, o in found} == dict(zip(QUERIES, VALUES, strict=True))
    assert len(found) == 3
    assert calls.read_text().split()[1::2].count(QUERIES[0].key) == 2  # the one in flight


def begun(cluster: Cluster, folder: Path) -> tuple[Scorer, Path]:
    """A scorer whose first query is being asked, and the file of its calls."""
    calls = folder / "calls.txt"
    slow = Component(name=MOTIF, options={"slow": 1.0, "calls": str(calls)})
    made = Scorer(slow, LADDER, 1, cluster.config())
    made.ask(QUERIES)
    made._submit()
    deadline = time.monotonic() + 60
    while not calls.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return made, calls


@pytest.mark.slow
def test_a_cluster_without_workers_is_waited_for_and_then_given_up(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mfal.scoring.dask.NOBODY", 2.0)
    made, _ = begun(cluster, tmp_path)
    children = cluster.nanny.children(recursive=True)
    cluster.nanny.kill()
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    with pytest.raises(MfalError, match="the Dask cluster has had no worker for 2 s"):
        while made.waiting:
            made.answers()
    made.close()


@pytest.mark.slow
def test_a_scheduler_that_goes_is_told_of(cluster: Cluster) -> None:
    made = Scorer(motif(), LADDER, 1, cluster.config())
    made.ask(QUERIES)
    made._submit()
    cluster.scheduler.kill()
    with pytest.raises(MfalError, match="the Dask scheduler is gone"):
        while made.waiting:
            made.answers()
    made.close()


def test_no_scheduler_is_the_users_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mfal.scoring.dask.CONNECT", 1.0)
    config = ScoringConfig(runner="dask", address="tcp://127.0.0.1:1")
    made = Scorer(motif(), LADDER, 1, config)
    made.ask(QUERIES)
    with pytest.raises(MfalError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1"):
        made.answers()
    made.close()
