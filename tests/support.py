"""What several tests share."""

from pathlib import Path
from typing import Any

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
