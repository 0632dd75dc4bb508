"""Our GFlowNet engine beside gfnx and torchgfn: ``python -m tests.benchmarks.engine``.

The peers live in an environment of their own at the versions of ``peers.txt``. Every library
runs in a process of its own on one thread; the processes take turns, a block each, and the
time is the CPU's, so that a busy machine disturbs all of them alike.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.benchmarks import machine, report
from tests.benchmarks.engine_page import markdown, show
from tests.benchmarks.peer_tasks import grid_target, total_variation

TORCH = "torch==2.13.0"
"""Installed before the rest of ``peers.txt``, which takes what is there."""

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
}

KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1),
}
"""glibc keeps freed memory: a fifth more speed for torchgfn on some machines, none on others."""


@dataclass(frozen=True)
class Library:
    """How to start a library's worker."""

    name: str
    python: Path
    module: str
    options: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Goal:
    """``ours`` is to be ``ratio`` times as fast as ``peer``."""

    ours: str
    peer: str
    ratio: float


@dataclass(frozen=True)
class Case:
    """A task, who runs it, and how much faster we mean to be."""

    title: str
    task: dict[str, Any]
    libraries: tuple[str, ...]
    goals: tuple[Goal, ...]


GRID = {"task": "hypergrid", "dims": 4, "side": 8, "seed": 0}
DNA = {"task": "dna", "length": 30, "seed": 0}
ALL = ("mfal", "gfnx", "torchgfn")
OWN: dict[str, dict[str, Any]] = {
    "mfal": {"precision": "float32"},
    "mfal-bf16": {"precision": "bfloat16"},
    "mfal-recipe": {"precision": "float32", "recipe": True},
    "products": {"precision": "float32", "products": True},
    "products-bf16": {"precision": "bfloat16", "products": True},
}
EVERYTHING = (*OWN, "gfnx", "torchgfn")

CASES = (
    Case(
        "DNA, 30 letters, batch 16",
        {**DNA, "batch": 16, "iterations": 40},
        (*ALL, "products"),
        (Goal("mfal", "gfnx", 1.6), Goal("mfal", "torchgfn", 7.0)),
    ),
    Case(
        "DNA, 30 letters, batch 128",
        {**DNA, "batch": 128, "iterations": 15},
        ("mfal", "mfal-bf16", "gfnx", "torchgfn", "products", "products-bf16"),
        (
            Goal("mfal", "gfnx", 2.2),
            Goal("mfal", "torchgfn", 2.8),
            Goal("mfal-bf16", "gfnx", 3.0),
        ),
    ),
    Case(
        "Hypergrid 8^4, batch 128",
        {**GRID, "batch": 128, "iterations": 60},
        (*ALL, "products"),
        (Goal("mfal", "gfnx", 2.5), Goal("mfal", "torchgfn", 2.0)),
    ),
)

QUALITY = {**GRID, "batch": 16, "iterations": 1}
LEARNERS = (*ALL, "mfal-recipe")
SEEDS = 5
"""Seeds, from 0 on, of what is learnt."""


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer and shorter blocks.")] = False,
    peers: Annotated[Path, typer.Option(help="Python of the peers' environment.")] = Path(
        ".venv-peers/bin/python"
    ),
    setup: Annotated[bool, typer.Option("--setup", help="Only install the peers.")] = False,
    only: Annotated[str, typer.Option(help="Libraries to run, with commas between.")] = "",
    docs: Annotated[
        Path | None, typer.Option(help="Write here; docs/ after a full run of everything.")
    ] = None,
) -> None:
    """Time every case, print the ratios and write them down."""
    console = Console()
    if setup or not peers.exists():
        install(peers, console)
    if setup:
        return
    chosen = tuple(only.split(",")) if only else EVERYTHING
    libraries = {library.name: library for library in known(peers) if library.name in chosen}
    if unknown := set(chosen) - set(libraries):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: there are {', '.join(ALL)}")
    described = machine.describe()
    blocks = 3 if quick else 11
    with progress(console) as bars:
        cases = [run_case(case, libraries, blocks, quick, bars) for case in CASES]
        quality = run_quality(libraries, 3_200 if quick else 32_000, bars)
    data = {"machine": described, "cases": cases, "quality": quality}
    show(console, data)
    if docs is None and not quick and not only:
        docs = report.DOCS
    if docs is not None:
        report.section("engine", markdown(data), data, docs)


def known(peers: Path) -> tuple[Library, ...]:
    """The libraries that can be compared; ours runs in this interpreter's environment."""
    ours, module = Path(sys.executable), "tests.benchmarks.peer_"
    return (
        Library("mfal", ours, module + "mfal", {"precision": "float32"}),
        Library("mfal-bf16", ours, module + "mfal", {"precision": "bfloat16"}),
        Library("mfal-recipe", ours, module + "mfal", {"precision": "float32", "recipe": True}),
        Library("products", ours, module + "mfal", {"precision": "float32", "products": True}),
        Library(
            "products-bf16", ours, module + "mfal", {"precision": "bfloat16", "products": True}
        ),
        Library("gfnx", peers, module + "gfnx"),
        Library("torchgfn", peers, module + "torchgfn", environment=KEEP_MEMORY),
    )


