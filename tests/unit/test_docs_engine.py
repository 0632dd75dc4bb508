"""The table of environments in docs/engine.md, held against their classes."""

import importlib
import inspect
import re

import pytest

from tests.support import ROOT

PAGE = (ROOT / "docs" / "engine.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| `(\w+)\((.*?)\)`", PAGE, re.MULTILINE)


def argument(parameter: inspect.Parameter) -> str:
    """How the page writes an argument; a default that is long is an ellipsis there."""
    default = parameter.default
    if default is parameter.empty:
        return parameter.name
    plain = f'"{default}"' if isinstance(default, str) else str(default)
    return f"{parameter.name}={'…' if len(plain) > 20 else plain}"


@pytest.mark.parametrize(("module", "name", "arguments"), ROWS)
def test_an_environment_takes_what_the_page_says(module: str, name: str, arguments: str) -> None:
    environment = getattr(importlib.import_module(f"mfal.envs.{module}"), name)
    parameters = inspect.signature(environment).parameters.values()
    assert arguments == ", ".join(map(argument, parameters))


def test_every_environment_is_there() -> None:
    classes = {
        (path.stem, name)
        for path in (ROOT / "mfal" / "envs").glob("*.py")
        for name in re.findall(r"^class (\w+Environment)\b", path.read_text(), re.MULTILINE)
        if path.stem != "base" and name != "LetterEnvironment"  # what others have in common
    }
    assert {(module, name) for module, name, _ in ROWS} == classes
