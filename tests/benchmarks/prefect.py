"""What Prefect adds to a round: ``python -m tests.benchmarks.prefect``.

The default round (``configs/dna.yaml``, its initial design and its first batch) of the same seed,
each in a process and a folder of its own: by the library alone, under Prefect with a server that
the process starts for itself, and under Prefect with a server that runs already. The three take
turns. What Prefect adds is the difference to the library's run of the same turn: to its command,
from the shell's call to its end, and to its rounds, from the first one's begin to the last one's
end, which the flow run's own time (as Prefect records it) is compared with.
"""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

import psutil
import typer

from mfal.config import CampaignConfig, load_config
from mfal.differences import compare
from tests.benchmarks import machine, report
from tests.benchmarks.ledger import show
from tests.flows.servers import call, environment, free_port, running, wait_for
from tests.support import ROOT

CONFIG = ROOT / "configs" / "dna.yaml"
LIBRARY, OWN, SERVED = "library alone", "Prefect, own server", "Prefect, running server"
MARKS = {OWN: 15.0, SERVED: 5.0}
"""Seconds that the flow may take longer than the library's rounds."""

STAGES = ("fit", "train", "propose")

HEADER = [
    "round",
    "command (s)",
    "of it the stages (s)",
    "the rest (s)",
    "CPU (s)",
    "added to it (s)",
    "added CPU (s)",
    "flow or rounds (s)",
    "added by the flow (s)",
    "goal",
]


@dataclass(frozen=True)
class Run:
    """Seconds of a command.

    Attributes:
        command: From its start to its end.
        stages: Of it for fit, train and propose, as the round's record has them.
        cpu: Of its processes and, where Prefect is used, of its server.
        rounds: The flow run from its start to its end, or the library's rounds from the first
            one's begin to the last one's end.
    """

    command: float
    stages: float
    cpu: float
    rounds: float

    @property
    def rest(self) -> float:
        """All that is not the library's own work on this round's model and batch."""
        return self.command - self.stages

    @property
    def around(self) -> float:
        """Of the rounds, or of the flow that runs them, all but those stages."""
        return self.rounds - self.stages


def main(repeats: int = 3) -> None:
    """Measure, print the table and write it down."""
    described = machine.describe()
    with tempfile.TemporaryDirectory() as folder:
        first, turns = measure(Path(folder), repeats)
    cells = [row(name, [turn[name] for turn in turns], turns) for name in (LIBRARY, *MARKS)]
    show("What Prefect adds to a round", HEADER, cells)
    added = first.rest - median(turn[LIBRARY].rest for turn in turns)
    text = (
        f"The default round (`configs/dna.yaml`: initial design and first batch), the same seed, "
        f"one thread; medians of {repeats} turns of the three, their ledgers the same. The stages "
        "are fit, train and propose, which take most of a round and as long as the machine "
        "pleases: it is the rest that is compared, with the library's of the same turn. It is "
        "start and end of the command, scoring, and all that Prefect does: import, server, run, "
        "tasks, artifacts; what it does during the stages (a live line every three seconds) shows "
        "in their time and in the CPU's. CPU is that of the command's processes and of the server. "
        "Flow is the flow run from its start to its end, as Prefect records it, and for the "
        "library its rounds, from the first one's begin to the last one's end; the goal is for the "
        "difference of the two, again without the stages. "
        f"The very first run also makes Prefect's database: it added {added:.1f} s."
    )
    parts = ["## What Prefect adds to a round", text, machine.sentence(described)]
    markdown = "\n\n".join([*parts, report.table(HEADER, cells)])
    data = {
        "machine": described,
        "versions": machine.versions("prefect"),
        "first": asdict(first),
        "turns": [{name: asdict(run) for name, run in turn.items()} for turn in turns],
    }
    report.section("prefect", markdown, data)


