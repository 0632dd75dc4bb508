"""A problem with a computed model and an assay that people measure, and files of its batches."""

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mfal.campaign import Campaign

# The model is computed, and writes down what it is asked; the assay is measured by hand.
BENCH = """
from pathlib import Path
from mfal import Fidelity, Objective, Problem, oracle

def problem(calls: str) -> Problem:
    @oracle(
        fidelities=[Fidelity("model", 0.1, 0.5), Fidelity("assay", 7, 1.0, manual=True)],
        objectives=[Objective("binding", "nM", "min")],
    )
    def model(key: str) -> float:
        with Path(calls).open("a") as file:
            file.write(f"model {key}\\n")
        return 10.0 - key.count("A")

    def environment():
        from mfal.envs.sequence import SequenceEnvironment
        return SequenceEnvironment(alphabet="ACGT", length=8)

    return Problem("bench", model, environment)
"""


def batch(folder: Path, number: int) -> Path:
    return folder / "data" / "bench" / "batches" / f"round-{number}-assay.csv"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def save(path: Path, rows: Sequence[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def fill(path: Path, rows: Iterable[int], measure: Callable[[str], str] | None = None) -> Path:
    """A copy of a batch with these rows filled in: values, or why there is none."""
    table = read(path)
    for i in rows:
        said = (measure or assay)(table[i]["candidate"])
        table[i]["binding" if said[0].isdigit() else "error"] = said
    filled = path.with_name(f"filled-{path.name}")
    save(filled, table)
    return filled


def assay(key: str) -> str:
    return str(20 - 2 * key.count("A"))


def state(campaign: Campaign) -> tuple[float, float, int]:
    """Spent, left, and answers."""
    store = campaign.store
    return store.spent(), campaign.left, len(store.observations())
