import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mfal.files import write_whole


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system writes no more bytes than that to a file, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "done"
    for data in (b"first", b"", b"second"):
        write_whole(path, data)
        assert path.read_bytes() == data
    assert [*tmp_path.iterdir()] == [path]


def test_where_it_cannot_be_written_the_old_file_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    write_whole(path, b"old")
    with files_of_at_most(1000), pytest.raises(OSError, match="too large"):
        write_whole(path, b"n" * 100_000)
    assert path.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [path]
    write_whole(path, b"n" * 100_000)
    assert path.read_bytes() == b"n" * 100_000
    assert [*tmp_path.iterdir()] == [path]
