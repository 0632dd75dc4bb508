"""Tables of figures as a comparison gives them, written by hand."""

import pandas as pd

from mfal.compare import NUMBERS, Comparison
from mfal.compare.figures import COLUMNS
from mfal.types import Objective

ENERGY = Objective("energy", "kcal/mol", "min")

COMPARISON = Comparison.model_validate(
    {
        "name": "dna",
        "seeds": [0, 1],
        "campaign": {"problem": "dna", "budget": {"total": 100}},
        "methods": {"gflownet": {}, "evolution": {"sampler": "evolution"}, "random": {}},
    }
)


def figures(method: str, seed: int, cost: float, **metrics: float) -> list[tuple[object, ...]]:
    """Rows of one run after one round; the design cost 10, and means are of many unless it says."""
    of_many = {NUMBERS[m]: 99.0 for m in metrics if m in NUMBERS}
    metrics = of_many | metrics
    return [(method, seed, int(cost), cost + 10, 10.0, m, v) for m, v in metrics.items()]


def table(*rows: list[tuple[object, ...]]) -> pd.DataFrame:
    return pd.DataFrame([row for some in rows for row in some], columns=list(COLUMNS))
