"""What it cost the runs of a comparison to come to a value."""

from dataclasses import replace

import pandas as pd

from mfal.report.comparison_figures import MEASURES
from mfal.report.comparison_page import comparison_page
from mfal.report.page import Grid
from mfal.types import Objective
from tests.unit.report.comparisons import COMPARISON, ENERGY, figures, table

REACHING = table(
    figures("gflownet", 0, 10, top_k=-5.5, n_target=4),
    figures("gflownet", 0, 20, top_k=-6.0, n_target=5),
    figures("gflownet", 0, 40, top_k=-9.0, n_target=8),
    figures("gflownet", 1, 20, top_k=-5.0, n_target=5),
    figures("gflownet", 1, 30, top_k=-7.0, n_target=6),
    figures("evolution", 0, 10, top_k=-8.0, n_target=5),
    figures("evolution", 1, 20, top_k=-9.0, n_target=4),
    figures("evolution", 1, 40, top_k=-8.5, n_target=5),
)


def costs_to_reach(rows: pd.DataFrame, objective: Objective, *reach: float) -> list[Grid]:
    """The tables of what it cost to reach values, with K = 5."""
    measure = COMPARISON.measure.model_copy(update={"reach": reach})
    comparison = COMPARISON.model_copy(update={"measure": measure})
    sections = comparison_page(comparison, rows, objective, 5).sections
    return [grid for s in sections if s.title == "Cost to reach" for grid in s.grids]


def test_costs_to_reach_are_those_of_the_first_mean_of_k_values_that_is_good_enough() -> None:
    (grid,) = costs_to_reach(REACHING, ENERGY)
    assert grid.header == ("value to reach (kcal/mol)", "method", "seed 0", "seed 1", "median")
    # Of gflownet's ends, -9 and -7, the median is -8; at 20 evolution's second seed has four.
    assert grid.rows == [
        ("-8.000", "gflownet", "40", "–", "not reached"),
        ("-8.000", "evolution", "10", "40", "25"),
    ]


def test_values_of_a_users_own_are_reached_in_rows_of_their_own() -> None:
    (grid,) = costs_to_reach(REACHING, ENERGY, -5.2, -9.5)
    assert grid.rows[2:] == [
        ("-5.200", "gflownet", "20", "30", "25"),
        ("-5.200", "evolution", "10", "40", "25"),
        ("-9.500", "gflownet", "–", "–", "not reached"),
        ("-9.500", "evolution", "–", "–", "not reached"),
    ]


def test_a_value_is_reached_from_below_where_higher_is_better() -> None:
    upwards = REACHING.assign(value=REACHING["value"].abs())
    (down,) = costs_to_reach(REACHING, ENERGY)
    (up,) = costs_to_reach(upwards, replace(ENERGY, goal="max"))
    assert [row[2:] for row in up.rows] == [row[2:] for row in down.rows]


def test_every_mean_of_the_k_best_has_its_costs_and_one_of_fewer_than_k_has_none() -> None:
    rows = table(
        figures("gflownet", 0, 20, top_k=-9.0, n_target=5, similarity=0.5),
        figures("gflownet", 0, 30, diverse_top_k=-7.0, diverse_n=4),
        figures("gflownet", 0, 40, published_top_k=-9.5, published_n=5),
        figures("random", 1, 20, published_top_k=-9.7, published_n=4),
        figures("random", 1, 30, published_top_k=-9.6, published_n=6),
        figures("random", 1, 40, published_diverse_top_k=-9.0, published_diverse_n=5),
    )
    found = {grid.caption: list(grid.rows) for grid in costs_to_reach(rows, ENERGY)}
    assert found == {
        MEASURES["top_k"].meaning: [
            ("-9.000", "gflownet", "20", "", "20"),
            ("-9.000", "random", "", "–", "not reached"),
        ],
        MEASURES["published_top_k"].meaning: [
            ("-9.500", "gflownet", "40", "", "40"),
            ("-9.500", "random", "", "30", "30"),
        ],
    }
    assert len(costs_to_reach(rows, ENERGY, -9.0)) == 4


def test_without_a_mean_of_k_values_there_is_nothing_to_reach() -> None:
    assert costs_to_reach(table(figures("gflownet", 0, 20, top_k=-9.0, n_target=4)), ENERGY) == []
