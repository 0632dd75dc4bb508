"""Comparisons of quick methods, and what their ledgers hold."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from mfal.campaign import open_campaign
from mfal.compare import Comparison, load_comparison, runs_of
from mfal.round import run_rounds
from tests.support import motif_settings

SINGLE = {"fidelities": ["whole"], "initial.queries": {"whole": 10}}  # 10 x 3 = 12 x 1 + 6 x 3

LEDGER = """
SELECT r.number, r.kind, q.position, q.key, q.fidelity, q.cost, o."values"
FROM queries q JOIN rounds r ON r.id = q.round_id LEFT JOIN outcomes o ON o.query_id = q.id
ORDER BY r.number, q.position
"""


def written(folder: Path, without: Sequence[str] = (), **changes: Any) -> Path:
    """The file of a comparison of three quick methods on the motif problem, asked by threads."""
    fixed = {"budget__total": 54, "scoring__runner": "threads"}
    campaign = motif_settings(folder, **fixed | changes)
    for field in ("name", "seed", "data_dir"):
        del campaign[field]
    settings: dict[str, Any] = {
        "name": "motif",
        "seeds": [0, 1],
        "processes": 1,  # each of them imports torch
        "campaign": campaign,
        "methods": {
            "evolution": {"sampler": {"name": "evolution", "options": {"generations": 2}}},
            "breeding": {"surrogate": None, "sampler": "breeding", **SINGLE},
            "random": {"surrogate": None, "sampler": "random", **SINGLE},
        },
        "measure": {
            "mode": 6.0,
            "at_most": 0.5,
            "scale": {"label": "x", "slope": 2, "intercept": 1},
        },
        "data_dir": str(folder / "data"),
    }
    for method in without:
        del settings["methods"][method]
    path = folder / "compare.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def play(comparison: Comparison) -> None:
    """All runs, to their ends, in this process."""
    for run in runs_of(comparison):
        with open_campaign(run.config) as campaign:
            run_rounds(campaign, None)


def ledgers(path: Path) -> dict[str, list[Any]]:
    found = {}
    for run in runs_of(load_comparison(path)):
        with sqlite3.connect(run.config.folder / "ledger.db") as connection:
            found[run.name] = connection.execute(LEDGER).fetchall()
    return found
