"""Figures without a unit and settings, as they stand in the cells of tables."""

import pandas as pd
import yaml


def unitless(value: float | None) -> str:
    """A correlation, a similarity or the like; empty for None and NaN."""
    return "" if value is None or pd.isna(value) else f"{value:.3f}"


def inline(value: object) -> str:
    """A setting in one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"))
    return text.removesuffix("...\n").strip()  # the end of a document of one plain word
