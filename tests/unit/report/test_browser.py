"""Reports in a real browser: whole on a laptop's screen and on a narrow one, and in print."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mfal.report.campaign_page import campaign_page
from mfal.report.comparison_page import comparison_page
from mfal.report.html import write
from mfal.report.page import Page
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
