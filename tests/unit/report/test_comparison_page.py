"""What the report of a comparison says, on tables whose answer is known."""

from pathlib import Path

import pandas as pd
import pytest

from mfal.compare.figures import at_cost, final, write_curves
from mfal.errors import DataError
from mfal.report.comparison_figures import against_cost, quality_and_variety
from mfal.report.comparison_page import common_cost, comparison_page, standing, verdict
from mfal.report.html import render
from mfal.report.published import PublishedCurve
from mfal.types import Objective
from tests.unit.report.comparisons import COMPARISON, ENERGY, figures, table

TWO_METHODS = table(
    figures("gflownet", 0, 20, top_k=-9.0, similarity=0.5, share_low=0.25, share_high=0.75),
    figures("gflownet", 0, 40, top_k=-12.0, similarity=0.6, share_low=0.5, share_high=0.5),
    figures("gflownet", 1, 40, top_k=-11.0, similarity=0.6, share_low=0.5, share_high=0.5),
    figures("evolution", 0, 20, top_k=-10.0, similarity=0.8, share_low=0.1, share_high=0.9),
    figures("evolution", 0, 30, top_k=-13.0, similarity=0.9, share_low=0.1, share_high=0.9),
)


def test_a_digit_of_floats_takes_no_round_away() -> None:
    # 28.7 + 100 - 28.7 is 99.99999999999999 in floats, and .1 + 100 - .1 is 100.
    rows = table(
        [("a", 0, 1, 28.7 + 100, 28.7, "top_k", 2.0), ("b", 0, 1, 0.1 + 100, 0.1, "top_k", 3.0)]
    )
    assert common_cost(rows) == 100
    assert at_cost(rows, 100)["top_k"].to_list() == [2.0, 3.0]


def test_a_median_ends_where_the_first_seed_does() -> None:
    rows = table(
        figures("a", 0, 20, top_k=1.0),
        figures("a", 0, 40, top_k=5.0),
        figures("a", 1, 20, top_k=2.0),
    )
    (axes,) = against_cost(rows, "top_k", ENERGY, 5).axes
    assert list(axes.get_lines()[0].get_xdata()) == [20.0]


def test_nobody_leads_what_is_as_good() -> None:
    figures = means(evolution=[1.0], gflownet=[1.0])
    assert standing(figures, "gflownet", ENERGY).startswith("gflownet leads with 1.000")


def test_who_has_no_true_values_yet_is_not_left_behind_by_them() -> None:
    rows = table(
        figures("gflownet", 0, 20, top_k=-9.0),
        figures("random", 0, 20, top_k=-2.0, published_top_k=-2.0),
    )
    said = verdict(COMPARISON, rows, ENERGY, 5)
    assert "gflownet leads with -9.000" in said and "random leads" not in said


def test_a_mean_of_fewer_than_k_leads_nobody() -> None:
    rows = table(
        figures("gflownet", 0, 20, top_k=-9.0, n_target=5, diverse_top_k=-9.0, diverse_n=4),
        figures("gflownet", 1, 20, top_k=-8.0, n_target=6, diverse_top_k=-8.0, diverse_n=4),
        figures("random", 0, 20, top_k=-9.5, n_target=4, diverse_top_k=-9.5, diverse_n=4),
        figures("random", 1, 20, top_k=-8.4, n_target=5, diverse_top_k=-8.4, diverse_n=4),
    )
    said = verdict(COMPARISON, rows, ENERGY, 5)
    assert said.endswith(
        "By the 5 best that were measured, alike or not, gflownet leads with -8.500 kcal/mol; "
        "random is level with gflownet. Means of fewer than 5 are left out."
    )
    assert "differ" not in said


def means(**by_method: list[float]) -> "pd.Series[float]":
    index = [(method, seed) for method, seeds in by_method.items() for seed in range(len(seeds))]
    values = [value for seeds in by_method.values() for value in seeds]
    return pd.Series(values, pd.MultiIndex.from_tuples(index, names=["method", "seed"]))


def test_one_of_a_kind_is_one_and_a_number_without_a_unit_has_none() -> None:
    alone = COMPARISON.model_copy(update={"methods": {"gflownet": {}}, "seeds": (0,)})
    rows = table(figures("gflownet", 0, 20, top_k=9.0))
    said = verdict(alone, rows, Objective("Branin", "1", "min"), 5)
    assert "(1 method, 1 seed each)" in said and "ahead" not in said
    assert said.endswith("gflownet has 9.000.")


def test_ends_are_in_the_order_of_seeds_whichever_ended_first() -> None:
    rounds = {0: 30, 1: 10, 2: 20}
    ends = final(table(*(figures("a", seed, n, top_k=1.0) for seed, n in rounds.items())))
    assert ends.index.to_list() == [("a", 0), ("a", 1), ("a", 2)]


