"""What is wrong with a configuration, in the words of its fields."""

from typing import Any

from pydantic import ValidationError

from mfal.errors import ConfigError

Location = tuple[int | str, ...]
"""Names of the sections and the field, from the outside in."""


def config_error(error: ValidationError, source: str, schema: dict[str, Any]) -> ConfigError:
    """What a user is told of fields that were refused: each by its place, and what it is for.

    Args:
        source: Names the configuration.
        schema: JSON schema of the model that refused them.
    """
    lines, hints = [], []
    for e in error.errors():
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
            lines.append(f"{source}: {field}: {e['msg']}{got}")
            hints.append(_description(schema, e["loc"]))
    return ConfigError("\n".join(lines), "; ".join(dict.fromkeys(h for h in hints if h)))


def _parent(location: Location) -> str:
    return ".".join(str(part) for part in location[:-1]) or "the configuration"


def _fields(schema: dict[str, Any], location: Location) -> dict[str, Any]:
    """The fields of the section at `location`, as the JSON schema has them."""
    here: dict[str, Any] = schema
    for part in location:
        inner = here.get("properties", {}) if isinstance(part, str) else {part: here.get("items")}
        here = inner.get(part) or {}
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
