"""The tables of the engine beside its peers, in the terminal and in docs/benchmarks.md."""

import statistics
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks import machine, report

SETTING = """Trajectory balance, an MLP of two hidden layers of 256 (ReLU), one-hot observations,
Adam at 1e-3 with log Z at 0.1, uniform P_B, no exploration, no metrics. DNA: letters appended
to a fixed length, reward from a table of fields and couplings of neighbours.

Every library has a process of its own, pinned to one core and one thread. The processes take
turns, a block of the same number of batches each, and every block trains a new network: on the
hypergrid trajectories grow while it learns, so all are compared over the same stretch. Time is
CPU seconds of the process. A ratio is the median over the rounds, each of which compares blocks
that ran one after the other; in parentheses, the ratio of the best blocks. A goal is met if the
median meets it.

What is learnt is compared at batch 16 with the same setting for all; `mfal-recipe` is our own
default recipe instead, at the same number of fresh trajectories.

`products` are only those products of the hidden layer that a training step cannot do without, by
torch's fastest kernels: no program on them can be faster, so a goal above that ratio is out of
reach on this machine.

The peers run at their best: gfnx's environments, rollout, loss and update are one jitted loop,
and its compilation and warm-up are not timed; torchgfn keeps log probabilities while sampling,
with torch's checks of distributions off, fused Adam and an allocator that keeps memory."""

SPEED_COLUMNS = ["library", "iterations/s", "best block", "trajectories/s"]
RATIO_COLUMNS = ["comparison", "ratio", "goal", "met"]
QUALITY_COLUMNS = ["library", "total variation", "worst seed", "CPU seconds"]


def speed_rows(case: dict[str, Any]) -> list[list[str]]:
    """A row per library."""
    rows = []
    for name, result in case["libraries"].items():
        rate = result["iterations_per_s"]
        trajectories = rate["median"] * case["task"]["batch"]
        rows.append([name, f"{rate['median']:.1f}", f"{rate['best']:.1f}", f"{trajectories:,.0f}"])
    return rows


def ratio_rows(case: dict[str, Any]) -> list[list[str]]:
    """A row per goal."""
    return [
        [
            f"{r['ours']} / {r['peer']}",
            f"{r['median']:.2f} ({r['best']:.2f})",
            f"{r['goal']:g}",
            "yes" if r["median"] >= r["goal"] else "no",
        ]
        for r in case["ratios"]
    ]


def quality_rows(quality: dict[str, Any]) -> list[list[str]]:
    """A row per library."""
    return [
        [
            name,
            f"{statistics.mean(r['total_variation']):.3f}",
            f"{max(r['total_variation']):.3f}",
            f"{statistics.mean(r['cpu_s']):.1f}",
        ]
        for name, r in quality["libraries"].items()
    ]


def tables(data: dict[str, Any]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Title, header and rows of every table that has any."""
    for case in data["cases"]:
        if case["libraries"]:
            yield case["title"], SPEED_COLUMNS, speed_rows(case)
        if case["ratios"]:
            yield "", RATIO_COLUMNS, ratio_rows(case)
    quality = data["quality"]
    trained = f"{quality['trajectories']:,} trajectories, {quality['seeds']} seeds"
    yield f"Hypergrid 8^4 after {trained}", QUALITY_COLUMNS, quality_rows(quality)


def show(console: Console, data: dict[str, Any]) -> None:
    """Print all tables."""
    for title, header, rows in tables(data):
        printed = Table(title=title or None, title_justify="left")
        for i, column in enumerate(header):
            printed.add_column(column, justify="right" if i else "left")
        for row in rows:
            printed.add_row(*row)
        console.print(printed)


def markdown(data: dict[str, Any]) -> str:
    """The section of docs/benchmarks.md."""
    installed: dict[str, str] = {}
    for case in data["cases"]:
        for result in case["libraries"].values():
            installed |= {k: v for k, v in result["versions"].items() if k != "numpy"}
    listed = ", ".join(f"{name} {number}" for name, number in sorted(installed.items()))
    parts = ["## The GFlowNet engine beside its peers", SETTING, machine.sentence(data["machine"])]
    parts.append(f"Versions: {listed}.")
    for title, header, rows in tables(data):
        parts += [f"### {title}"] if title else []
        parts.append(report.table(header, rows))
    return "\n\n".join(parts)
