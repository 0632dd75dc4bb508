"""What is wrong with a configuration, in the words of its fields."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mfal.errors import ConfigError, MissingDependencyError, UnknownNameError

Location = tuple[int | str, ...]
"""Names of the sections and the field, from the outside in."""

Model = TypeVar("Model", bound=BaseModel)

_MAPPING = "Input should be a mapping, such as {field: value}"
_WORDS = {
    "model_type": _MAPPING,
    "dict_type": _MAPPING,
    "tuple_type": "Input should be a list, such as [one, other]",
    "too_short": "Input should have one entry or more",
}
"""Kinds of errors in YAML's words, where pydantic has those of JSON or Python."""

_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def checked(
    model: type[Model],
    data: Mapping[str, Any],
    source: str,
    origins: Mapping[str, str] | None = None,
) -> Model:
    """Plain values, as YAML has them, as a `model`.

    Args:
        source: Names them in errors.
        origins: Path of a field that was set elsewhere -> names that place.

    Raises:
        ConfigError: naming the source, the field, what was wrong and what would be right.
    """
    try:
        text = json.dumps(data, default=str)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{source}: holds what no YAML file can: {error}",
            "use texts, numbers, truth values, lists, and mappings with texts as keys",
        ) from error
    try:
        # Strict JSON mode takes a list for a tuple and a text for a path, but never a text or
        # a truth value for a number.
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise _config_error(error, source, model.model_json_schema(), origins) from error


def _config_error(
    error: ValidationError,
    file: str,
    schema: dict[str, Any],
    origins: Mapping[str, str] | None = None,
) -> ConfigError:
    """What a user is told of fields that were refused: each by its place, and what it is for.

    Args:
        file: Names the configuration.
        schema: JSON schema of the model that refused them.
        origins: Path of a field that was set elsewhere -> names that place.
    """
    lines, hints = [], []
    for e in _causes(error):
        source = _origin(e["loc"], origins or {}) or file
        field = ".".join(str(part) for part in e["loc"]) or "(whole file)"
        if e["type"] == "extra_forbidden":
            lines.append(f"{source}: {field}: there is no such field")
            hints.append(
                f"{_parent(e['loc'])} has the fields {', '.join(_siblings(schema, e['loc']))}"
            )
        elif e["type"] == "missing":
            lines.append(f"{source}: {field}: is missing")
            hints.append(_description(schema, e["loc"]) or f"add {field}")
        else:
            got = "" if field == "ledger" else f", got {e['input']!r}"  # it may hold a password
            what = _WORDS.get(e["type"], e["msg"].removeprefix("Value error, "))
            lines.append(f"{source}: {field}: {what}{got}")
            hints += [spelling_hint(e["type"], e["input"]), _description(schema, e["loc"])]
    said = dict.fromkeys(hint.removesuffix(".") for hint in hints if hint)
    return ConfigError("\n".join(lines), "; ".join(said))


def _causes(error: ValidationError) -> list[ErrorDetails]:
    """What is wrong, without lists that are only too short since entries of theirs are wrong."""
    found = error.errors()
    above = {e["loc"][:i] for e in found for i in range(len(e["loc"]))}
    return [e for e in found if e["type"] != "too_short" or e["loc"] not in above]


@contextmanager
def in_field(source: str, field: str) -> Iterator[None]:
    """Put the configuration and the field before what is wrong with the part that it names."""
    try:
        yield
    except (ConfigError, UnknownNameError, MissingDependencyError) as error:
        raise type(error)(f"{source}: {field}: {error.message}", error.hint) from error


def spelling_hint(kind: str, value: object) -> str:
    """How to write in YAML what it takes for something else; empty where that is not so.

    Args:
        kind: Of the error, as pydantic has it.
    """
    if kind in ("int_type", "float_type"):
        return _number_hint(value)
    if kind == "string_type" and isinstance(value, int | float):
        taken_for = "a truth value" if isinstance(value, bool) else "a number"
        return f"YAML takes what stands there for {taken_for}: put it in quotes"
    return f"write [{value}]" if kind == "tuple_type" and isinstance(value, str) else ""


def _number_hint(value: object) -> str:
    """How to write a number that YAML takes for a text, such as 1e4; empty for all else."""
    if not isinstance(value, str) or not _EXPONENT.fullmatch(value):
        return ""
    digits, _, power = value.lower().partition("e")
    number = float(value)
    short = f"{number:.0f} or " if number.is_integer() and abs(number) < 1e12 else ""
    dotted = digits if "." in digits else f"{digits}.0"
    signed = power if power[0] in "+-" else f"+{power}"
    return f"YAML takes {value} for a text: write {short}{dotted}e{signed}"


def _origin(location: Location, origins: Mapping[str, str]) -> str:
    """What set the field at `location`, a part of it, or a section that it is in; the last one."""
    here = tuple(map(str, location))
    for path, origin in reversed(list(origins.items())):
        there = tuple(path.split("."))
        n = min(len(here), len(there))
        if n and here[:n] == there[:n]:
            return origin
    return ""


def _parent(location: Location) -> str:
    return ".".join(str(part) for part in location[:-1]) or "the configuration"


def _fields(schema: dict[str, Any], location: Location) -> dict[str, Any]:
    """The fields of the section at `location`, as the JSON schema has them."""
    here: dict[str, Any] = schema
    for part in location:
        inner = here.get("properties", {}) if isinstance(part, str) else {part: here.get("items")}
        here = inner.get(part) or {}
        # A section that may be null is one of several choices.
        here = next((choice for choice in here.get("anyOf", []) if "$ref" in choice), here)
        if "$ref" in here:
            here = schema["$defs"][here["$ref"].rsplit("/", 1)[-1]]
    fields: dict[str, Any] = here.get("properties", {})
    return fields


def _siblings(schema: dict[str, Any], location: Location) -> list[str]:
    return list(_fields(schema, location[:-1]))


def _description(schema: dict[str, Any], location: Location) -> str:
    # The innermost part that is a field: keys of a mapping, such as costs, are not.
    for i in reversed(range(len(location))):
        name = location[i]
        description = _fields(schema, location[:i]).get(str(name), {}).get("description", "")
        if description:
            return f"{name}: {description}"
    return ""
