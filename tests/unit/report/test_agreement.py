"""Cheap answers beside the target's, of candidates whose pairs are written down here."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from mfal.report.agreement import Pairs, agreement_figure, agreement_grid, pairs_of
from mfal.report.campaign_page import campaign_page
from mfal.report.canvas import GREY
from mfal.report.snapshot import Snapshot
from mfal.types import Observation, Outcome, Query

FIRST = {"CCCCCCCC": (0.0, 1.0), "DDDDDDDD": (1.0, 3.0), "EEEEEEEE": (2.0, 5.0)}  # on 2 x + 1
CHOSEN = {"FFFFFFFF": (4.0, 5.0), "GGGGGGGG": (5.0, 9.0)}  # 4 and 2 below it


def having(
    snapshot: Snapshot,
    first: Mapping[str, tuple[float, float]],
    chosen: Mapping[str, tuple[float, float]],
) -> Snapshot:
    """The campaign with these answers instead, at its lowest fidelity and at its target."""
    low, target = snapshot.ladder[0].name, snapshot.target.name
    last = snapshot.rounds[-1].number

    def answer(key: str, fidelity: str, value: float | None, number: int) -> Observation:
        told = (None, "breaks") if value is None else ((value,), None)
        return Observation(Query(key, fidelity), Outcome(*told, 0.0), number, 1.0, "test")

    pairs = [
        answer(key, fidelity, value, number)
        for given, number in ((first, 0), (chosen, last))
        for key, values in given.items()
        for fidelity, value in ((low, values[0]), (target, values[1]))
    ]
    lonely = [answer("HHHHHHHH", low, 7.0, last), answer("IIIIIIII", target, 7.0, last)]
    failed = [answer("KKKKKKKK", low, 8.0, last), answer("KKKKKKKK", target, None, last)]
    return replace(snapshot, observations=(*pairs, *lonely, *failed))


def test_pairs_are_of_answers_and_told_apart_by_who_chose_the_target(snapshot: Snapshot) -> None:
    low = snapshot.ladder[0].name
    (pairs,) = pairs_of(having(snapshot, FIRST, CHOSEN))
    assert pairs == Pairs(low, 0, tuple(FIRST.values()), tuple(CHOSEN.values()))
    assert pairs.line() == pytest.approx((2.0, 1.0))
    assert pairs.beside_line() == pytest.approx(-3.0)


def test_without_pairs_there_is_nothing_to_show(snapshot: Snapshot) -> None:
    none = having(snapshot, {}, {})
    assert pairs_of(none) == []
    (section,) = [s for s in campaign_page(none).sections if s.title == "The fidelities"]
    assert [p.name for p in section.pictures] == ["spending"] and len(section.grids) == 1


@pytest.mark.parametrize(
    "first", [dict(list(FIRST.items())[:2]), {key: (1.0, y) for key, (_, y) in FIRST.items()}]
)
def test_too_few_or_equal_values_make_no_line(
    first: dict[str, tuple[float, float]], snapshot: Snapshot
) -> None:
    changed = having(snapshot, first, CHOSEN)
    (pairs,) = found = pairs_of(changed)
    assert pairs.line() is None and pairs.beside_line() is None
    assert len(agreement_figure(changed, pairs).axes[0].lines) == 2  # the points alone
    (row,) = agreement_grid(changed, found).rows
    assert row[-1] == ""


def test_the_figure_has_a_point_a_pair_and_the_line_of_the_first(snapshot: Snapshot) -> None:
    changed = having(snapshot, FIRST, CHOSEN)
    (pairs,) = pairs_of(changed)
    line, first, chosen = agreement_figure(changed, pairs).axes[0].lines
    assert line.get_xydata() == pytest.approx(np.array([(0.0, 1.0), (5.0, 11.0)]))
    assert first.get_xydata().tolist() == [list(pair) for pair in FIRST.values()]
    assert chosen.get_xydata().tolist() == [list(pair) for pair in CHOSEN.values()]
    assert first.get_color() == GREY != chosen.get_color()


def test_the_table_says_how_far_the_chosen_lie_from_the_line(snapshot: Snapshot) -> None:
    falling = CHOSEN | {"FFFFFFFF": (6.0, 5.0)}
    changed = having(snapshot, FIRST, {**falling, "LLLLLLLL": (7.0, 1.0)})
    (row,) = agreement_grid(changed, pairs_of(changed)).rows
    low = snapshot.ladder[0].name
    # 5 - 13, 9 - 11 and 1 - 15.
    assert row == (low, "3", "1.000", "3", "-1.000", "-8.00")
