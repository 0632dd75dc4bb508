"""The motif problem with places at which a campaign stops, so that it can be killed there.

A folder says where: its file ``stop`` holds a stage and which occurrence of it, such as
``append 2``. Whoever comes there writes its process down in ``stopped`` and waits for the file
``go``. Each place stops once. Every candidate asked is a line of ``calls``.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from mfal.types import Fidelity, Outcome, Problem
from tests.problems import motif

_folder: Path | None = None


def stop(stage: str) -> None:
    """Wait here if this is the place."""
    if _folder is None or not (_folder / "stop").exists():
        return
    wanted, occurrence = (_folder / "stop").read_text().split()
    if wanted != stage:
        return
    with (_folder / "count").open("a") as file:
        file.write(".")
    # The count is kept in a file: an oracle's process may be another one each time.
    if len((_folder / "count").read_text()) != int(occurrence):
        return
    temporary = _folder / "stopping"
    temporary.write_text(f"{os.getpid()} {os.getppid()}")
    temporary.rename(_folder / "stopped")
    while not (_folder / "go").exists():
        time.sleep(0.05)


class StoppingOracle(motif.MotifOracle):
    def evaluate(self, keys: Sequence[str], fidelity: Fidelity) -> list[Outcome]:
        outcomes = super().evaluate(keys, fidelity)
        stop("score")
        return outcomes


def _in_the_transaction(*arguments: Any) -> None:
    statement = arguments[2]
    if statement.startswith("INSERT INTO outcomes"):
        stop("append")


def problem(folder: str) -> Problem:
    global _folder
    _folder = Path(folder)
    if not event.contains(Engine, "after_cursor_execute", _in_the_transaction):
        event.listen(Engine, "after_cursor_execute", _in_the_transaction)
    calls = str(_folder / "calls")
    plain = motif.problem()
    oracle = StoppingOracle(Path(calls), slow=0.02, trouble="", backend="motif", gate=None)
    return Problem("motif", oracle, plain.environment)
