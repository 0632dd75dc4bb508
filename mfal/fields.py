"""Configurations as plain values, field by field."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Pair:
    """Something of which two campaigns say different things; None where one has nothing."""

    where: str
    first: Any
    second: Any


def differing(a: dict[str, Any], b: dict[str, Any]) -> tuple[Pair, ...]:
    """The fields of two configurations, as plain values, that are not the same."""
    fields, others = _leaves(a), _leaves(b)
    paths = {*fields, *others} - _unfilled(fields, others) - _unfilled(others, fields)
    pairs = (Pair(path, fields.get(path), others.get(path)) for path in sorted(paths))
    return tuple(pair for pair in pairs if pair.first != pair.second)


def shown(value: object) -> str:
    """The value of a field in an error, as YAML has it."""
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def _unfilled(fields: dict[str, Any], others: dict[str, Any]) -> set[str]:
    """Paths of what is empty here and has parts there: it differs in these parts."""
    empty = {path for path, value in fields.items() if value in ({}, [], None)}
    return {path for path in empty if any(other.startswith(f"{path}.") for other in others)}


def _leaves(value: Any, path: str = "") -> dict[str, Any]:  # noqa: ANN401
    """Path of each value in nested mappings and lists -> the value."""
    inner = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(inner, dict) or not inner:
        return {path: value}
    found: dict[str, Any] = {}
    for name, part in inner.items():
        found |= _leaves(part, f"{path}.{name}" if path else str(name))
    return found
