"""Numbers as a person reads them: enough digits to tell them apart, whatever their unit."""

import math
from collections.abc import Callable, Iterable
from statistics import median

LONGEST = 7  # places before or after the point, beyond which an exponent is easier to read


def written(values: Iterable[float | None], figures: int = 4) -> Callable[[float | None], str]:
    """How to write numbers that stand in one column, so that their points line up.

    Args:
        values: All of them; None and NaN are cells that stay empty.
        figures: How many the median of their sizes gets.

    Returns:
        A function that writes one of them: -17.40, 0.9987, 3.142e-06.
    """
    sizes = [abs(v) for v in values if v is not None and math.isfinite(v) and v != 0]
    place = math.floor(math.log10(median(sizes))) if sizes else 0
    decimals = max(0, figures - 1 - place)
    form = f".{figures - 1}e" if decimals > LONGEST or place > LONGEST else f".{decimals}f"
    return lambda value: "" if value is None or math.isnan(value) else f"{value:{form}}"


def number(value: float | None) -> str:
    """One number by itself, as `written` has it."""
    return written([value])(value)


def rough(value: float) -> str:
    """A number to two figures, such as the width of an interval: 0.043, 1.3, 280."""
    return f"{float(f'{value:.2g}'):g}"


def amount(cost: float) -> str:
    """A cost in campaign units, which may be cents: six figures, and hundredths however many."""
    return f"{cost:g}" if abs(cost) < 10_000 else f"{cost:.2f}".rstrip("0").rstrip(".")
