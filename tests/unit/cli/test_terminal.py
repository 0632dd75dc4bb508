import io
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from mfal.campaign import Campaign, open_campaign
from mfal.cli.diagnostics import rung_table
from mfal.cli.terminal import (
    BATCH_ROWS,
    batch_table,
    best_table,
    curve_table,
    engine_lines,
    recommended_table,
    show_rounds,
    show_state,
)
from mfal.config import CampaignConfig
from mfal.ledger.reading import RoundInfo
from mfal.metrics import CurvePoint, curve
from mfal.recommend import Recommendation
from mfal.types import Observation, Outcome, Query
from tests.support import in_unit

COST = {"half": 1.0, "whole": 3.0}
KINDS = {0: "initial"}


def observed(
    key: str, at: str, value: float | None, *, number: int = 1, error: str = "it broke"
) -> Observation:
    outcome = Outcome(None, error, 0.0) if value is None else Outcome((value,), None, 0.0)
    return Observation(Query(key, at), outcome, number, COST[at], f"motif {at}")


def recorder(width: int = 100) -> Console:
    return Console(record=True, width=width, file=io.StringIO(), force_terminal=False)


def text(renderable: RenderableType, width: int = 100) -> str:
    console = recorder(width)
    console.print(renderable)
    return console.export_text()


def table_rows(rendered: str) -> list[list[str]]:
    """The cells of a table's body, line by line."""
    return [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in rendered.splitlines()
        if line.startswith("│")
    ]


@pytest.fixture
def campaign(motif: Callable[..., CampaignConfig]) -> Iterator[Campaign]:
    with open_campaign(motif(top_k=2)) as opened:
        yield opened


@pytest.fixture
def played(campaign: Campaign) -> Campaign:
    """The initial design and a round, answered by hand."""
    rounds = [
        [observed("CCCCCCCC", "half", 2, number=0), observed("GGGGGGGG", "whole", 2.5, number=0)],
        [
            observed("ACGTCCCC", "half", 4),
            observed("ACGTACGA", "whole", 7),
            observed("AAAAAAAA", "whole", None, error="RuntimeError: no fold"),
            observed("ACGTACGT", "whole", 8),
        ],
    ]
    for number, batch in enumerate(rounds):
        campaign.store.begin_round(
            number,
            [(o.query, o.cost) for o in batch],
            kind="batch" if number else "initial",
            seed=1,
            config={},
            versions={},
            record={},
        )
        campaign.store.record([(o.query, o.outcome, o.backend) for o in batch])
        campaign.store.finish_round(number)
    return campaign


def test_names_and_errors_with_brackets_are_shown_as_they_are(campaign: Campaign) -> None:
    batch = [
        observed("c1cc[nH]c1", "whole", 3),
        observed("[C][#C][=C]", "whole", None, error="FileNotFoundError: [/tmp/x]"),
    ]
    rendered = text(batch_table(campaign, batch, 1))
    for shown in ("c1cc[nH]c1", "[C][#C][=C]", "FileNotFoundError: [/tmp/x]"):
        assert shown in rendered


def test_a_batch_shows_the_target_first_then_the_best(campaign: Campaign) -> None:
    batch = [
        observed("CCCCCCCC", "half", 4),
        observed("AAAAAAAA", "whole", None, error="RuntimeError: no fold"),
        observed("GGGGGGGG", "whole", 2.346),
        observed("ACGTACGT", "whole", 8),
        observed("TTTTTTTT", "half", None),
    ]
    rendered = text(batch_table(campaign, batch, 3))
    assert "Round 3: 3 whole, 2 half, cost 11" in rendered
    assert "agreement (places)" in rendered
    assert table_rows(rendered) == [
        ["ACGTACGT", "whole", "8.000", "3"],
        ["GGGGGGGG", "whole", "2.346", "3"],
        ["AAAAAAAA", "whole", "failed: RuntimeError: no fold", "3"],
        ["CCCCCCCC", "half", "4.000", "1"],
        ["TTTTTTTT", "half", "failed: it broke", "1"],
    ]


