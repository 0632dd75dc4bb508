"""How scoring scales with workers: ``python -m tests.benchmarks.scoring``.

Queries asked through one worker and through two: by worker processes of this machine, and by a
local Dask cluster. One oracle is one that users may have, pure Python, a known number of turns of
a loop; the other is native code that takes a while, ionisation potentials of random molecules by
GFN2-xTB. Each figure is the best of several runs, one worker and two in turn, so that other work
on the machine falls on both alike.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from mfal.propose import random_candidates
from mfal.scoring.scorer import Scorer, scorer
from mfal.sections import Component, ScoringConfig
from mfal.types import Fidelity, Objective, Outcome, Problem, Query
from oracles.molecules import RELAXED, ip
from tests.benchmarks import machine, report

QUERIES = 2_000
TURNS = 120_000  # of the loop: some 5 ms
MOLECULES = 600  # of .2 s, some of them 5 s: the last ones leave a worker without work
REPEATS = 3
HEADER = ["oracle", "runner", "queries", "1 worker (s)", "2 workers (s)", "ratio", "busy of 1"]
HEADER += ["busy of 2"]
Runner = Literal["processes", "dask"]


class Turning:
    """Turns a loop for every candidate."""

    fidelities = (Fidelity("only", 1.0, 1.0),)
    objectives = (Objective("remainder", "1", "max"),)
    backends = {"only": "loop"}  # noqa: RUF012

    def evaluate(self, keys: Sequence[str], fidelity: Fidelity) -> list[Outcome]:
        """A number that takes TURNS turns of a loop for each."""
        return [self._turn(int(key)) for key in keys]

    def _turn(self, x: int) -> Outcome:
        started = time.perf_counter()
        for _ in range(TURNS):
            x = (x * 1103515245 + 12345) % 2**31
        return Outcome((float(x),), None, time.perf_counter() - started)


def problem() -> Problem:
    """The problem by name of this file."""
    return Problem("turning", Turning(), lambda: None)  # type: ignore[arg-type, return-value]


@dataclass(frozen=True)
class Work:
    """What is asked, once the workers have been started with the first of it."""

    oracle: str
    runner: Runner
    component: Component
    fidelities: tuple[Fidelity, ...]
    queries: list[Query]
    chunk_size: int


def works() -> list[Work]:
    """Every kind of work that is measured."""
    loop = Component(name=f"{Path(__file__)}:problem")
    turning = [Query(str(key), "only") for key in range(QUERIES)]
    problem = ip()
    ladder = problem.oracle.fidelities
    keys = random_candidates(problem.environment(), ladder, MOLECULES, seed=0)
    relaxed = [Query(key, RELAXED.name) for key in keys]
    return [
        Work("loop", "processes", loop, Turning.fidelities, turning, 1000),
        Work("loop", "dask", loop, Turning.fidelities, turning, 1000),
        Work("molecules", "processes", Component(name="ip"), ladder, relaxed, 4),
    ]


def main(repeats: int = REPEATS) -> None:
    """Measure, print the table and write it down."""
    found = [(work, *measure(work, repeats)) for work in works()]
    cells = [
        [
            work.oracle,
            work.runner,
            f"{len(work.queries):,}",
            f"{one.elapsed:.1f}",
            f"{two.elapsed:.1f}",
            f"{one.elapsed / two.elapsed:.2f}",
            f"{one.busy:.2f}",
            f"{two.busy:.2f}",
        ]
        for work, one, two in found
    ]
    shown = Table()
    for column in HEADER:
        shown.add_column(column, justify="right")
    for row in cells:
        shown.add_row(*row)
    Console().print(shown)
    described = machine.describe()
    text = (
        f"Queries of a pure Python oracle, {TURNS:,} turns of a loop each, and ionisation "
        "potentials of random molecules at the middle rung, through one worker and through two; "
        f"the best of {repeats} runs in turn. The workers have been started before. Busy is how "
        "many workers were inside the oracle on average: on a machine that has other work to do, "
        "the ratio says what that left, and this what scoring did."
    )
    parts = ["## Scoring with several workers", text, machine.sentence(described)]
    markdown = "\n\n".join([*parts, report.table(HEADER, cells)])
    data: dict[str, Any] = {
        "machine": described,
        "found": [
            {"oracle": w.oracle, "runner": w.runner, "queries": len(w.queries)}
            | {"runs": [asdict(one), asdict(two)]}
            for w, one, two in found
        ],
    }
    report.section("scoring", markdown, data)


@dataclass(frozen=True)
class Run:
    """Seconds that a run took, and how many workers were inside the oracle on average."""

    elapsed: float
    busy: float


def measure(work: Work, repeats: int) -> tuple[Run, Run]:
    """The fastest run with one worker and with two."""
    runs: dict[int, list[Run]] = {1: [], 2: []}
    answers = []
    for _ in range(repeats):
        for workers in runs:
            answer, run = once(work, workers)
            answers.append(answer)
            runs[workers].append(run)
    if any(answer != answers[0] for answer in answers):
        raise RuntimeError("answers depend on the number of workers")
    one, two = (min(of, key=lambda run: run.elapsed) for of in runs.values())
    return one, two


def once(work: Work, workers: int) -> tuple[dict[Query, Any], Run]:
    """The answers, and how they came once the workers had been started."""
    config = ScoringConfig(runner=work.runner, workers=workers, chunk_size=work.chunk_size)
    with scorer(work.component, work.fidelities, 1, config) as asker:
        ask(asker, work.queries[: len(work.queries) // 10 * workers])  # enough to start each
        started = time.perf_counter()
        outcomes = ask(asker, work.queries)
        elapsed = time.perf_counter() - started
        inside = sum(outcome.seconds for outcome in outcomes.values())
        return {q: o.values for q, o in outcomes.items()}, Run(elapsed, inside / elapsed)


def ask(asker: Scorer, queries: Sequence[Query]) -> dict[Query, Outcome]:
    """Outcomes by query."""
    asker.ask(list(queries))
    found: dict[Query, Outcome] = {}
    while asker.waiting:
        found |= dict(asker.answers())
    return found


if __name__ == "__main__":
    typer.run(main)
