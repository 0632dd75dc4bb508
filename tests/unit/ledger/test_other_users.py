"""A ledger that another user looks at, in a folder of both and in one that is closed to others."""

import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from mfal.errors import MfalError
from mfal.ledger.reading import read_ledger
from mfal.ledger.store import Store
from tests.unit.half_answered import fill, record, url_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


def answered(folder: Path) -> list[object]:
    with read_ledger(url_of(folder), "test", {}) as ledger:
        return list(ledger.observations())


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that everybody may write in; pytest's own may not be entered by others."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        fill(url_of(folder))
        (folder / "ledger.db").chmod(0o644)
        yield folder


def looked_at_by_another(folder: Path) -> str:
    """What another user finds: how many answers, or why none."""
    here, there = multiprocessing.Pipe()
    # Forked: the Python of root's own may be closed to others, and is loaded already.
    child = multiprocessing.get_context("fork").Process(target=_look, args=(folder, there))
    child.start()
    child.join()
    there.close()
    return str(here.recv())


def _look(folder: Path, line: Connection) -> None:
    os.setgroups([])
    os.setresgid(12345, 12345, 12345)
    os.setresuid(12345, 12345, 12345)
    try:
        line.send(str(len(answered(folder))))
    except MfalError as error:
        line.send(f"{type(error).__name__}: {error.message}")


def test_who_looks_leaves_nothing_that_shuts_the_owner_out(shared: Path) -> None:
    before = sorted(shared.iterdir())
    assert looked_at_by_another(shared) == "1000"
    assert sorted(shared.iterdir()) == before
    assert {path.stat().st_uid for path in shared.iterdir()} == {0}


def test_who_looks_beside_the_owner_sees_what_was_committed(shared: Path) -> None:
    with Store(url_of(shared), "test", {}) as store:
        record(store, 1000, 1100)
        assert looked_at_by_another(shared) == "1100"
        record(store, 1100, 1200)
    assert {path.stat().st_uid for path in shared.iterdir()} == {0}


def test_a_ledger_in_a_folder_that_may_not_be_entered_is_not_said_to_be_missing(
    shared: Path,
) -> None:
    shared.chmod(0o700)
    said = looked_at_by_another(shared)
    assert said.startswith("LedgerError") and "the ledger cannot be read" in said
    assert "Permission denied" in said