def test_methods_are_compared_at_the_cost_that_every_run_has_reached() -> None:
    assert common_cost(TWO_METHODS) == 30
    said = verdict(COMPARISON, TWO_METHODS, ENERGY, 5)
    # At 30 the second seed of gflownet has no figure yet, and the first is at -9.
    assert "3 of 6 runs have begun (3 methods, 2 seeds each)." in said
    assert "All have spent 30 campaign units beyond the initial design" in said
    assert (
        "what follows is at that cost, by the median over seeds (lower is better): a method is "
        "ahead of every seed of gflownet if its median is better than each of them, and level if "
        "it lies among them." in said
    )
    assert (
        "By the 5 best that were measured, alike or not, evolution leads with -13.00 kcal/mol; "
        "gflownet has -9.000; evolution is ahead of every seed of gflownet." in said
    )


def test_what_holds_by_two_readings_is_said_once() -> None:
    rows = table(
        figures("gflownet", 0, 20, top_k=-9.0, diverse_top_k=-9.0, published_top_k=-9.5),
        figures("random", 0, 20, top_k=-2.0, diverse_top_k=-2.0, published_top_k=-2.0),
    )
    said = verdict(COMPARISON, rows, ENERGY, 5)
    assert said.endswith(
        "By the mean of the 5 best that were measured and differ from each other, and by the 5 "
        "best that were measured, alike or not, gflownet leads with -9.000 kcal/mol. By the 5 best "
        "true values of all that was queried, gflownet leads with -9.500 kcal/mol."
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (means(a=[-9, -8], b=[-7, -6]), "a leads with -8.500 kcal/mol"),
        (
            means(a=[-9, -7], b=[-8, -8]),
            "a leads with -8.000 kcal/mol; b is level with a",
        ),
        (
            means(a=[-9, -7], b=[-9, -8], c=[-10, -11], d=[-12, -13]),
            "d leads with -12.50 kcal/mol; a has -8.000; d and c are ahead of every seed of a; "
            "b is level with a",
        ),
        (means(b=[-9.0]), "b has -9.000 kcal/mol; a has no such figure yet"),
    ],
)
def test_it_says_who_is_ahead_of_the_first_method_and_who_is_level(
    found: "pd.Series[float]", said: str
) -> None:
    assert standing(found, "a", ENERGY) == said


def test_higher_is_ahead_where_the_objective_is_maximised() -> None:
    found = means(a=[1.0], b=[2.0])
    assert standing(found, "a", Objective("affinity", "eV", "max")) == (
        "b leads with 2.000 eV; a has 1.000; b is ahead of every seed of a"
    )
    tiny = Objective("length", "m", "max")
    assert standing(found * 1e-9, "a", tiny).startswith("b leads with 2.000e-09 m; a has 1.000e-09")


def test_lines_are_medians_over_seeds_against_what_was_spent_beyond_the_design() -> None:
    (axes,) = against_cost(TWO_METHODS, "top_k", ENERGY, 5).axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
    assert lines == {
        "gflownet": [[40, -11.5]],  # from where both seeds have a figure
        "evolution": [[20, -10.0], [30, -13.0]],
    }
    assert axes.yaxis_inverted()
    assert {line.get_drawstyle() for line in axes.get_lines()} == {"steps-post"}


def test_a_line_is_dashed_as_long_as_a_seed_has_fewer_than_k() -> None:
    numbers = {20: (5, 4), 30: (5, 5), 40: (5, 5)}
    rows = table(
        *(
            figures("a", seed, cost, top_k=float(cost + seed), n_target=n)
            for cost, of_seeds in numbers.items()
            for seed, n in enumerate(of_seeds)
        )
    )
    (axes,) = against_cost(rows, "top_k", ENERGY, 5).axes
    lines = [(line.get_linestyle(), line.get_xydata().tolist()) for line in axes.get_lines()]
    assert lines == [("--", [[20, 20.5], [30, 30.5]]), ("-", [[30, 30.5], [40, 40.5]])]
    assert len(axes.get_legend().get_texts()) == 1
    (axes,) = against_cost(rows, "top_k", ENERGY, 6).axes
    assert [line.get_linestyle() for line in axes.get_lines()] == ["--"]
    assert len(axes.get_legend().get_texts()) == 1


def test_nine_methods_are_told_apart_without_their_colours() -> None:
    nine = [f"method {i}" for i in range(9)]
    rows = table(*(figures(m, 0, n, top_k=n, similarity=0.5) for m in nine for n in (20.0, 30.0)))
    for figure in (against_cost(rows, "top_k", ENERGY, 5), quality_and_variety(rows, "", ENERGY)):
        lines = figure.axes[0].get_lines()
        assert [line.get_label() for line in lines] == nine
        assert len({line.get_marker() for line in lines}) == 9
        assert len({line.get_color() for line in lines[:8]}) == 8
        legend = figure.axes[0].get_legend().legend_handles
        assert [h.get_marker() for h in legend] == [line.get_marker() for line in lines]


