"""What several tests of this folder need."""

from pathlib import Path

import pytest

from tests.integration.campaigns import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)
