from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import worker_processes
from tests.unit.scoring.told import Told


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Callable[..., Told]]:
    made: list[Told] = []

    def make(**scoring: Any) -> Told:
        made.append(Told(tmp_path, **scoring))
        return made[-1]

    yield make
    for one in made:
        one.scorer.close()
    assert worker_processes() == set()
