"""The table that ends a comparison: as wide as a terminal, in the objective's unit."""

import io
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from mfal.cli.compare import SHOWN, final_table
from mfal.compare import COLUMNS, load_comparison, runs_of
from mfal.types import Objective
from tests.support import ROOT

ENERGY = Objective("energy", "kcal/mol", "min")
COUNTS = {"diverse_n": 99.0, "n_target": 1234.0}


def shown(path: Path, value: float, width: int = 80) -> list[str]:
    """The lines of a table in which every figure is this value, counts apart."""
    comparison = load_comparison(path)
    runs = runs_of(comparison)
    table = pd.DataFrame(
        [
            (run.method, run.seed, 1, 100.0, 50.0, name, COUNTS.get(name, value))
            for run in runs
            for name in SHOWN
        ],
        columns=list(COLUMNS),
    )
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(final_table(comparison, runs, table, ENERGY))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_a_method_that_has_not_begun_is_named() -> None:
    path = ROOT / "configs" / "compare" / "smoke.yaml"
    comparison = load_comparison(path)
    begun, *others = comparison.methods
    seed = comparison.seeds[0]
    table = pd.DataFrame([(begun, seed, 1, 9.0, 5.0, "top_k", 1.0)], columns=list(COLUMNS))
    console = Console(record=True, width=80, file=io.StringIO())
    console.print(final_table(comparison, runs_of(comparison), table, ENERGY))
    lines = [line.split() for line in console.export_text().splitlines()]
    assert [[name, "not", "begun"] for name in others] == [
        line for line in lines if "begun" in line
    ]
    assert sum("median" in line for line in lines) == 1


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs" / "compare").glob("*.yaml")), ids=lambda p: p.stem
)
@pytest.mark.parametrize(("value", "text"), [(-25.091, "-25.09"), (-1234.6, "-1235")])
def test_eighty_columns_are_enough(path: Path, value: float, text: str) -> None:
    lines = shown(path, value)
    assert max(map(len, lines)) <= 80 and not any("…" in line for line in lines)
    assert "energy (kcal/mol) at the end, lower is better" in lines[0]
    assert lines[1].split() == ["method", "seed", *SHOWN.values()]
    comparison = load_comparison(path)
    rows = [line.split() for line in lines if line.split()[:1] and line.split()[0] != "median"]
    figures = [text] * 5
    for method in comparison.methods:
        row = [method, str(comparison.seeds[0]), *figures, "99", "1234"]
        assert row in rows


def test_values_are_told_apart_in_any_unit() -> None:
    path = ROOT / "configs" / "compare" / "smoke.yaml"
    assert "3.142e-06" in "\n".join(shown(path, 3.1416e-6, 120))
    assert "-10.01" in "\n".join(shown(path, -10.01))


def test_the_line_below_the_seeds_is_their_median() -> None:
    path = ROOT / "configs" / "compare" / "smoke.yaml"
    comparison = load_comparison(path, ["seeds=[0, 1, 2]"])
    method = next(iter(comparison.methods))
    values = {0: -9.0, 1: -8.0, 2: -1.0}
    table = pd.DataFrame(
        [(method, seed, 1, 9.0, 5.0, "top_k", value) for seed, value in values.items()],
        columns=list(COLUMNS),
    )
    console = Console(record=True, width=80, file=io.StringIO())
    console.print(final_table(comparison, runs_of(comparison), table, ENERGY))
    (median,) = [line for line in console.export_text().splitlines() if "median" in line]
    assert "-8.000" in median