def row(name: str, runs: list[Run], turns: list[dict[str, Run]]) -> list[str]:
    """A row of the table: medians of the runs, and of what each adds to the library's."""

    def middle(of: Callable[[Run], float]) -> str:
        return f"{median(map(of, runs)):.1f}"

    def added(of: Callable[[Run], float]) -> float:
        return median(of(turn[name]) - of(turn[LIBRARY]) for turn in turns)

    ways: list[Callable[[Run], float]] = [
        lambda r: r.command,
        lambda r: r.stages,
        lambda r: r.rest,
        lambda r: r.cpu,
    ]
    measured, rounds = [name, *map(middle, ways)], middle(lambda r: r.rounds)
    if name == LIBRARY:
        return [*measured, "", "", rounds, "", ""]
    mark, found = MARKS[name], added(lambda r: r.around)
    verdict = f"{mark:g}: {'met' if found <= mark else 'missed'}"
    command = (f"{added(of):.1f}" for of in ways[2:])
    return [*measured, *command, rounds, f"{found:.1f}", verdict]


def measure(folder: Path, repeats: int) -> tuple[Run, list[dict[str, Run]]]:
    """The very first run with a server of its own, and the turns of the three.

    Raises:
        RuntimeError: if a round failed, or did something else than the others.
    """
    campaigns: list[CampaignConfig] = []

    def once(home: Path, *options: str, port: int, server: psutil.Process | None = None) -> Run:
        data = folder / f"data-{len(campaigns)}"
        changes = [f"data_dir={data}"]
        campaigns.append(load_config(CONFIG, changes))
        command = ["round", str(CONFIG), "--set", *changes, *options]
        run = timed(command, environment(home, MFAL_UI_PORT=str(port)), home, server)
        if compare(campaigns[0], campaigns[-1]).first is not None:
            raise RuntimeError("Prefect changed what a round does")
        flow = "--no-prefect" not in options
        rounds = flow_seconds(home) if flow else round_seconds(campaigns[-1])
        return Run(run[0], stages(campaigns[-1]), run[1], rounds)

    alone, served = folder / "alone", folder / "served"
    for home in (alone, served):
        home.mkdir()
    nowhere, port = free_port(), free_port()
    with running(served, "flows.ui", port):
        wait_for("server", lambda: call(f"http://127.0.0.1:{port}/api/health"))
        server = psutil.Process(listening(port))
        first = once(alone, port=nowhere)
        turns = [
            {
                LIBRARY: once(alone, "--no-prefect", port=nowhere),
                OWN: once(alone, port=nowhere),
                SERVED: once(served, port=port, server=server),
            }
            for _ in range(repeats)
        ]
    return first, turns


def timed(
    command: list[str], environ: dict[str, str], folder: Path, server: psutil.Process | None
) -> tuple[float, float]:
    """Seconds of the command, and of the processors for it, its children and the server."""
    before = server_cpu(server)
    started = time.perf_counter()
    with (folder / "out").open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "mfal", *command],
            env=environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            cwd=folder,
            stdout=out,
            stderr=out,
        )
        _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError((folder / "out").read_text())
    return seconds, used.ru_utime + used.ru_stime + server_cpu(server) - before


def stages(config: CampaignConfig) -> float:
    """Seconds of the stages of the first round, as its record has them."""
    with sqlite3.connect(config.folder / "ledger.db") as ledger:
        ((record,),) = ledger.execute("SELECT record FROM rounds WHERE number = 1").fetchall()
    seconds = json.loads(record)["seconds"]
    return float(sum(seconds[stage] for stage in STAGES))


def round_seconds(config: CampaignConfig) -> float:
    """From the begin of the initial design to the end of the last round, by the ledger."""
    with sqlite3.connect(config.folder / "ledger.db") as ledger:
        ((begun, finished),) = ledger.execute("SELECT min(begun_at), max(finished_at) FROM rounds")
    return (datetime.fromisoformat(finished) - datetime.fromisoformat(begun)).total_seconds()


def flow_seconds(home: Path) -> float:
    """From the start to the end of the latest flow run, by Prefect's database."""
    query = "SELECT start_time, end_time FROM flow_run ORDER BY start_time DESC LIMIT 1"
    with sqlite3.connect(home / "prefect" / "prefect.db") as server:
        ((started, ended),) = server.execute(query)
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()


def listening(port: int) -> int:
    """Number of the process that listens there."""
    (pid,) = {
        c.pid
        for c in psutil.net_connections("tcp")
        if c.status == psutil.CONN_LISTEN and c.laddr.port == port
    }
    return int(pid or 0)


def server_cpu(server: psutil.Process | None) -> float:
    """CPU seconds that the server has used so far."""
    if server is None:
        return 0.0
    used = server.cpu_times()
    return float(used.user + used.system)


if __name__ == "__main__":
    typer.run(main)
