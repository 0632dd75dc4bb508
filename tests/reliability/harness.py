"""One cell of the kill matrix: stop a campaign at a stage, kill something, go on, compare."""

import contextlib
import multiprocessing
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil
import yaml

from mfal.budget import total_cost
from tests.forks import FORKS
from tests.support import ROOT, motif_settings

STOPS = f"{ROOT}/tests/problems/stops.py"
PARTS = f"{ROOT}/tests/problems/stopping_parts.py"
TARGETS = {
    "round": ("flow", "worker", "server"),
    "served": ("flow", "serve", "flow and serve", "server", "worker"),
    "dask": ("flow", "worker", "dask worker"),
    "library": ("flow", "worker"),
}
"""How a campaign is run -> what can be killed."""

STAGES = ("fit", "train", "propose", "score", "append")

OCCURRENCES = {"fit": (1, 1, 1), "train": (1, 1, 1), "propose": (1, 1, 1)} | {
    # In the initial design, between its fidelities, and in the batch.
    "score": (2, 6, 7),
    "append": (1, 1, 2),
}
"""Stage -> at which of its occurrences to stop, one for each repetition."""

PATIENCE = 400.0
"""Seconds that a run may take on a busy machine before it is killed, too."""

LEDGER = """
SELECT r.number, r.kind, r.seed, r.finished_at IS NOT NULL, q.position, q.key, q.fidelity,
       q.cost, o."values", o.error, o.cost, o.backend
FROM queries q JOIN rounds r ON r.id = q.round_id LEFT JOIN outcomes o ON o.query_id = q.id
ORDER BY r.number, q.position
"""


@dataclass(frozen=True)
class Campaign:
    """A campaign that stops where its folder says."""

    name: str
    folder: Path

    def settings(self) -> dict[str, Any]:
        """Its configuration."""
        return motif_settings(
            self.folder,
            name=self.name,
            problem={"name": f"{STOPS}:problem", "options": {"folder": str(self.folder)}},
            surrogate={"name": f"{PARTS}:StoppingGP"},
            sampler__name=f"{PARTS}:StoppingSampler",
            scoring__workers=1,
        )

    def written(self, folder: Path) -> Path:
        """The file of its configuration in a folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.yaml"
        path.write_text(yaml.safe_dump(self.settings()))
        return path

    def stops_at(self, stage: str, occurrence: int) -> None:
        """Have it stop there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "stop").write_text(f"{stage} {occurrence}")

    def calls(self) -> list[str]:
        """What its oracle was asked so far: lines of a fidelity and a candidate."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def ledger(self) -> list[tuple[Any, ...]]:
        """What its ledger holds, but for times."""
        path = self.folder / "data" / self.name / "ledger.db"
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as connection:
            return connection.execute(LEDGER).fetchall()

    @property
    def finished(self) -> bool:
        """Whether its first batch is done."""
        return any(row[0] == 1 and row[3] for row in self.ledger())

    def stopped(self) -> tuple[int, int] | None:
        """The process that stopped and its parent, once it has."""
        path = self.folder / "stopped"
        if not path.exists():
            return None
        process, parent = path.read_text().split()
        return int(process), int(parent)


class Way(Protocol):
    """How a campaign is run."""

    def start(self, campaign: Campaign) -> None:
        """Begin to run one round."""
        ...

    def kill(self, target: str, campaign: Campaign, stage: str) -> None:
        """Kill -9 one of its processes, or some."""
        ...

    def wait(self, campaign: Campaign) -> None:
        """Wait until the run has ended, well or not, with what belongs to it."""
        ...

    def close(self) -> None:
        """Leave nothing running."""
        ...


def run_cell(way: Way, campaign: Campaign, stage: str, target: str, occurrence: int) -> str:
    """Run a campaign's design and first batch with a kill on the way.

    Returns:
        What it took to finish: it went "on", or was run "again".

    Raises:
        AssertionError: if a recorded answer was asked for again, or nothing stopped.
    """
    campaign.stops_at(stage, occurrence)
    way.start(campaign)
    until("the stop", lambda: campaign.stopped() is not None)
    if stage == "score":
        time.sleep(1.5)  # whatever has been answered before is recorded by now
    recorded = {f"{row[6]} {row[5]}" for row in campaign.ledger() if row[10] is not None}
    asked = len(campaign.calls())
    way.kill(target, campaign, stage)
    (campaign.folder / "go").touch()
    way.wait(campaign)
    went_on = campaign.finished
    for _ in range(2):
        if not campaign.finished:
            way.start(campaign)
            way.wait(campaign)
    again = recorded & set(campaign.calls()[asked:])
    assert not again, f"asked again although recorded: {sorted(again)}"
    return "on" if went_on else "again"


def compare(campaign: Campaign, undisturbed: list[tuple[Any, ...]]) -> None:
    """Hold a campaign's ledger to that of an undisturbed run: rows, answers, costs, budget."""
    found = campaign.ledger()
    assert found == undisturbed
    assert total_cost(row[10] for row in found) == total_cost(row[10] for row in undisturbed)


def until(what: str, true: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"no {what} within {seconds:g} s"
        time.sleep(0.05)


def kill(*processes: psutil.Process) -> None:
    """kill -9."""
    assert processes, "there is nothing to kill"
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)


def below(process: psutil.Process, word: str) -> list[psutil.Process]:
    """Descendants of a process with a word in their command line."""
    found = []
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if word in " ".join(child.cmdline()):
                found.append(child)
    return found


def environment(folder: Path, **more: str) -> dict[str, str]:
    """For processes of a cell: Prefect's files in its folder, no server but their own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT")}
    own = {
        "PREFECT_HOME": str(folder / "prefect"),
        "MFAL_UI_PORT": "1",  # where no server runs
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    return kept | own | more


def mfal(arguments: list[str], folder: Path) -> None:
    """In a process of its own: the command ``mfal`` with these arguments."""
    from mfal.cli.app import main

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment(folder))
    with (folder / "log").open("a") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    sys.argv = ["mfal", *arguments]
    main()


class Shell:
    """``mfal round``, each time in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._process: multiprocessing.process.BaseProcess | None = None

    def start(self, campaign: Campaign) -> None:
        path = campaign.written(self._folder)
        arguments = ["round", str(path), *self._options]
        self._process = FORKS.Process(target=mfal, args=(arguments, self._folder))
        self._process.start()

    def kill(self, target: str, campaign: Campaign, stage: str) -> None:
        assert self._process is not None
        flow = psutil.Process(self._process.pid)
        if target == "flow":
            kill(flow)
        elif target == "server":
            kill(*below(flow, "flows.own"))
        elif target == "worker":
            kill(*below(flow, "mfal.scoring.worker"))
        elif target == "dask worker":
            workers = {p.ppid() for p in below(flow, "mfal.scoring.worker")}
            kill(*(psutil.Process(pid) for pid in workers))
        else:
            raise ValueError(target)

    def wait(self, campaign: Campaign) -> None:
        assert self._process is not None
        self._process.join(PATIENCE)
        self.close()  # a flow that has lost its server may take longer than that to give up

    def close(self) -> None:
        if self._process is not None and self._process.is_alive():
            flow = psutil.Process(self._process.pid)
            kill(flow, *flow.children(recursive=True))
            self._process.join()
