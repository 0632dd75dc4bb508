"""Several methods and seeds on one problem, at equal cost, through the same rounds.

`load_comparison` reads what to compare, `run_comparison` runs what is left of it, `curves` gives
every figure of every run after every round as one table, and `final` the last of them.
"""

from mfal.compare.config import Comparison, MeasureConfig, load_comparison
from mfal.compare.figures import (
    COLUMNS,
    NUMBERS,
    at_cost,
    beyond_design,
    curves,
    final,
    write_curves,
)
from mfal.compare.outside import score_outside
from mfal.compare.run import run_comparison
from mfal.compare.runs import Run, runs_of

__all__ = [
    "COLUMNS",
    "NUMBERS",
    "Comparison",
    "MeasureConfig",
    "Run",
    "at_cost",
    "beyond_design",
    "curves",
    "final",
    "load_comparison",
    "run_comparison",
    "runs_of",
    "score_outside",
    "write_curves",
]