SELFIES = "[NH1][S][=N][S][N][S][=C][=S][=S][P][Ring1][C][N][N][Ring1][#Branch1][C][C][F]"


@pytest.mark.parametrize("width", [80, 40])
def test_a_long_candidate_goes_on_below_and_leaves_the_numbers_whole(
    campaign: Campaign, width: int
) -> None:
    named = replace(campaign, problem=in_unit(campaign.problem, "kcal/mol"))
    reason = "no force field has parameters for all of its atoms"
    batch = [
        observed("CC", "whole", -25.091),
        observed(SELFIES, "whole", -1123.4),
        observed("CCCC", "whole", None, error=reason),
    ]
    shown = text(batch_table(named, batch, 1), width)
    assert "…" not in shown and max(map(len, shown.splitlines())) <= width
    keys, _, answers, _ = map("".join, zip(*table_rows(shown), strict=True))
    assert keys == f"CC{SELFIES}CCCC"
    assert answers.replace(" ", "") == f"-25.1-1123.4failed:{reason.replace(' ', '')}"
    measured = [row[1:] for row in table_rows(shown) if row[1]][:2]
    assert measured == [["whole", "-25.1", "3"], ["whole", "-1123.4", "3"]]
    rows = table_rows(text(best_table(named, batch[:2]), width))
    assert "".join(row[0] for row in rows) == f"CC{SELFIES}"
    assert [row[1:] for row in rows if row[1]] == [["-25.1", "1"], ["-1123.4", "1"]]


def test_a_drawing_stays_below_what_it_draws(campaign: Campaign) -> None:
    strand, drawn = "CGGCCCCGGCCGTGGCACGGCCGGGGCCGG", "(((((((((((((...)))))))))))))."
    folded = replace(campaign.problem, describe=lambda _: drawn)
    leaders = [observed(strand, "whole", -20.2)]
    shown = text(best_table(replace(campaign, problem=folded), leaders), 80).splitlines()
    (first,) = [i for i, line in enumerate(shown) if strand in line]
    assert shown[first].index(strand) == shown[first + 1].index(drawn)


def test_values_of_a_small_unit_are_told_apart(campaign: Campaign) -> None:
    small = [observed("AAAAAAAA", "whole", 3.1426e-6), observed("CCCCCCCC", "whole", 3.1412e-6)]
    both = ["3.143e-06", "3.141e-06"]
    assert [row[2] for row in table_rows(text(batch_table(campaign, small, 1)))] == both
    assert [row[1] for row in table_rows(text(best_table(campaign, small)))] == both
    points = [CurvePoint(0, 1, 1.5e-6, 1), CurvePoint(1, 2, 2.5e-6, 2)]
    rows = table_rows(text(curve_table(campaign, points, KINDS)))
    assert [row[3] for row in rows] == ["1.500e-06", "2.500e-06"]


def test_where_less_is_better_the_least_comes_first(campaign: Campaign) -> None:
    class Downhill:
        fidelities = campaign.problem.oracle.fidelities
        objectives = (replace(campaign.objective, goal="min", unit="kcal/mol"),)
        backends = campaign.problem.oracle.backends
        evaluate = campaign.problem.oracle.evaluate

    downhill = replace(campaign, problem=replace(campaign.problem, oracle=Downhill()))
    batch = [observed("AAAAAAAA", "whole", -1.5), observed("CCCCCCCC", "whole", -9.25)]
    rendered = text(batch_table(downhill, batch, 1))
    assert [row[2] for row in table_rows(rendered)] == ["-9.250", "-1.500"]
    assert "agreement (kcal/mol)" in rendered
    points = curve(
        [replace(o, round=number) for number, o in enumerate(batch)], "whole", downhill.objective, 1
    )
    rows = table_rows(text(curve_table(downhill, points, KINDS)))
    assert [row[3:] for row in rows] == [["-1.500", "▁"], ["-9.250", "█"]]


