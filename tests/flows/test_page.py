"""Prefect's page in a real browser: a campaign is started from its form, and watched."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import chromium
from tests.flows.servers import call, serving, wait_for
from tests.support import motif_settings

pytestmark = pytest.mark.slow
playwright = pytest.importorskip("playwright.sync_api")

PATIENCE = 90_000  # ms


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    """A server with a sound and a broken campaign: address of its page, a browser's tab."""
    folder = tmp_path_factory.mktemp("page")
    sound = motif_settings(folder)
    broken = motif_settings(folder, name="broken", problem="./missing.py:problem")
    with chromium() as browser, serving(folder, sound, broken) as api:
        tab = browser.new_page(viewport={"width": 1400, "height": 1400})
        tab.set_default_timeout(PATIENCE)
        yield api.removesuffix("/api"), tab


def start_from_form(site: str, tab: Any, name: str, rounds: int) -> str:
    """Fill in the form of a campaign's deployment and send it; the identity of the run."""
    found = call(f"{site}/api/deployments/filter", {})
    (deployment,) = [d["id"] for d in found if d["name"] == name]
    tab.goto(f"{site}/v2/deployments/deployment/{deployment}")
    tab.get_by_role("button", name="Run", exact=True).click()
    tab.get_by_role("menuitem", name="Custom run").click()
    tab.get_by_role("spinbutton").first.fill(str(rounds))
    tab.get_by_role("button", name="Submit").click()
    of_it = {"deployments": {"id": {"any_": [deployment]}}}
    (run,) = wait_for("run", lambda: call(f"{site}/api/flow_runs/filter", of_it))
    return str(run["id"])


def is_shown(tab: Any, address: str, text: str) -> bool:
    """Whether a page, loaded anew, shows this text within some seconds."""
    tab.goto(address)
    try:
        tab.get_by_text(text, exact=True).first.wait_for(timeout=8_000)
    except playwright.TimeoutError:
        return False
    return True


def test_a_campaign_is_started_from_its_form_and_watched(site: tuple[str, Any]) -> None:
    address, tab = site
    run = start_from_form(address, tab, "motif", 2)
    artifacts = f"{address}/v2/runs/flow-run/{run}?tab=Artifacts"
    wait_for("live line", lambda: is_shown(tab, artifacts, "motif-progress"))
    assert is_shown(tab, artifacts, "motif rounds 1 to 2")
    wait_for("end", lambda: is_shown(tab, artifacts, "Completed"))
    said = "rounds finished: 1, 2; spent 54 of 100"
    assert is_shown(tab, f"{address}/v2/runs/flow-run/{run}?tab=Details", said)
    published = call(f"{address}/api/artifacts/filter", {})
    page_of = {a["description"]: f"{address}/v2/artifacts/artifact/{a['id']}" for a in published}
    assert any(d.startswith("round 2: append; training step 10 of 10") for d in page_of)
    assert is_shown(tab, page_of["Every query of motif, round 2"], "whole")
    assert is_shown(tab, page_of["motif, round 2"], "motif: round 2")
    pictures = "Array.from(document.querySelectorAll('img[src^=\"data:\"]'))"
    tab.wait_for_function(f"{pictures}.length > 4")
    widths = tab.evaluate(f"{pictures}.map(picture => picture.naturalWidth)")
    assert min(widths) > 0  # each of them was understood by the browser
    drawn = tab.evaluate(f"{pictures}.filter(p => p.src.startsWith('data:image/svg')).length")
    assert drawn >= 10  # the best ten, each with its picture


def test_a_run_that_failed_says_why(site: tuple[str, Any]) -> None:
    address, tab = site
    run = start_from_form(address, tab, "broken", 1)
    tab.goto(f"{address}/v2/runs/flow-run/{run}?tab=Details")
    tab.get_by_text("Failed", exact=True).first.wait_for()
    tab.get_by_text("there is no file ./missing.py").first.wait_for()
    tab.goto(f"{address}/v2/runs/flow-run/{run}?tab=Logs")
    tab.get_by_text("there is no file ./missing.py").first.wait_for()
