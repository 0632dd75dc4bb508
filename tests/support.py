"""What several tests share."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from mfal.scoring.scorer import Scorer
from mfal.types import Objective, Outcome, Problem, Query

ROOT = Path(__file__).resolve().parent.parent
MOTIF = f"{ROOT}/tests/problems/motif.py:problem"


def motif_settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """A small campaign on the motif problem, as plain values."""
    settings: dict[str, Any] = {
        "name": "motif",
        "problem": {"name": MOTIF, "options": {"calls": str(folder / "calls.txt")}},
        "seed": 1,
        "budget": {"total": 100},
        "initial": {"queries": {"half": 12, "whole": 6}},
        "batch": {"cost": 12},
        "features": [{"name": "kmers", "options": {"alphabet": "ACGT", "k": 2}}],
        "sampler": {"name": "gflownet", "options": {"train": {"steps": 10, "batch_size": 32}}},
        "proposals": 100,
        "scoring": {"chunk_size": 5, "timeout_seconds": 60.0},
        "data_dir": str(folder / "data"),
    }
    for path, value in changes.items():
        *parents, leaf = path.split("__")
        here = settings
        for parent in parents:
            here = here.setdefault(parent, {})
        here[leaf] = value
    return settings


def in_unit(problem: Problem, unit: str) -> Problem:
    """The problem with its first objective in another unit."""
    return with_objective(problem, replace(problem.oracle.objectives[0], unit=unit))


def with_objective(problem: Problem, objective: Objective) -> Problem:
    """The problem with another first objective."""
    oracle: Any = copy(problem.oracle)
    oracle.objectives = (objective, *problem.oracle.objectives[1:])
    return replace(problem, oracle=oracle)


def score(scorer: Scorer, queries: Sequence[Query]) -> list[Outcome]:
    """Outcomes in the order of the queries, however they come in."""
    scorer.ask(queries)
    found: list[tuple[Query, Outcome]] = []
    while scorer.waiting:
        found += scorer.answers()
    assert sorted(query for query, _ in found) == sorted(queries)
    by_query = dict(found)
    return [by_query[query] for query in queries]


def worker_processes() -> set[int]:
    """Processes that this one has started to ask oracles."""
    return {
        child.pid
        for child in psutil.Process().children()
        if any("mfal.scoring.worker" in word for word in child.cmdline())
    }