def test_a_long_batch_is_cut_and_says_by_how_much(campaign: Campaign) -> None:
    batch = [observed(f"{i:08}", "half", float(i)) for i in range(BATCH_ROWS + 5)]
    rows = table_rows(text(batch_table(campaign, batch, 1)))
    assert len(rows) == BATCH_ROWS + 1
    assert rows[0][0] == f"{BATCH_ROWS + 4:08}"
    assert rows[-1][0] == "and 5 more"
    whole = table_rows(text(batch_table(campaign, batch[:BATCH_ROWS], 1)))
    assert len(whole) == BATCH_ROWS and whole[-1][0] == f"{0:08}"


def test_a_long_reason_of_a_failure_is_shown_on_a_line(campaign: Campaign) -> None:
    dump = "no convergence\n" + "  at step 17\n" * 60
    rows = table_rows(
        text(batch_table(campaign, [observed("A", "half", None, error=dump)], 1), 400)
    )
    ((_, _, answer, _),) = rows
    assert answer.startswith("failed: no convergence at step 17 at") and answer.endswith("[...]")


def test_an_empty_batch_is_a_table_without_rows(campaign: Campaign) -> None:
    rendered = text(batch_table(campaign, [], 4))
    assert "Round 4: " in rendered and table_rows(rendered) == []


def test_the_best_are_shown_with_their_structures(campaign: Campaign) -> None:
    drawn = replace(campaign.problem, describe=lambda key: f"(({key[:2].lower()}..))")
    leaders = [observed("ACGTACGT", "whole", 8, number=2), observed("GCGTACGT", "whole", 7)]
    rendered = text(best_table(replace(campaign, problem=drawn), leaders))
    assert "Best 2 measured at whole" in rendered
    assert table_rows(rendered) == [
        ["ACGTACGT", "8.000", "2"],
        ["((ac..))", "", ""],
        ["GCGTACGT", "7.000", "1"],
        ["((gc..))", "", ""],
    ]


def test_without_structures_the_key_says_it_all(campaign: Campaign) -> None:
    rendered = text(best_table(campaign, [observed("ACGTACGT", "whole", 8)]))
    assert table_rows(rendered) == [["ACGTACGT", "8.000", "1"]]


def test_a_wide_interval_is_written_without_an_exponent(campaign: Campaign) -> None:
    found = Recommendation("AAAAAAAA", -124.98, 284.6, None, 1.0)
    ((_, mean, spread, _),) = table_rows(text(recommended_table(campaign, [found])))
    assert (mean, spread) == ("-125.0", "280")


def test_where_nothing_is_measured_no_table_says_so(campaign: Campaign) -> None:
    assert text(best_table(campaign, [])) == "Nothing measured at whole yet\n"


def test_the_curve_grows_as_it_improves(campaign: Campaign) -> None:
    points = [
        CurvePoint(0, 12.5, None, 0),
        CurvePoint(1, 24, 2.0, 3),
        CurvePoint(2, 36, 3.0, 6),
        CurvePoint(3, 48, 9.0, 9),
    ]
    rendered = text(curve_table(campaign, points, KINDS))
    assert "Top-2 mean against cost" in rendered
    assert "measured at whole" in rendered and "top-2 (places)" in rendered
    assert table_rows(rendered) == [
        ["initial design", "12.5", "0", "", ""],
        ["round 1", "24", "3", "2.000", "▁"],
        ["round 2", "36", "6", "3.000", "▂"],
        ["round 3", "48", "9", "9.000", "█"],
    ]


@pytest.mark.parametrize(
    ("unit", "title"),
    [("places", "and the batch (RMSE in places)"), ("1", "and the batch"), ("", "and the batch")],
)
def test_the_surrogate_is_shown_in_the_unit_there_is(
    campaign: Campaign, unit: str, title: str
) -> None:
    none = {"queries": 0, "share": 0.0, "cost": 0.0, "cost_share": 0.0}
    record = {"batch": {"half": none, "whole": none}}
    info = RoundInfo(1, "batch", 1, {}, {}, record, finished=True)
    table = rung_table(replace(campaign, problem=in_unit(campaign.problem, unit)), info)
    assert str(table.title).endswith(title)


def test_a_curve_without_a_unit_shows_none(campaign: Campaign) -> None:
    bare = replace(campaign, problem=in_unit(campaign.problem, "1"))
    rendered = text(curve_table(bare, [CurvePoint(0, 1, 3.0, 1)], KINDS))
    assert "top-2 " in rendered and "(1)" not in rendered


