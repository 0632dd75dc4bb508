"""docs/reliability.md: what came of every cell of the kill matrix, as far as it was run.

The figures behind it are in docs/reliability.json, where each run replaces its own cells.
"""

import json
from collections import Counter
from datetime import date
from pathlib import Path

from tests.benchmarks.report import table
from tests.support import ROOT

DOCS = ROOT / "docs"
REPETITIONS = 3

TITLE = """# Reliability: the kill matrix

Written by `make test-all` (`tests/reliability`). A campaign is stopped in the middle of a stage,
a process is killed with `kill -9`, and the campaign goes on, by itself or by the same command
again. A repetition counts if afterwards

- the ledger equals that of an undisturbed run with the same seed: every round, query, answer,
  cost and engine;
- no answer that was in the ledger when the process was killed was asked for again, by the
  oracle's own count of its calls;
- the budget spent is the same to the last digit.

*fit* is stopped after the model is fitted, *train* in the middle of training, *propose* while
the batch is chosen, *score* inside the oracle, *append* between writing answers and committing
them. Repetitions stop at different places: in the initial design, at the change of fidelity and
in the batch.

A server that runs by itself is started again at once, as whatever watches over a service would do.
A round's own server cannot be: its flow gives it up after a minute or two, and one that is not over
after 400 s is killed, too, and run again.

A cell says how many repetitions held, of how many that were run, and what it took: *on*, the run
went on by itself; *again*, the command was given again.
"""

WAYS = {
    "round": "`make round`: the shell, under Prefect with a server of its own",
    "served": "A served run: `make serve` with a server that runs",
    "dask": "On Dask: a local cluster, `scoring.runner: dask`",
}


def note(way: str, target: str, stage: str, repetition: int, outcome: str, docs: Path) -> None:
    """Put the outcome of one repetition down, and write the page anew."""
    figures = docs / "reliability.json"
    known = json.loads(figures.read_text()) if figures.exists() else {}
    known[f"{way} / {target} / {stage} / {repetition}"] = {
        "outcome": outcome,
        "date": date.today().isoformat(),
    }
    figures.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    (docs / "reliability.md").write_text(page(known))


def page(known: dict[str, dict[str, str]]) -> str:
    """The page for these repetitions."""
    from tests.reliability.harness import STAGES, TARGETS

    parts = [TITLE, _dates(known)]
    for way, heading in WAYS.items():
        rows = [
            [f"{target} killed", *(_cell(known, way, target, stage) for stage in STAGES)]
            for target in TARGETS[way]
        ]
        parts += [f"## {heading}", table(["", *STAGES], rows)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _dates(known: dict[str, dict[str, str]]) -> str:
    """Between which days the repetitions were run."""
    days = sorted(row["date"] for row in known.values())
    first, last = days[0], days[-1]
    when = f"on {first}" if first == last else f"from {first} to {last}"
    return f"The repetitions below were run {when}, each with the code of its day."


def _cell(known: dict[str, dict[str, str]], way: str, target: str, stage: str) -> str:
    names = [f"{way} / {target} / {stage} / {i + 1}" for i in range(REPETITIONS)]
    found = [known[name]["outcome"] for name in names if name in known]
    if not found:
        return "not run"
    held = [outcome for outcome in found if outcome != "failed"]
    how = ", ".join(kind for kind, _ in Counter(held).most_common())
    return f"{len(held)}/{len(found)} {how}"
