"""docs/campaign.md, held against the fields that a configuration has."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mfal.config import CampaignConfig, parse_config
from mfal.sections import Component, Frozen
from tests.support import ROOT
from tests.unit.annotations import bounds, limits_of, takes

PAGE = (ROOT / "docs" / "campaign.md").read_text()
HEADER = "| field | default | takes | |\n|---|---|---|---|\n"


def section(info: FieldInfo) -> type[BaseModel] | None:
    """The model of a field that has fields of its own."""
    kinds = [kind for kind in get_args(info.annotation) or (info.annotation,) if kind != NoneType]
    (kind,) = kinds if len(kinds) == 1 else (None,)
    is_section = isinstance(kind, type) and issubclass(kind, Frozen) and kind is not Component
    return kind if is_section else None


SECTIONS = {
    name: model
    for name, info in CampaignConfig.model_fields.items()
    if (model := section(info)) is not None
}


def row(name: str, info: FieldInfo, within: str = "") -> str:
    """The line that the page has for a field."""
    path = f"{within}.{name}" if within else name
    shown = f"[`{path}`](#{path})" if not within and name in SECTIONS else f"`{path}`"
    return f"| {shown} | {default(info)} | {what(name, info)} | {info.description} |"


def default(info: FieldInfo) -> str:
    if info.is_required():
        return "must be given"
    value: Any = info.get_default(call_default_factory=True)
    if isinstance(value, Component):
        value = value.name
    elif isinstance(value, Frozen):
        return "see below"
    plain = str(value) if isinstance(value, Path) else json.dumps(value).strip('"')
    return f"`{plain}`"


def what(name: str, info: FieldInfo) -> str:
    if name in SECTIONS:
        return "section, or null" if NoneType in get_args(info.annotation) else "section"
    hint = info.annotation
    assert hint is not None
    number = hint if hint in (int, float) else next(iter(get_args(hint)), str)
    said = takes(hint)
    limit = bounds(number, limits_of(info.metadata)) if number in (int, float) else ""
    return said.replace(", or null", f"{limit}, or null") if "or null" in said else said + limit


def table(model: type[BaseModel], within: str = "") -> Iterator[str]:
    for name, info in model.model_fields.items():
        yield row(name, info, within)


@pytest.mark.parametrize("name", ["", *SECTIONS])
def test_every_field_is_there_as_it_is_and_nothing_else(name: str) -> None:
    heading = f"`{name}`" if name else "The fields"
    (text,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    _, header, rows = text.partition(HEADER)
    assert header, "the table has other columns"
    wanted = [*table(SECTIONS.get(name, CampaignConfig), name)]
    assert re.findall(r"^\|.*\|$", rows, re.MULTILINE) == wanted


def test_the_example_is_a_campaign() -> None:
    (example,) = re.findall(r"```yaml\n(name:.*?)```", PAGE, re.DOTALL)
    assert parse_config(yaml.safe_load(example)).name == "mine"
