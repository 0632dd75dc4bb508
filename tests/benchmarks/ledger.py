"""A large ledger into a dataset: ``python -m tests.benchmarks.ledger``.

DNA sequences at two fidelities, written round by round into a new SQLite ledger, and read
back in a process of its own for each size. Features are left out of the first figure, which
is that of the ledger alone; the second has the features of the DNA configuration. Then answers
appended in small chunks, each a durable commit, to SQLite and to PostgreSQL.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from mfal.ledger.reading import read_ledger
from mfal.ledger.store import Store
from mfal.types import Fidelity, Objective, Outcome, Query
from tests import postgres
from tests.benchmarks import machine, report

SIZES = (1_000, 10_000, 100_000)
ROUND = 5_000  # queries of one round
LADDER = (Fidelity("low", 1.0, 0.5), Fidelity("high", 3.0, 1.0))
CHUNK = 100
HEADER = ["rows", "observations (s)", "dataset (s)", "with features (s)"]


APPENDS = ["database", "outcomes", "chunk", "seconds", "per second", "CPU (s)"]


def main() -> None:
    """Measure both, print the tables and write them down."""
    dataset_section()
    appends_section()


def appends_section() -> None:
    """How fast answers are appended, each chunk durable before the next."""
    described = machine.describe()
    n = SIZES[-1]
    with tempfile.TemporaryDirectory() as folder:
        found = {"SQLite": append(sqlite_url(Path(folder)), n)}
    with postgres.server(durable=True) as server:
        found["PostgreSQL"] = append(server.new_database(), n)
    cells = [
        [name, f"{n:,}", f"{CHUNK}", f"{wall:.1f}", f"{n / wall:,.0f}", f"{cpu:.1f}"]
        for name, (wall, cpu) in found.items()
    ]
    show("Appending outcomes", APPENDS, cells)
    text = (
        "Outcomes appended through the store, every chunk a commit that is on the disk before the "
        "next begins: SQLite with full syncs, PostgreSQL on a socket of the same machine with "
        "its own default. CPU is that of mfal's process."
    )
    parts = ["## Appending to the ledger", text, machine.sentence(described)]
    markdown = "\n\n".join([*parts, report.table(APPENDS, cells)])
    report.section("appends", markdown, {"machine": described, "seconds": found})


def append(url: str, n: int) -> tuple[float, float]:
    """Seconds, by the clock and of this process, for n answers in chunks of `CHUNK`."""
    asked = [Query(f"{i:030}", "low") for i in range(n)]
    with Store(url, "benchmark", {}) as store:
        for number, first in enumerate(range(0, n, ROUND)):
            begin(store, number, asked[first : first + ROUND])
        started, cpu = time.perf_counter(), time.process_time()
        for i in range(0, n, CHUNK):
            store.record([(q, Outcome((1.5,), None, 0.01), "engine") for q in asked[i : i + CHUNK]])
        spent = time.perf_counter() - started, time.process_time() - cpu
    with read_ledger(url, "benchmark", {}) as ledger:
        if len(ledger.observations()) != n:
            raise RuntimeError("the ledger lost answers")
    return spent


def dataset_section() -> None:
    """From ledger to dataset, for every size."""
    rows = [(n, measure(n)) for n in SIZES]
    cells = [[f"{n:,}", *(f"{seconds:.2f}" for seconds in found)] for n, found in rows]
    show("From ledger to dataset", HEADER, cells)
    described = machine.describe()
    text = (
        "A ledger of 30-mers at two fidelities. Seconds from the open ledger to its observations, "
        "to a dataset without features, and to one with 4-mer counts and stem summaries."
    )
    parts = ["## From ledger to dataset", text, machine.sentence(described)]
    markdown = "\n\n".join([*parts, report.table(HEADER, cells)])
    data: dict[str, Any] = {"machine": described, "seconds": rows}
    report.section("ledger", markdown, data)


def show(title: str, header: list[str], cells: list[list[str]]) -> None:
    """Print a table."""
    shown = Table(title=title, title_justify="left")
    for column in header:
        shown.add_column(column, justify="right")
    for row in cells:
        shown.add_row(*row)
    Console().print(shown)


def sqlite_url(folder: Path) -> str:
    """URL of the ledger in a folder."""
    return f"sqlite:///{folder / 'ledger.db'}"


def begin(store: Store, number: int, asked: list[Query]) -> None:
    """Begin a round."""
    store.begin_round(
        number,
        [(q, 1.0) for q in asked],
        kind="batch",
        seed=0,
        config={},
        versions={},
        record={},
    )


def measure(n: int) -> list[float]:
    """Seconds of the three figures for a ledger of n answers, in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), n)
        command = [sys.executable, "-m", "tests.benchmarks.ledger", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: list[float] = json.loads(done.stdout)
    return answer


def fill(folder: Path, n: int) -> None:
    """A ledger of n answers: each candidate at both fidelities."""
    rng = random.Random(0)
    store = Store(sqlite_url(folder), "benchmark", {})
    for number, first in enumerate(range(0, n, ROUND)):
        keys = ["".join(rng.choices("ACGT", k=30)) for _ in range(min(ROUND, n - first) // 2)]
        asked = [Query(key, f.name) for key in keys for f in LADDER]
        begin(store, number, asked)
        for i in range(0, len(asked), 500):
            answers = [
                (q, Outcome((rng.gauss(-5, 3),), None, 0.01), "engine") for q in asked[i : i + 500]
            ]
            store.record(answers)
        store.finish_round(number)
    store.close()


def work(folder: Path) -> list[float]:
    """In the process of its own."""
    import torch

    from mfal.dataset import build_dataset
    from mfal.features.base import FeatureSet
    from mfal.features.kmers import KmerCounts
    from mfal.features.stems import StemSummary

    torch.set_num_threads(1)
    objective = Objective("energy", "kcal/mol", "min")
    features = FeatureSet([KmerCounts(alphabet="ACGT", k=4), StemSummary()])
    store = Store(sqlite_url(folder), "benchmark", {})
    started = time.perf_counter()
    observations = store.observations()
    read = time.perf_counter()
    build_dataset(observations, LADDER, objective, lambda keys: torch.zeros(len(keys), 1))
    built = time.perf_counter()
    build_dataset(observations, LADDER, objective, features)
    done = time.perf_counter()
    return [read - started, built - started, read - started + done - built]


if __name__ == "__main__":
    if len(sys.argv) == 2:
        typer.echo(json.dumps(work(Path(sys.argv[1]))))
    else:
        typer.run(main)
