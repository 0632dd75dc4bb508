"""A check for a person at a terminal, or for a program that reads JSON."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mfal.check import CheckReport, check_problem
from mfal.digits import amount, rough
from mfal.sections import Component
from mfal.types import aim
from mfal.yaml_file import apply_overrides


def check_in_terminal(
    name: str,
    changes: Sequence[str] = (),
    *,
    n: int | None = None,
    seed: int = 0,
    file: Path | None = None,
    timeout: float = 60.0,
    as_json: bool = False,
) -> bool:
    """Hold the problem called `name` to the laws, show what came of it, and say if it passed.

    Args:
        changes: Options of the problem, such as ``length=20``.
        n: Candidates that its oracle is asked about.
        file: Where they are drawn from; random ones without.
        timeout: Seconds that one of them may take.
        as_json: Print JSON instead of tables.
    """
    torch.set_num_threads(1)
    options: dict[str, Any] = {}
    apply_overrides(options, changes)
    with (
        Console(stderr=True).status("") as status,  # which a terminal alone shows
        redirect_stdout(sys.stderr),  # what a user's code prints is no part of the report
    ):
        report = check_problem(
            Component(name=name, options=options),
            n,
            seed,
            file=file,
            timeout_seconds=timeout,
            on_step=lambda step: status.update(Text(step)),
        )
    console = Console(markup=False)
    if as_json:
        console.out(json.dumps(asdict(report) | {"passed": report.passed}, indent=2))
    else:
        show_report(console, report)
    return report.passed


def show_report(console: Console, report: CheckReport) -> None:
    """What is sought, the laws, what each fidelity costs and takes, and the sum of it."""
    console.print(f"{report.title}  {report.problem}", style="bold")
    console.print(Text(aim(report.objectives)))
    for law in report.laws:
        held = Text("ok    ", "green") if law.broken is None else Text("BROKEN", "bold red")
        console.print(Text.assemble(held, f"  {law.suite}: {law.name}"))
        if law.broken is not None:
            console.print(Padding(Text(law.broken), (0, 0, 0, 8)))
    console.print(_rungs(report))
    for rung in report.rungs:
        if rung.reason is not None:
            reason, n = rung.reason
            failed = f"{rung.failed} of {rung.asked} candidates have failed"
            console.print(f"{rung.fidelity.name}: {failed}, {n} with: {reason}")
    broken = Counter(law.suite for law in report.laws if law.broken is not None)
    counts = ", ".join(
        f"{n} law{'s' if n > 1 else ''} of the {suite}" for suite, n in broken.items()
    )
    said = f"broken: {counts}" if broken else f"all {len(report.laws)} laws hold"
    console.print(said, style="bold red" if broken else "bold green")


def _rungs(report: CheckReport) -> Table:
    table = Table(box=None, pad_edge=False)
    for i, column in enumerate(
        ("fidelity", "level", "cost", "s per call", "failed", "answered by")
    ):
        table.add_column(column, justify="right" if 0 < i < 5 else "left")
    for rung in report.rungs:
        f = rung.fidelity
        table.add_row(
            Text(f.name),
            f"{f.level:g}",
            amount(f.cost),
            "–" if rung.seconds is None else rough(rung.seconds),
            "–" if rung.failed is None else f"{rung.failed} of {rung.asked}",
            Text(rung.backend),
        )
    return table