@pytest.mark.parametrize(
    ("points", "bars"),
    [([], []), ([CurvePoint(0, 1, None, 0)], [""]), ([CurvePoint(0, 1, -3.0, 1)], ["█"])],
)
def test_a_curve_of_hardly_anything(
    campaign: Campaign, points: list[CurvePoint], bars: list[str]
) -> None:
    assert [row[-1] for row in table_rows(text(curve_table(campaign, points, KINDS)))] == bars


def test_a_state_says_what_was_spent_by_whom_and_where_it_is(played: Campaign) -> None:
    console = recorder()
    show_state(console, played)
    shown = console.export_text()
    assert "Best 2 measured at whole" in shown
    rows = table_rows(shown)
    assert rows[:2] == [["ACGTACGT", "8.000", "1"], ["ACGTACGA", "7.000", "1"]]
    assert rows[2:] == [
        ["initial design", "4", "1", "2.500", "▁"],
        ["round 1", "14", "3", "7.500", "█"],
    ]
    assert "spent 14 of 100 on 6 queries (1 failed)" in shown
    assert "half: motif half" in shown and "whole: motif whole" in shown
    # In one piece, however long, so that it can be copied.
    assert f"ledger: {played.store.location}\n" in shown
    assert played.store.location.endswith("ledger.db")


def test_an_engine_that_fidelities_share_is_named_once() -> None:
    engines = {"vertical": "xtb", "relaxed": "xtb, bonds kept", "adiabatic": "xtb, bonds kept"}
    assert engine_lines(engines) == ["vertical: xtb", "relaxed, adiabatic: xtb, bonds kept"]


def test_rounds_are_shown_each_with_its_own_batch(played: Campaign) -> None:
    console = recorder()
    show_rounds(console, played, [1])
    shown = console.export_text()
    assert "Round 1: 3 whole, 1 half, cost 10" in shown
    assert "failed: RuntimeError: no fold" in shown
    assert "Round 0" not in shown and "CCCCCCCC" not in shown
    assert shown.index("Round 1") < shown.index("Best 2") < shown.index("Top-2")
    show_rounds(console, played, [0, 1])
    both = console.export_text()
    assert both.index("Round 0: 1 whole, 1 half, cost 4") < both.index("Round 1")


def test_the_surrogate_and_the_batch_are_shown_by_fidelity(campaign: Campaign) -> None:
    batch = {
        "half": {"queries": 3, "share": 0.75, "cost": 3.0, "cost_share": 0.5},
        "whole": {"queries": 1, "share": 0.25, "cost": 3.0, "cost_share": 0.5},
    }
    figures = {"n": 12, "spearman": 0.876, "rmse": 1.2345, "nlpd": 1.5, "coverage_90": 0.917}
    record: dict[str, object] = {
        "held_out": {"half": figures, "whole": figures | {"n": 2, "spearman": None}},
        "correlations": {"half": 0.9},
        "batch": batch,
        "fallback": "ucb: gibbon does not tell candidates apart",
    }
    for number, kind in enumerate(("initial", "batch")):
        campaign.store.begin_round(
            number, [], kind=kind, seed=1, config={}, versions={}, record=record if number else {}
        )
        campaign.store.finish_round(number)
    console = recorder(120)
    show_state(console, campaign)
    shown = console.export_text()
    assert "Round 1: the surrogate on candidates left out, and the batch" in shown
    assert "ucb: gibbon does not tell candidates apart" in shown
    rows = [row for row in table_rows(shown) if row[0] in ("half", "whole")]
    assert rows == [
        ["whole", "2", "", "1.23", "1.50", "92%", "", "1", "50%"],
        ["half", "12", "0.88", "1.23", "1.50", "92%", "0.900", "3", "50%"],
    ]


def test_an_empty_campaign_can_be_shown(campaign: Campaign) -> None:
    console = recorder()
    show_rounds(console, campaign, [])
    assert "spent 0 of 100 on 0 queries (0 failed)" in console.export_text()