def test_a_method_looks_the_same_where_another_has_no_figure() -> None:
    rows = table(
        figures("a", 0, 20, published_top_k=1.0), figures("b", 0, 20, top_k=1, published_top_k=1)
    )
    looks = [
        [(line.get_color(), line.get_marker()) for line in figure.axes[0].get_lines()]
        for figure in (against_cost(rows, m, ENERGY, 5) for m in ("top_k", "published_top_k"))
    ]
    assert looks[0] == looks[1][1:]


def test_columns_have_their_units_and_methods_the_order_of_the_file() -> None:
    backwards = TWO_METHODS.iloc[::-1]
    sections = comparison_page(COMPARISON, backwards, ENERGY, 5).sections
    ends, shares = (
        next(s.grids[0] for s in sections if s.title == title)
        for title in ("Every seed at its end", "Where the cost went")
    )
    assert list(ends.header) == [
        *("method", "seed", "cost", "best K, measured (kcal/mol)", "similarity, measured")
    ]
    assert "K = 5." in ends.caption and "campaign units" in ends.caption
    assert "Of energy (kcal/mol), lower is better" in ends.caption
    assert ends.rows[0] == ("gflownet", "0", "40", "-12.00", "0.600")
    assert [row[0] for row in shares.rows] == ["gflownet", "evolution"]


@pytest.mark.parametrize(
    ("first", "last", "scale"),
    [(57.0, 0.5, "log"), (0.5, 57.0, "log"), (9.0, 0.5, "linear"), (57.0, -0.5, "linear")],
)
def test_values_over_decades_have_a_logarithmic_axis(first: float, last: float, scale: str) -> None:
    rows = table(figures("a", 0, 20, top_k=first), figures("a", 0, 40, top_k=last))
    for goal in ("min", "max"):
        (axes,) = against_cost(rows, "top_k", Objective("Branin", "1", goal), 5).axes
        assert axes.get_yscale() == scale
        assert axes.yaxis_inverted() == (goal == "min")


def test_published_curves_are_laid_over_the_published_reading() -> None:
    rows = table(figures("gflownet", 0, 20, published_top_k=-9.0))
    curve = PublishedCurve("theirs", "a paper", (5.0, 25.0), (-3.0, -4.0))
    (axes,) = against_cost(rows, "published_top_k", ENERGY, 5, [curve]).axes
    assert axes.get_lines()[-1].get_xydata().tolist() == [[5, -3], [25, -4]]
    assert axes.get_lines()[-1].get_drawstyle() == "default"  # only its points are known
    page = render(comparison_page(COMPARISON, rows, ENERGY, 5, [curve]))
    assert "a paper" in page and "joined by straight lines" in page


def test_quality_over_variety_has_a_line_a_run_and_a_marker_at_its_end() -> None:
    (axes,) = quality_and_variety(TWO_METHODS, "", ENERGY).axes
    paths = [line.get_xydata().tolist() for line in axes.get_lines()]
    assert paths == [
        [[0.5, -9], [0.6, -12]],
        [[0.6, -11]],
        [[0.8, -10], [0.9, -13]],
    ]
    assert {tuple(line.get_markevery()) for line in axes.get_lines()} == {(-1,)}


def test_curves_that_cannot_be_written_say_so(tmp_path: Path) -> None:
    (tmp_path / "curves.csv").symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"the curves cannot be written: .*No space"):
        write_curves(TWO_METHODS, tmp_path)


THREE_SEEDS = table(
    *(
        figures(method, seed, 40, top_k=value, share_low=share)
        for method, values in {"gflownet": (-9.0, -8.0, -1.0), "random": (-8.0, -8.0, -8.0)}.items()
        for seed, (value, share) in enumerate(zip(values, (0.1, 0.2, 0.9), strict=True))
    )
)


def test_medians_are_no_means() -> None:
    (axes,) = against_cost(THREE_SEEDS, "top_k", ENERGY, 3).axes
    assert [list(line.get_ydata()) for line in axes.get_lines()] == [[-8.0], [-8.0]]
    page = comparison_page(COMPARISON, THREE_SEEDS, ENERGY, 3)
    rows = {s.title: s.grids[0].rows for s in page.sections if s.grids}
    ends = [row[3] for row in rows["Every seed at its end"] if row[1] == "median"]
    assert ends == ["-8.000", "-8.000"]
    assert [row[1] for row in rows["Where the cost went"]] == ["20%", "20%"]
    said = standing(final(THREE_SEEDS)["top_k"], "gflownet", ENERGY)
    assert said.startswith("gflownet leads with -8.000") and "random is level with gflownet" in said


def test_a_median_as_good_as_the_best_seed_is_level() -> None:
    assert "b is level with a" in standing(means(a=[-3.0, -1.0], b=[-3.0]), "a", ENERGY)
    assert "b is level with a" in standing(means(a=[-3.0, -1.0], b=[-1.0]), "a", ENERGY)
