"""Why queries failed: a text that a ledger keeps, a file carries and a person reads."""

from collections import Counter
from collections.abc import Iterable

from mfal.errors import TransientError
from mfal.types import Outcome

LONGEST = 4000
"""Letters of a reason that are kept; what comes after them is most often a dump."""

NONE_GIVEN = "no reason given"
_SHOWN = 200


def plain(text: str) -> str:
    """A text that every database holds: half a surrogate pair and NUL are written out."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def kept(reason: str) -> str:
    """A reason as it is recorded: plain, never blank, no carriage return, cut where too long."""
    reason = reason.replace("\r\n", "\n").replace("\r", "\n")  # a CSV file would end a row at it
    reason = plain(reason)
    if not reason.strip():
        return NONE_GIVEN
    if len(reason) <= LONGEST:
        return reason
    mark = f" [cut: {len(reason)} letters in all]"
    return reason[: LONGEST - len(mark)] + mark


def said(error: BaseException) -> str:
    """What an exception of a user's code says, as a reason that begins with its type."""
    name = type(error).__name__
    try:
        text = f"{name}: {error.message if isinstance(error, TransientError) else error}"
        return kept(text.removesuffix(": "))
    except Exception as broken:  # of its own __str__
        return f"{name}, whose text cannot be had: {type(broken).__name__}"


def commonest(outcomes: Iterable[Outcome]) -> tuple[str, int] | None:
    """The reason that most failures give, on one line, and how many do; None without failures."""
    counts = Counter(o.error for o in outcomes if o.error is not None)
    if not counts:
        return None
    ((reason, n),) = counts.most_common(1)
    return in_a_line(reason), n


def in_a_line(reason: str) -> str:
    """A reason as it is shown among others: on one line, cut where it is a dump."""
    line = " ".join(reason.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]} [...]"
