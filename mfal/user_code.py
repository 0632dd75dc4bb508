"""What a user's own code raises, as an error that says where in that code it happened."""

import os
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb

from mfal.errors import ConfigError, MfalError

_ROOT = Path(__file__).resolve().parent.parent
_OURS = ("mfal", "oracles")
# Code that no user wrote: mfal's, and what Python itself brings.
_NOT_THEIRS = (
    "<",
    *(f"{_ROOT / package}{os.sep}" for package in _OURS),
    *(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib")),
)


@contextmanager
def user_code(what: str, hint: str, part: object = None) -> Iterator[None]:
    """Have whatever the block raises be an MfalError that names the user's file and line.

    Args:
        what: What the block runs, in the error.
        hint: What to do about it.
        part: What is called, where that may be mfal's own: a defect of that, in which no line of
            the user's has a part, is raised as it is.

    Raises:
        ConfigError: for any other exception, and for SystemExit: a file that ends the program
            would end it without a word.
    """
    try:
        yield
    except MfalError as error:
        place = _place(error)
        if not error.message.endswith(place):
            error.message += place
        raise
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}".removesuffix(": ")
        place = "" if isinstance(error, SyntaxError) else _place(error)  # it says where itself
        if not place and type(part).__module__.partition(".")[0] in _OURS:
            raise
        raise ConfigError(f"{what}: {said}{place}", hint) from error


def _place(error: BaseException) -> str:
    """The innermost line of the user's own that led to an error; empty where there is none."""
    for frame in reversed(extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if not frame.filename.startswith(_NOT_THEIRS) and "site-packages" not in path.parts:
            return f" ({path.name}, line {frame.lineno})"
    return ""
