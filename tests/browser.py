"""Headless Chromium for tests of pages; tests that need it are skipped where there is none."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = os.environ.get("MFAL_CHROMIUM") or shutil.which("chromium") or ""


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser that is closed in the end."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM:
        pytest.skip("needs Chromium: install it, or name its binary in MFAL_CHROMIUM")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
