"""Peak memory of a training step: ``python -m tests.benchmarks.memory``.

Every size has a process of its own, whose peak resident memory before its first step of that
size is taken off.
"""

import json
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from tests.benchmarks import machine, report

SIZES = [(128, 30), (256, 30), (512, 30), (1024, 30), (256, 60), (256, 120), (256, 240)]
"""Batch and length of DNA sequences."""

STATUS = Path("/proc/self/status")

HEADER = ["batch", "length", "batch x length", "peak (MiB)", "the line (MiB)"]


def main() -> None:
    """Measure every size, print the table and write it down."""
    rows = [(batch, length, measure(batch, length)) for batch, length in SIZES]
    letters, peaks = [b * n for b, n, _ in rows], [peak for _, _, peak in rows]
    slope, constant = np.polyfit(letters, peaks, 1)
    cells = [
        [
            str(b),
            str(n),
            f"{b * n:,}",
            f"{p / 2**20:.1f}",
            f"{(constant + slope * b * n) / 2**20:.1f}",
        ]
        for b, n, p in rows
    ]
    shown = Table(title="Peak memory of a training step", title_justify="left")
    for column in HEADER:
        shown.add_column(column, justify="right")
    for row in cells:
        shown.add_row(*row)
    Console().print(shown)
    described = machine.describe()
    text = (
        "Default recipe without replay and guidance, MLP of two hidden layers of 256, float32. "
        "What a step of that size adds to the process's peak lies on a line in batch x length: "
        f"{constant / 2**20:.0f} MiB and {slope / 2**10:.2f} KiB for every letter of the batch."
    )
    parts = ["## Memory of a training step", text, machine.sentence(described)]
    markdown = "\n\n".join([*parts, report.table(HEADER, cells)])
    data: dict[str, Any] = {"machine": described, "bytes": rows}
    report.section("memory", markdown, data)


def measure(batch: int, length: int) -> int:
    """Bytes that a training step adds to the peak of a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks.memory", str(batch), str(length)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: int = json.loads(done.stdout)
    return answer


def work(batch: int, length: int) -> int:
    """In the process of its own: warm up with a small batch, then take a few large steps."""
    import torch

    from mfal.envs.sequence import SequenceEnvironment
    from mfal.gfn.agent import Agent
    from mfal.gfn.policy import PolicySettings, make_policy
    from mfal.gfn.settings import TrainSettings
    from mfal.gfn.train import Trainer
    from mfal.verification.exercises import potts

    torch.set_num_threads(1)
    environment = SequenceEnvironment(alphabet="ACGT", length=length)
    log_reward = potts(environment)

    def trainer(size: int) -> Trainer:
        settings = TrainSettings(batch_size=size, replay_share=0.0, guided_every=0, capacity=5_000)
        heads = settings.heads(environment)
        policy = make_policy(PolicySettings(), environment, heads, torch.Generator().manual_seed(0))
        agent = Agent(environment, policy, heads)
        return Trainer(agent, lambda states, _: log_reward(states), settings, seed=0)

    # Two networks, so that the second finds the first one's weights and optimiser in place.
    small, large = trainer(2), trainer(batch)
    small.run(steps=3)
    forget_peak()
    before = peak()
    large.run(steps=3)
    return peak() - before


def forget_peak() -> None:
    """Let Linux start anew from what is resident now; imports may have had a higher peak."""
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Peak resident memory of this process, bytes."""
    if STATUS.exists():
        (found,) = re.findall(r"VmHWM:\s+(\d+) kB", STATUS.read_text())
        return int(found) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    if len(sys.argv) == 3:
        typer.echo(work(int(sys.argv[1]), int(sys.argv[2])))
    else:
        typer.run(main)
