"""What happens to a ledger when its disk, its folder or its file misbehave."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mfal.errors import LedgerError, NoLedgerError
from mfal.ledger.reading import read_ledger
from mfal.ledger.store import Store
from tests.unit.half_answered import ASKED, fill, record, url_of


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk, and not everywhere")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_loses_nothing_and_the_ledger_goes_on_when_there_is_room(
    small_disk: Path,
) -> None:
    url = url_of(small_disk)
    fill(url, answered=100)
    ballast = small_disk / "ballast"
    with Store(url, "test", {}) as store:
        free = shutil.disk_usage(small_disk).free
        ballast.write_bytes(bytes(free - 50_000))
        done = 100
        with pytest.raises(LedgerError) as raised:
            for done in range(100, 2000, 10):
                record(store, done, done + 10)
        assert 100 < done < 1990  # some had room still
        assert "disk is full" in raised.value.message or "I/O" in raised.value.message
        assert "make room on that disk" in raised.value.hint
        assert [o.query for o in store.observations()] == ASKED[:done]
        ballast.unlink()
        record(store, done, 2000)
        assert store.pending(0) == []
    with read_ledger(url, "test", {}) as ledger:
        assert len(ledger.observations()) == 2000 and ledger.holder() is None


def test_a_full_disk_at_the_very_start_leaves_no_half_ledger(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(shutil.disk_usage(small_disk).free))
    with pytest.raises(LedgerError, match="cannot be made") as raised:
        Store(url_of(small_disk / "data"), "test", {})
    assert "room" in raised.value.hint
    assert not list(small_disk.glob("data/*"))


def test_a_folder_that_may_only_be_read_can_be_looked_at_and_not_written(
    small_disk: Path,
) -> None:
    url = url_of(small_disk)
    fill(url)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(LedgerError) as raised:
        Store(url, "test", {})
    assert raised.value.message.startswith(f"{url}: the ledger cannot be written")
    assert "data_dir" in raised.value.hint
    with read_ledger(url, "test", {}) as ledger:
        assert len(ledger.observations()) == 1000
    with pytest.raises(LedgerError, match="cannot be made"):
        Store(url_of(small_disk / "new"), "test", {})


def overwritten(path: Path) -> None:
    path.write_bytes(b"These are random bytes \x00\xff\x17" * 400)


def torn(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3996)


def torn_within(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 4096)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def cut_to(share: float) -> Callable[[Path], None]:
    def cut(path: Path) -> None:
        size = path.stat().st_size
        os.truncate(path, int(share * size) if share < 1 else size - 1)

    return cut


@pytest.mark.parametrize(
    "harm",
    [overwritten, torn, torn_within, a_folder, cut_to(0), cut_to(0.01), cut_to(0.5), cut_to(1)],
    ids=["overwritten", "torn", "torn within", "a folder", "empty", "one page", "half", "a byte"],
)
def test_a_damaged_ledger_is_named_and_left_as_it_is(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    url, path = url_of(tmp_path), tmp_path / "ledger.db"
    fill(url)
    harm(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(LedgerError) as raised:
        Store(url, "test", {})
    assert raised.value.message.startswith(f"{url}: the ledger cannot be ")
    assert "data_dir" in raised.value.hint
    if before is not None:
        assert "bring a backup back" in raised.value.hint
        assert path.read_bytes() == before


def test_a_ledger_that_is_damaged_under_a_reader_is_named(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    fill(url)
    torn_within(tmp_path / "ledger.db")
    with (
        pytest.raises(LedgerError, match=r"the ledger cannot be read: .*malformed"),
        read_ledger(url, "test", {}) as ledger,
    ):
        ledger.asked()
        ledger.entries()


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("not a folder")
    with pytest.raises(LedgerError, match=r"taken/here/ledger\.db: the ledger cannot be made"):
        Store(url_of(tmp_path / "taken" / "here"), "test", {})


@pytest.mark.parametrize("name", ["connectome", "full", "locked", "damaged"])
def test_the_name_of_a_folder_says_nothing_of_what_is_wrong(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("not a folder")
    with pytest.raises(LedgerError, match=f"Not a directory.*{name}") as raised:
        Store(url_of(tmp_path / name / "here"), "test", {})
    assert raised.value.hint.startswith("check that the folder exists")


def test_a_damaged_campaign_is_named_and_its_name_says_nothing_of_the_disk(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    with Store(url, "full", {}):
        pass
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection, connection:
        connection.execute("UPDATE campaigns SET identity = 'none'")
    with pytest.raises(LedgerError, match="campaign full is no JSON") as raised:
        Store(url, "full", {})
    assert "bring a backup back" in raised.value.hint


def test_a_link_to_nothing_is_named_and_left_alone(tmp_path: Path) -> None:
    url, gone = url_of(tmp_path), tmp_path / "unmounted" / "ledger.db"
    (tmp_path / "ledger.db").symlink_to(gone)
    for look in (Store, read_ledger):
        with pytest.raises(LedgerError, match="cannot be made: it is a link to") as raised:
            look(url, "test", {})
        assert str(gone) in raised.value.message
        assert not isinstance(raised.value, NoLedgerError)
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.db"]


def test_a_folder_that_cannot_be_made_is_named() -> None:
    with pytest.raises(LedgerError, match=r"/proc/mfal/ledger\.db: the ledger cannot be made"):
        Store(url_of(Path("/proc/mfal")), "test", {})  # not even by root


def test_a_folder_is_made_with_its_parents_and_nothing_else_is_left_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "da ta" / "100% dna?"  # no letter of a path means anything more
    with Store(url_of(folder), "test", {}) as store:
        assert store.location == str(folder / "ledger.db")
    assert [path.name for path in folder.iterdir()] == ["ledger.db"]
