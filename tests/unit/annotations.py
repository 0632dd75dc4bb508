"""What an option or a field takes, by its annotation, in the words of the pages of docs/."""

from collections.abc import Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as limits

from mfal.sections import Component

NAMES = {
    int: "whole number",
    float: "number",
    bool: "true or false",
    str: "text",
    Path: "folder",
    Component: "part",
}


def takes(hint: Any) -> str:
    """What a value with this annotation may be."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return f"{takes(inside[0])}{bounds(inside[0], limits_of(inside[1:]))}"
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inside)
    if origin in (Union, UnionType):
        (other,) = (kind for kind in inside if kind is not NoneType)
        return f"{takes(other)}, or null"
    if origin is tuple:
        return f"list: {takes(inside[0])}"
    if origin is dict:
        return f"mapping: {takes(inside[0])} to {takes(inside[1])}"
    return NAMES[hint]


def limits_of(metadata: Sequence[Any]) -> list[Any]:
    """The limits of a number among the metadata of its annotation."""
    found = [m for given in metadata for m in getattr(given, "metadata", [given])]
    return [m for m in found if isinstance(m, limits.Gt | limits.Ge | limits.Le | limits.Lt)]


def bounds(kind: type, metadata: list[Any]) -> str:
    """The limits of a number."""
    if not metadata:
        return ""
    low, high = "", ""
    for limit in metadata:
        match limit:
            case limits.Gt(gt=bound):
                low = f"{bound + 1} or more" if kind is int else f"above {_digits(bound)}"
            case limits.Ge(ge=bound):
                low = f"{_digits(bound)} or more"
            case limits.Le(le=bound):
                high = f" to {_digits(bound)}"
            case limits.Lt(lt=bound):
                high = f" to below {_digits(bound)}"
    return f", {low.removesuffix(' or more')}{high}" if high else f", {low}"


def _digits(bound: float) -> str:
    if bound == 2**63:
        return "2^63"
    return f"{bound:,.0f}" if bound >= 100_000 else f"{bound:g}"
