"""How numbers of things, and lists of their names, stand in sentences."""

from collections.abc import Sequence


def counted(n: int, what: str) -> str:
    """Such as 1 round, 2 rounds."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def listed(names: Sequence[object]) -> str:
    """Such as a, b and c; of at least one."""
    *before, last = map(str, names)
    return f"{', '.join(before)} and {last}" if before else last
