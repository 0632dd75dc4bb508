"""YAML files of plain values, and changes to them from the command line."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml

from mfal.errors import ConfigError


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a mapping with the same key twice (YAML keeps the last, silently)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(k, deep=True) for k, _ in node.value]
        for i, key in enumerate(keys):
            if key in keys[:i]:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", node.value[i][0].start_mark
                )
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; raises ConfigError where there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: cannot be read: {error}",
            "give the path of a YAML file, e.g. configs/dna.yaml",
        ) from error
    try:
        # A subclass of SafeLoader: builds plain values only.
        data = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}", "mend the line it names") from error
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


def _apply_override(data: dict[str, Any], override: str) -> None:
    path, separator, text = override.partition("=")
    if not separator or not path:
        raise ConfigError(
            f"override {override!r} is not of the form a.b=c", "for example budget.total=500"
        )
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"override {override!r}: the value is not valid YAML", "quote it"
        ) from error
    set_field(data, path, value, source=f"override {override!r}")


def set_field(data: dict[str, Any], path: str, value: object, source: str) -> None:
    """Set a nested value in place by its path ``a.b.c``; `source` names it in errors."""
    *parents, leaf = path.split(".")
    for name in parents:
        child = data.setdefault(name, {})
        if isinstance(child, str):  # a component in its short form
            child = data[name] = {"name": child}
        if not isinstance(child, dict):
            raise ConfigError(
                f"{source}: {name} is not a section",
                "name fields as they are nested in the YAML file",
            )
        data = child
    data[leaf] = value
