"""How figures, settings, numbers of things and lists of names stand in cells and sentences."""

from collections.abc import Sequence

import pandas as pd
import yaml


def unitless(value: float | None) -> str:
    """A correlation, a similarity or the like; empty for None and NaN."""
    return "" if value is None or pd.isna(value) else f"{value:.3f}"


def inline(value: object) -> str:
    """A setting in one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"))
    return text.removesuffix("...\n").strip()  # the end of a document of one plain word


def counted(n: int, what: str) -> str:
    """Such as 1 round, 2 rounds."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def listed(names: Sequence[object]) -> str:
    """Such as a, b and c; of at least one."""
    *before, last = map(str, names)
    return f"{', '.join(before)} and {last}" if before else last