def install(python: Path, console: Console) -> None:
    """Create the peers' environment with this interpreter, at the versions of ``peers.txt``."""
    requirements = Path(__file__).with_name("peers.txt")
    console.print(f"Setting up {python.parent.parent}: this takes some minutes, once.")
    subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, TORCH], check=True)
    subprocess.run([*pip, "-r", requirements], check=True)


class Worker:
    """A library's process, ready for its turns."""

    def __init__(self, library: Library, task: dict[str, Any]) -> None:
        self.library = library
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the process
        arguments = json.dumps({**task, **library.options})
        self._process = subprocess.Popen(
            [library.python, "-m", library.module, arguments],
            env={**os.environ, **ONE_THREAD, **library.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def answer(self) -> dict[str, Any]:
        """The next line the worker writes."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            sys.exit(f"The worker of {self.library.name} ended:\n{self._errors.read()[-3000:]}")
        return json.loads(line)

    def ask(self, command: str) -> dict[str, Any]:
        """Let the worker have its turn."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self.answer()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()


@contextmanager
def started(
    names: tuple[str, ...], libraries: dict[str, Library], task: dict[str, Any]
) -> Iterator[tuple[dict[str, Worker], dict[str, dict[str, Any]]]]:
    """Workers of the libraries that were chosen, and what each said when it was ready."""
    with ExitStack() as stack:
        workers = {}
        for name in names:
            if name in libraries:
                workers[name] = Worker(libraries[name], task)
                stack.callback(workers[name].close)
        yield workers, {name: worker.answer() for name, worker in workers.items()}


def run_case(
    case: Case, libraries: dict[str, Library], blocks: int, quick: bool, bars: Progress
) -> dict[str, Any]:
    """Blocks in turn, and the ratios they make."""
    task = {**case.task, "iterations": case.task["iterations"] // (2 if quick else 1)}
    bar = bars.add_task(case.title, total=None, at="getting ready")
    results: dict[str, dict[str, Any]] = {}
    with started(case.libraries, libraries, task) as (workers, ready):
        for name in workers:
            results[name] = {**ready[name], "blocks": []}
        bars.update(bar, total=blocks * len(workers))
        for _ in range(blocks):
            for name, worker in workers.items():
                bars.update(bar, at=name)
                results[name]["blocks"].append(worker.ask("go"))
                bars.advance(bar)
    bars.update(bar, at="")
    for result in results.values():
        rates = [b["iterations"] / b["cpu_s"] for b in result["blocks"]]
        result["iterations_per_s"] = {"median": statistics.median(rates), "best": max(rates)}
    compared = [
        {"ours": g.ours, "peer": g.peer, "goal": g.ratio, **ratio(results[g.ours], results[g.peer])}
        for g in case.goals
        if g.ours in results and g.peer in results
    ]
    return {"title": case.title, "task": task, "libraries": results, "ratios": compared}


def ratio(ours: dict[str, Any], peer: dict[str, Any]) -> dict[str, float]:
    """How many times as fast ours is: the median over the rounds, and of the best blocks."""
    pairs = zip(ours["blocks"], peer["blocks"], strict=True)
    return {
        "median": statistics.median(b["cpu_s"] / a["cpu_s"] for a, b in pairs),
        "best": ours["iterations_per_s"]["best"] / peer["iterations_per_s"]["best"],
    }


def run_quality(libraries: dict[str, Library], trajectories: int, bars: Progress) -> dict[str, Any]:
    """How far from the target each library's network is after the same number of trajectories."""
    bar = bars.add_task("Hypergrid 8^4, what is learnt", total=None, at="getting ready")
    target = grid_target(GRID["dims"], GRID["side"])
    results: dict[str, dict[str, list[float]]] = {}
    for seed in range(SEEDS):
        with started(LEARNERS, libraries, {**QUALITY, "seed": seed}) as (workers, _):
            bars.update(bar, total=SEEDS * len(workers))
            for name, worker in workers.items():
                bars.update(bar, at=name)
                answer = worker.ask(f"quality {trajectories}")
                sampled = np.array(answer.pop("distribution"))
                assert abs(sampled.sum() - 1.0) < 1e-3, f"{name}: no distribution"
                result = results.setdefault(name, {"total_variation": [], "cpu_s": []})
                result["total_variation"].append(total_variation(sampled, target))
                result["cpu_s"].append(answer["cpu_s"])
                bars.advance(bar)
    bars.update(bar, at="")
    return {"task": QUALITY, "trajectories": trajectories, "seeds": SEEDS, "libraries": results}


def progress(console: Console) -> Progress:
    """A bar per case, with whose turn it is."""
    return Progress(
        TextColumn("{task.description:32}"),
        BarColumn(),
        TextColumn("{task.fields[at]:14}"),
        TimeElapsedColumn(),
        console=console,
    )


if __name__ == "__main__":
    typer.run(main)
