"""YAML files of plain values, and changes to them from the command line."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml

from mfal.errors import ConfigError

COMMAND_LINE = "--set"
"""Names changes from the command line in errors, where a file's values are named by the file."""


class _PlainLoader(yaml.SafeLoader):
    """SafeLoader of texts, numbers, truth values, lists and mappings alone; a date is a text.

    It refuses a mapping with the same key twice (YAML keeps the last, silently).
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        for key, _ in node.value:
            if key.tag == _MERGE:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    "<< merges mappings, which is not supported: write the fields out",
                    key.start_mark,
                )
        keys = [self.construct_object(k, deep=True) for k, _ in node.value]
        for i, key in enumerate(keys):
            if key in keys[:i]:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", node.value[i][0].start_mark
                )
        return super().construct_mapping(node, deep)

    def refuse(self, node: yaml.Node) -> None:
        """Raise ConstructorError for a value of a kind that is not plain."""
        self.construct_undefined(node)


_DATE, _MERGE = "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge"
_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _DATE]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag in (_DATE, *(f"tag:yaml.org,2002:{kind}" for kind in ("binary", "set", "omap", "pairs"))):
    _PlainLoader.add_constructor(_tag, _PlainLoader.refuse)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; raises ConfigError where there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: cannot be read: {error}",
            "give the path of a YAML file, e.g. configs/dna.yaml",
        ) from error
    data = _parse(text, str(path), "mend the line it names")
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: holds no fields", "see configs/dna.yaml and `mfal schema`")
    return data


def apply_overrides(data: dict[str, Any], overrides: Sequence[str]) -> None:
    """Change nested values in place, each by a text such as ``"budget.total=500"``.

    Raises:
        ConfigError: for a text of another form.
    """
    for override in overrides:
        _apply_override(data, override)


def overridden(overrides: Sequence[str]) -> list[str]:
    """Paths of the fields that these texts change, such as ``budget.total``."""
    return [override.partition("=")[0] for override in overrides]


def _apply_override(data: dict[str, Any], override: str) -> None:
    path, separator, text = override.partition("=")
    if not separator or not path:
        raise ConfigError(
            f"{COMMAND_LINE} {override!r} is not of the form a.b=c", "for example budget.total=500"
        )
    source = f"{COMMAND_LINE} {path}"
    set_field(data, path, _parse(text, source, "mend the value, or quote it"), source)


def _parse(text: str, source: str, hint: str) -> object:
    """The plain value that a text of YAML stands for; `source` names it in errors."""
    try:
        data = _plain(text, source)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{source}: not valid YAML: {error}", hint) from error
    except RecursionError as error:
        raise ConfigError(f"{source}: is nested too deep to be read", hint) from error
    _check_ends(data, source, ())
    return data


def _plain(text: str, source: str) -> object:
    """As `yaml.safe_load`, by a loader whose errors name the source beside the line."""
    loader = _PlainLoader(text)
    loader.name = source
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _check_ends(value: object, source: str, above: tuple[object, ...]) -> None:
    """Raise ConfigError for a value that an alias puts inside itself."""
    if not isinstance(value, dict | list):
        return
    if any(value is outer for outer in above):
        raise ConfigError(
            f"{source}: an alias (*) stands inside the value that it repeats",
            "write the value out",
        )
    for part in value.values() if isinstance(value, dict) else value:
        _check_ends(part, source, (*above, value))


def set_field(data: dict[str, Any], path: str, value: object, source: str) -> None:
    """Set a nested value in place by its path ``a.b.c``; `source` names it in errors."""
    *parents, leaf = path.split(".")
    for name in parents:
        child = data.get(name)
        if child is None:
            child = data[name] = {}
        if isinstance(child, str):  # a component in its short form
            child = data[name] = {"name": child}
        if not isinstance(child, dict):
            raise ConfigError(
                f"{source}: {name} is not a section",
                "name fields as they are nested in the YAML file",
            )
        data = child
    data[leaf] = value
