"""A large ledger into a dataset: ``python -m tests.benchmarks.ledger``.

DNA sequences at two fidelities, written round by round into a new SQLite ledger, and read
back in a process of its own for each size. Features are left out of the first figure, which
is that of the ledger alone; the second has the features of the DNA configuration.
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

from mfal.store import Store
from mfal.tables import sqlite_url
from mfal.types import Fidelity, Objective, Outcome, Query
from tests.benchmarks import machine, report

SIZES = (1_000, 10_000, 100_000)
ROUND = 5_000  # queries of one round
LADDER = (Fidelity("low", 1.0, 0.5), Fidelity("high", 3.0, 1.0))
HEADER = ["rows", "observations (s)", "dataset (s)", "with features (s)"]


def main() -> None:
    """Measure every size, print the table and write it down."""
    rows = [(n, measure(n)) for n in SIZES]
    cells = [[f"{n:,}", *(f"{seconds:.2f}" for seconds in found)] for n, found in rows]
    shown = Table(title="From ledger to dataset", title_justify="left")
    for column in HEADER:
        shown.add_column(column, justify="right")
    for row in cells:
        shown.add_row(*row)
    Console().print(shown)
    described = machine.describe()
    text = (
        "A ledger of 30-mers at two fidelities. Seconds from the open ledger to its observations, "
        "to a dataset without features, and to one with 4-mer counts and stem summaries."
    )
    parts = ["## From ledger to dataset", text, machine.sentence(described)]
    markdown = "\n\n".join([*parts, report.table(HEADER, cells)])
    data: dict[str, Any] = {"machine": described, "seconds": rows}
    report.section("ledger", markdown, data)


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
        store.begin_round(
            number,
            [(q, 1.0) for q in asked],
            kind="batch",
            seed=0,
            config={},
            versions={},
            record={},
        )
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
