"""The HTML report: complete, self-contained, and true to the ledger."""

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from mfal.errors import DataError
from mfal.progress import round_name
from mfal.report.campaign_page import campaign_page
from mfal.report.diversity import diversity_curve, gallery_keys
from mfal.report.figures import (
    asking_figure,
    diversity_figure,
    similarity_figure,
    spending_figure,
    top_k_figure,
)
from mfal.report.html import render, write
from mfal.report.lead import lead
from mfal.report.learning_figures import parity_figures
from mfal.report.page import Card, Grid, Page, Section
from mfal.report.published import read_published
from mfal.report.snapshot import Snapshot
from mfal.report.tables import campaign_tables
from mfal.similarity import EditSimilarity
from mfal.types import Objective, Outcome
from tests.support import in_unit, with_objective


class Links(HTMLParser):
    """Addresses that a page refers to, its headings, and what it shows as text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_else(html: str) -> None:
    shown = Links(html)
    assert all(a.startswith(("data:image/", "#s")) for a in shown.addresses)
    assert "script" not in shown.tags
    assert "link" not in shown.tags


def test_the_page_has_every_section(snapshot: Snapshot, page: Page, html: str) -> None:
    titles = [section.title for section in page.sections]
    assert titles == [
        "What was found",
        "The best different candidates",
        "The surrogate",
        "The fidelities",
        "The sampler",
        "Time",
        "Failures",
        "Configuration, versions, seeds",
    ]
    shown = Links(html)
    failed = [o.cost for o in snapshot.observations if o.outcome.values is None]
    assert failed
    assert f"Failed queries: {len(failed)}, for which {sum(failed):g} was charged." in shown.text
    assert "RuntimeError: this word begins with A" in shown.text


def test_the_lead_says_what_the_ledger_says(snapshot: Snapshot) -> None:
    said = lead(snapshot, diversity_curve(snapshot))
    curve = snapshot.curve()
    n, failed = (
        len(snapshot.observations),
        sum(o.outcome.values is None for o in snapshot.observations),
    )
    assert said.startswith(
        f"{snapshot.spent:g} of 100 units were spent on {n} queries in the initial design and 2 "
        f"rounds; {failed} of them failed."
    )
    assert f"went from {curve[0].top_k:.3f} to {curve[-1].top_k:.3f} places" in said
    assert "the highest is" in said
    n_first = curve[0].n_target
    assert f"The first mean is over {n_first} and the last over 3" in said
    fewer = replace(snapshot, config=snapshot.config.model_copy(update={"top_k": n_first}))
    assert "The first mean is over" not in lead(fewer, diversity_curve(fewer))


def test_the_lead_counts_as_rounds_what_is_finished(snapshot: Snapshot) -> None:
    initial, first, second = snapshot.rounds
    for rounds, said in (
        ((initial, first, replace(second, finished=False)), "the initial design, 1 round and round "
        "2, which is not finished;"),
        ((replace(initial, kind="imported"), first, second), "imported data and 2 rounds;"),
        (
            (replace(initial, kind="imported"), replace(first, kind="initial"), second),
            "imported data, the initial design and 1 round;",
        ),
        ((initial, replace(first, finished=False)), "the initial design and round 1, which is not"),
    ):  # fmt: skip
        answered = tuple(o for o in snapshot.observations if o.round < len(rounds))
        changed = replace(snapshot, rounds=rounds, observations=answered)
        wanted = f"{len(answered)} queries in {said}"
        assert wanted in lead(changed, diversity_curve(changed)), rounds


@pytest.mark.parametrize(
    ("kinds", "label"),
    [
        (("initial", "batch", "batch"), "round (0: initial design)"),
        (("imported", "batch", "batch"), "round (0: imported data)"),
        (("imported", "initial", "imported"), "round (0, 2: imported data; 1: initial design)"),
    ],
)
def test_rounds_are_called_what_they_are(
    snapshot: Snapshot, kinds: tuple[str, ...], label: str
) -> None:
    rounds = tuple(replace(r, kind=kind) for r, kind in zip(snapshot.rounds, kinds, strict=True))
    changed = replace(snapshot, rounds=rounds)
    for draw in (spending_figure, asking_figure):
        assert draw(changed).axes[0].get_xlabel() == label
    (gallery,) = [s for s in campaign_page(changed).sections if s.cards]
    origins = [card.lines[1] for card in gallery.cards]
    of_key = {o.query.key: o.round for o in snapshot.best(1000)}
    assert origins == [round_name(n, kinds[n]) for n in (of_key[c.key] for c in gallery.cards)]


def test_a_mean_over_fewer_than_k_is_told_from_the_others(snapshot: Snapshot, page: Page) -> None:
    diversity = diversity_curve(snapshot)
    numbers = [d.n_target for d in diversity]
    assert numbers[0] < snapshot.top_k <= min(numbers[1:])
    first = diversity[0]
    assert hollow(top_k_figure(snapshot).axes[0]) == [(first.cost, first.top_k)]
    different = [(d.cost, d.diverse) for d in diversity if d.n_diverse < 3]
    assert hollow(diversity_figure(snapshot, diversity).axes[0]) == different != []
    found = what_was_found(page)
    assert "hollow" in found.pictures[0].caption
    assert [row[1] for row in found.grids[0].rows] == list(map(str, numbers))
    assert "; higher is better." in found.grids[0].caption

    fewer = replace(snapshot, config=snapshot.config.model_copy(update={"top_k": numbers[0]}))
    assert not hollow(top_k_figure(fewer).axes[0])
    assert "hollow" not in what_was_found(campaign_page(fewer)).pictures[0].caption


def what_was_found(page: Page) -> Section:
    return next(s for s in page.sections if s.title == "What was found")


def hollow(axes: Any) -> list[tuple[float, float]]:
    """The points of a figure that are drawn hollow."""
    lines = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    return [tuple(xy) for line in lines for xy in line.get_xydata().tolist()]


def test_files_hold_what_the_page_shows(snapshot: Snapshot, page: Page, tmp_path: Path) -> None:
    index = write(page, campaign_tables(snapshot), tmp_path)
    pictures = {p.name for section in page.sections for p in section.pictures}
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert drawn == {f"{name}.{kind}" for name in pictures for kind in ("svg", "png")}
    assert index.read_text().count('<img src="data:image/svg') == len(pictures) + len(
        gallery_keys(snapshot, 12)
    )

    read = pd.read_csv(tmp_path / "data" / "observations.csv")
    assert list(read["candidate"]) == [o.query.key for o in snapshot.observations]
    assert read["cost"].sum() == snapshot.spent
    values = [
        None if o.outcome.values is None else o.outcome.values[0] for o in snapshot.observations
    ]
    assert [None if pd.isna(v) else v for v in read["agreement"]] == values
    curve = pd.read_csv(tmp_path / "data" / "curve.csv")
    assert list(curve["top_k"]) == [p.top_k for p in snapshot.curve()]


def test_what_comes_from_a_ledger_cannot_become_markup() -> None:
    hostile = "<script>alert(1)</script>\"'&"
    cards, grids = (
        [Card(hostile, None, [hostile], hostile)],
        [Grid(hostile, [hostile], [[hostile]])],
    )
    page = render(Page(hostile, hostile, [Section(hostile, [hostile], grids=grids, cards=cards)]))
    shown = Links(page)
    assert "script" not in shown.tags
    assert shown.text.count(hostile) == 12  # title twice; nothing is lost either


def test_a_campaign_of_failures_only_still_has_a_report(snapshot: Snapshot) -> None:
    failed = [replace(o, outcome=Outcome(None, "it broke", 0.1)) for o in snapshot.of_round(0)]
    bare = replace(
        snapshot,
        rounds=snapshot.rounds[:1],
        observations=tuple(failed),
        problem=replace(snapshot.problem, draw=None),
    )
    page = Links(render(campaign_page(bare)))
    assert "Nothing was measured at whole yet." in page.text
    assert f"Failed queries: {len(failed)}" in page.text


def test_expected_failures_stand_beside_what_failed(snapshot: Snapshot) -> None:
    last = snapshot.rounds[-1]
    asked = [o for o in snapshot.of_round(last.number) if o.query.fidelity == "whole"]
    failed = replace(asked[0], outcome=Outcome(None, "it broke", 0.1))
    expecting = replace(last, record={"expected_failures": {"whole": 1.25}})
    changed = replace(
        snapshot,
        rounds=(*snapshot.rounds[:-1], expecting),
        observations=tuple(failed if o == asked[0] else o for o in snapshot.observations),
    )
    (section,) = [s for s in campaign_page(changed).sections if s.title == "Failures"]
    n_failed = sum(o.outcome.values is None for o in asked[1:]) + 1
    row = (str(last.number), "whole", str(len(asked)), "1.2", str(n_failed))
    assert row in section.grids[-1].rows


def test_the_target_stands_first_among_candidates_left_out(page: Page) -> None:
    (grid,) = next(s for s in page.sections if s.title == "The surrogate").grids
    assert [row[:2] for row in grid.rows] == [
        *[("1", "whole"), ("1", "half"), ("2", "whole"), ("2", "half")]
    ]


def test_texts_stand_left_and_numbers_right() -> None:
    def cells(texts: int | None) -> list[str]:
        grid = Grid("", ["a", "b", "c"], [["d", "e", "1"]], texts=texts)
        page = render(Page("", "", [Section("", grids=[grid])]))
        found = re.findall(r'<t[hd](?: scope="col")?(?: class="([a-z ]*)")?>', page)
        return [column for i, column in enumerate("abcde1") if "text" in found[i].split()]

    assert cells(1) == ["a", "d"]
    assert cells(2) == ["a", "b", "d", "e"]
    assert cells(None) == [*"abcde1"]


def test_an_undrawn_problem_has_a_gallery_without_pictures(snapshot: Snapshot) -> None:
    bare = replace(snapshot, problem=replace(snapshot.problem, draw=None, describe=str.lower))
    (gallery,) = [s for s in campaign_page(bare).sections if s.cards]
    assert {card.svg for card in gallery.cards} == {None}
    assert [card.note for card in gallery.cards] == [card.key.lower() for card in gallery.cards]


def test_parity_is_shown_as_measured_where_less_is_better(snapshot: Snapshot) -> None:
    energy = Objective("energy", "kcal/mol", "min")
    lowest = replace(snapshot, problem=with_objective(snapshot.problem, energy))
    parity = snapshot.rounds[-1].record["parity"]
    for name, figure in parity_figures(lowest).items():
        _, points, *_ = figure.axes[0].lines
        assert list(points.get_xdata()) == [-observed for observed, _, _ in parity[name]]
        assert list(points.get_ydata()) == [-mean for _, mean, _ in parity[name]]


def test_shares_of_the_fidelities_are_of_what_was_spent(snapshot: Snapshot, page: Page) -> None:
    grid, _ = next(s for s in page.sections if s.title == "The fidelities").grids
    assert snapshot.spent < snapshot.budget
    assert [row[4] for row in grid.rows] == [
        f"{float(row[3]) / snapshot.spent:.0%}" for row in grid.rows
    ]


def test_a_report_compares_each_pair_once_and_draws_each_file_once(
    snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs: Counter[tuple[str, str]] = Counter()
    drawn: Counter[tuple[int, str]] = Counter()
    compare, save = EditSimilarity.__call__, Figure.savefig

    def compared(self: EditSimilarity, a: str, b: str) -> float:
        pairs[a, b] += 1
        return compare(self, a, b)

    def saved(self: Figure, *arguments: Any, **options: Any) -> None:
        drawn[id(self), options["format"]] += 1
        save(self, *arguments, **options)

    monkeypatch.setattr(EditSimilarity, "__call__", compared)
    monkeypatch.setattr(Figure, "savefig", saved)
    anew = replace(snapshot)
    page = campaign_page(anew)
    write(page, campaign_tables(anew), tmp_path)
    assert set(pairs.values()) == {1} == set(drawn.values())
    assert len(drawn) == 2 * sum(len(section.pictures) for section in page.sections)


def test_failures_that_were_free_are_said_to_be(snapshot: Snapshot) -> None:
    # As the ledger has it: what is charged may change between rounds, and what is imported is free.
    free = [o if o.outcome.values else replace(o, cost=0.0) for o in snapshot.observations]
    assert snapshot.config.budget.charge_failures
    shown = render(campaign_page(replace(snapshot, observations=tuple(free))))
    assert f"Failed queries: {snapshot.n_failed}, for which 0 was charged." in shown


def test_the_gallery_holds_the_best_that_differ(snapshot: Snapshot) -> None:
    keys = gallery_keys(snapshot, 12)
    alike = EditSimilarity()
    assert keys[0] == snapshot.best(1)[0].query.key
    assert all(alike(a, b) <= 0.8 for i, a in enumerate(keys) for b in keys[:i])
    left_out = [o.query.key for o in snapshot.best(1000) if o.query.key not in keys]
    if len(keys) < 12:
        assert all(any(alike(key, kept) > 0.8 for kept in keys) for key in left_out)


def test_parity_and_diversity_figures_show_their_numbers(snapshot: Snapshot) -> None:
    parity = snapshot.rounds[-1].record["parity"]
    drawn = parity_figures(snapshot)
    assert list(drawn) == [fidelity.name for fidelity in snapshot.ladder]
    for name, figure in drawn.items():
        _, points, *_ = figure.axes[0].lines
        assert list(points.get_xdata()) == [observed for observed, _, _ in parity[name]]
        assert list(points.get_ydata()) == [mean for _, mean, _ in parity[name]]

    for name, figure in drawn.items():
        (bars,) = figure.axes[0].containers
        halves = [(upper - lower) / 2 for (_, lower), (_, upper) in bars[2][0].get_segments()]
        assert halves == pytest.approx([1.6449 * sd for _, _, sd in parity[name]], rel=1e-4)

    diversity = diversity_curve(snapshot)
    best, different, *_ = diversity_figure(snapshot, diversity).axes[0].lines
    assert list(best.get_ydata()) == [p.top_k for p in snapshot.curve()]
    assert list(different.get_ydata()) == [d.diverse for d in diversity]
    assert all(d.diverse <= d.top_k for d in diversity)  # of a value to be maximised
    (alike,) = similarity_figure(snapshot, diversity).axes[0].lines
    known = [(d.cost, d.similarity) for d in diversity if d.similarity is not None]
    assert list(zip(alike.get_xdata(), alike.get_ydata(), strict=True)) == known


@pytest.mark.parametrize(
    ("note", "aligned"),
    [("(" * 20 + ")" * 20, True), ("net charge +7.1, moment 0.79, it is said", False)],
)
def test_a_fold_stands_below_its_letters(note: str, aligned: bool) -> None:
    key = "ACGT" * 10
    assert len(note) == len(key)
    page = render(Page("", "", [Section("", cards=[Card(key, None, [], note)])]))
    lines = "\n".join([key[:30], note[:30], key[30:], note[30:]])
    assert (f">{lines}<" in page) == aligned
    assert (f">{key}<br>{note}<" in page) != aligned


@pytest.mark.parametrize("unit", ["1", ""])
def test_a_number_without_a_unit_has_none(snapshot: Snapshot, unit: str) -> None:
    page = campaign_page(replace(snapshot, problem=in_unit(snapshot.problem, unit)))
    shown = [text for s in page.sections for g in s.grids for text in (*g.header, g.caption)]
    assert {"top-3", "different", "how many differ", "RMSE"} <= {*shown}
    pictures = [p for s in page.sections for p in s.pictures]
    labels = {p.name: [a.get_ylabel() for a in p.figure.axes] for p in pictures}
    assert labels["diversity"] == ["agreement, better upwards"]
    assert labels["parity-1"] == ["predicted"]
    assert not [text for text in shown if "(1)" in text or "()" in text or text.endswith("in .")]


def test_numbers_stand_in_their_unit(page: Page) -> None:
    headers = [text for s in page.sections for g in s.grids for text in g.header]
    assert {"top-3 (places)", "different (places)", "RMSE (places)"} <= {*headers}


@pytest.mark.parametrize("place", ["keys.txt", "keys.txt/report", "/proc/report"])
def test_a_report_that_cannot_be_written_is_an_error(
    page: Page, tmp_path: Path, place: str
) -> None:
    (tmp_path / "keys.txt").write_text("kept")
    with pytest.raises(DataError) as raised:
        write(page, {}, tmp_path / place)
    assert place in raised.value.message and "cannot be written" in raised.value.message
    assert (tmp_path / "keys.txt").read_text() == "kept"


def test_published_curves_are_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "published.csv"
    path.write_text("method,cost,value,source\na,10,-1.5,paper\na,20,-2.5,paper\nb,10,-1,paper\n")
    first, second = read_published(path)
    assert (first.method, first.cost, first.value) == ("a", (10.0, 20.0), (-1.5, -2.5))
    assert second.source == "paper"
    path.write_text("method,cost,value,source\na,ten,-1.5,paper\n")
    with pytest.raises(DataError, match=r"row 2, column cost: 'ten' is no finite number"):
        read_published(path)
    for row, said in (
        (",1,2,paper", "row 2, column method: is empty"),
        ("a,1,2, ", "row 2, column source: is empty"),
        ("a,1,inf,paper", "row 2, column value: 'inf' is no"),
        ("a,1,,paper", "row 2, column value: '' is no"),
        ("\na,1,x,paper", "row 3, column value: 'x' is no"),
        ('"a\nb",1,2,paper\na,1,x,paper', "row 4, column value: 'x' is no"),
    ):
        path.write_text(f"method,cost,value,source\n{row}\n")
        with pytest.raises(DataError, match=said):
            read_published(path)
    path.write_text("method,cost,value,source\nNone,10,-1.5,NA\n")
    assert [(c.method, c.source) for c in read_published(path)] == [("None", "NA")]
    path.write_text("method,cost\na,1\n")
    with pytest.raises(DataError, match=re.escape("has no column value, source")):
        read_published(path)


def test_a_published_curve_that_goes_back_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "published.csv"
    path.write_text("method,cost,value,source\na,10,-1,p\nb,5,-1,p\na,20,-2,p\na,15,-3,p\n")
    with pytest.raises(DataError, match="row 5, column cost: is 15, below the one before of a"):
        read_published(path)


def test_an_engine_that_answered_all_is_named_once(snapshot: Snapshot) -> None:
    observations = [replace(o, backend="one") for o in snapshot.observations]
    alike = replace(snapshot, observations=tuple(observations))
    observations[observations.index(alike.best(1)[0])] = replace(alike.best(1)[0], backend="two")
    mixed = replace(snapshot, observations=tuple(observations))
    for of, said, ends in ((alike, "All by one.", {""}), (mixed, "engine", {", one", ", two"})):
        (gallery,) = [s for s in campaign_page(of).sections if s.cards]
        assert said in gallery.paragraphs[0]
        found = {re.sub(r"round \d+|initial design", "", c.lines[1]) for c in gallery.cards}
        assert found == ends
