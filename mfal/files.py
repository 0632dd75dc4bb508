"""Files that are written whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step, so that a crash leaves the old file or the new one.

    What is half written lies beside it, under a name of this process's own.

    Raises:
        OSError: if it cannot be written; nothing is left then but the old file.
    """
    part = path.with_name(f".{path.name}-{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        with suppress(OSError):  # it is in its place, or could not be made: that is said already
            part.unlink()
