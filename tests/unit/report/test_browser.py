"""Reports in a real browser: whole on a laptop's screen and on a narrow one, and in print."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mfal.report.campaign_page import campaign_page
from mfal.report.comparison_page import comparison_page
from mfal.report.html import write
from mfal.report.page import Card, Grid, Page, Section
from mfal.report.snapshot import Snapshot
from tests.browser import chromium
from tests.unit.report.test_comparison_page import COMPARISON, ENERGY, TWO_METHODS

pytestmark = pytest.mark.slow

BROKEN = "[...document.images].filter(i => !(i.complete && i.naturalWidth > 0)).length"
OVER = """
[...document.querySelectorAll('main *')].filter(e => {
    const box = e.getBoundingClientRect();
    return !e.closest('.scroll') && (box.right > innerWidth + 1 || box.left < 0);
}).map(e => e.tagName + ' ' + e.textContent.slice(0, 40))
"""

# Rows of text as the browser sets them, of a word or of a whole element.
ROWS = """
const rows = (node, start, end) => {
    const found = new Map(), range = document.createRange();
    for (let i = start; i < end; i++) {
        range.setStart(node, i); range.setEnd(node, i + 1);
        const top = Math.round(range.getBoundingClientRect().top);
        found.set(top, (found.get(top) || '') + node.textContent[i]);
    }
    return [...found.values()];
};
const texts = (selector) => [...document.querySelectorAll(selector)].flatMap(e => {
    const walk = document.createTreeWalker(e, NodeFilter.SHOW_TEXT), nodes = [];
    while (walk.nextNode()) nodes.push(walk.currentNode);
    return nodes;
});
"""
BROKEN_WORDS = f"""() => {{ {ROWS}
    return texts('th').flatMap(node => [...node.textContent.matchAll(/\\S+/g)]
        .map(word => rows(node, word.index, word.index + word[0].length))
        .filter(found => found.length > 1).map(found => found.join('|')));
}}"""
KEYS = f"""() => {{ {ROWS}
    return texts('code').flatMap(node => rows(node, 0, node.textContent.length))
        .map(row => row.trim()).filter(row => row);
}}"""
FOLD = "((((((((((....)))))))))......."
STRAND = "GGGGGCCCCCAAAAGGGGGCCCCCTTTTTT"
LADDER = Grid(
    "In all.",
    ("fidelity", "cost each", "queries", "cost", "share", "RMSE (kcal/mol)", "engine"),
    [("folding", "7", "15", "105", "70%", "0.1", "an engine of " + "many words " * 20)],
    texts=None,
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def _campaign(snapshot: Snapshot) -> Page:
    return campaign_page(snapshot)


def _comparison(snapshot: Snapshot) -> Page:
    return comparison_page(COMPARISON, TWO_METHODS, ENERGY, 5)


@pytest.mark.parametrize("width", [1280, 800])
@pytest.mark.parametrize("make", [_campaign, _comparison], ids=["campaign", "comparison"])
def test_nothing_is_broken_cut_off_or_fetched(
    make: Callable[[Snapshot], Page], width: int, snapshot: Snapshot, tmp_path: Path, browser: Any
) -> None:
    report = make(snapshot)
    index = write(report, {}, tmp_path).as_uri()
    asked: list[str] = []
    wrong: list[str] = []
    tab = browser.new_page(viewport={"width": width, "height": 900})
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: wrong.append(message.text))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.goto(index)
    assert tab.evaluate("document.images.length") >= sum(len(s.pictures) for s in report.sections)
    assert tab.evaluate(BROKEN) == 0
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(OVER) == []
    assert [url for url in asked if not url.startswith("data:")] == [index]
    assert not wrong
    for i in range(1, len(report.sections) + 1):  # every link of the contents leads somewhere
        assert tab.locator(f"#s{i} h2").is_visible()
    assert tab.pdf(format="A4")[:5] == b"%PDF-"
    tab.close()


@pytest.mark.parametrize(("width", "media"), [(1280, "screen"), (800, "screen"), (673, "print")])
def test_headers_are_whole_and_folds_below_their_letters(
    width: int, media: str, tmp_path: Path, browser: Any
) -> None:
    longest = ["K" * 50, "[=Branch1]" * 64]
    cards = [Card(key, None, ["1 eV"], note) for key, note in [(STRAND, FOLD)] * 4]
    cards += [Card(key, None, ["1 eV"]) for key in longest]
    index = write(Page("", "", [Section("", grids=[LADDER], cards=cards)]), {}, tmp_path)
    tab = browser.new_page(viewport={"width": width, "height": 900})
    tab.emulate_media(media=media)
    tab.goto(index.as_uri())
    assert tab.evaluate(BROKEN_WORDS) == []
    shown = tab.evaluate(KEYS)
    assert shown[:8] == [STRAND, FOLD] * 4
    assert "".join(shown[8:]) == "".join(longest)
    assert not [row for row in shown if row.startswith("[") and not row.endswith("]")]
    assert tab.evaluate(OVER) == []
    clipped = "[...document.querySelectorAll('code')].filter(e => e.scrollWidth > e.clientWidth)"
    assert tab.evaluate(f"{clipped}.length") == 0
    tab.close()
