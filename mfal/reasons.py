"""Why queries failed: a text that a ledger keeps, a file carries and a person reads."""

from collections import Counter
from collections.abc import Iterable

from mfal.types import Outcome

LONGEST = 4000
"""Letters of a reason that are kept; what comes after them is most often a dump."""

NONE_GIVEN = "no reason given"
_SHOWN = 200


def kept(reason: str) -> str:
    """A reason as it is recorded: never blank, no bare carriage return, cut where too long."""
    reason = reason.replace("\r\n", "\n").replace("\r", "\n")  # a CSV file would end a row at it
    if not reason.strip():
        return NONE_GIVEN
    if len(reason) <= LONGEST:
        return reason
    mark = f" [cut: {len(reason)} letters in all]"
    return reason[: LONGEST - len(mark)] + mark


def commonest(outcomes: Iterable[Outcome]) -> tuple[str, int] | None:
    """The reason that most failures give, on one line, and how many do; None without failures."""
    counts = Counter(o.error for o in outcomes if o.error is not None)
    if not counts:
        return None
    ((reason, n),) = counts.most_common(1)
    line = " ".join(reason.split())
    return (line if len(line) <= _SHOWN else f"{line[:_SHOWN]} [...]"), n
