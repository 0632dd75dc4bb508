"""docs/parts.md, held against the signatures of the parts that it lists."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

import pytest
import yaml

from mfal.config import parse_config
from mfal.registry import BUILTIN, check, resolve
from tests.support import ROOT
from tests.unit.annotations import takes

PAGE = (ROOT / "docs" / "parts.md").read_text()
HEADER = "| name | option | default | takes | |\n|---|---|---|---|---|\n"
REQUIRED = "must be given"

# What the campaign itself gives such a part, which therefore is no option of it.
GIVEN = {
    "surrogate": {"n_fidelities", "levels", "linear_columns"},
    "acquisition": {"surrogate", "reference_features", "reference_candidate", "rank", "seed"},
    "sampler": {"environment", "fidelities"},
    "similarity": {"problem"},
}


@dataclass(frozen=True)
class Option:
    """An option as the page should show it: its default as YAML, and what it takes."""

    default: object
    takes: str


def options(kind: str, name: str) -> dict[str, Option]:
    """The options of a built-in part; settings of settings by their path, as `train.steps`."""
    factory = resolve(kind, name)
    hints = inspect.get_annotations(
        factory.__init__ if inspect.isclass(factory) else factory, eval_str=True
    )
    found: dict[str, Option] = {}
    for p in inspect.signature(factory).parameters.values():
        if p.name in GIVEN.get(kind, ()):
            continue
        if is_dataclass(p.default):
            for field in fields(p.default):
                hint = inspect.get_annotations(type(p.default), eval_str=True)[field.name]
                shown = Option(plain(getattr(p.default, field.name)), takes(hint))
                found[f"{p.name}.{field.name}"] = shown
        else:
            default = REQUIRED if p.default is p.empty else plain(p.default)
            found[p.name] = Option(default, takes(hints[p.name]))
    return found


def plain(value: object) -> object:
    """A default as YAML reads it."""
    return list(value) if isinstance(value, tuple) else value


def shown(kind: str) -> Iterator[tuple[str, str, list[str]]]:
    """Rows of a kind's table: the part, its option ('' for the part's own row), the other cells."""
    (section,) = re.findall(rf"^## `{kind}`\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    part = ""
    _, header, table = section.partition(HEADER)
    assert header, "the table has other columns"
    for line in re.findall(r"^\| (.*) \|$", table, re.MULTILINE):
        first, option, *rest = (cell.strip() for cell in line.split("|"))
        part = first.strip("`") or part
        assert bool(first) != bool(option), line
        yield part, option.strip("`"), rest


def test_every_kind_has_a_table() -> None:
    assert sorted(re.findall(r"^## `(.*)`$", PAGE, re.MULTILINE)) == sorted(BUILTIN)


@pytest.mark.parametrize("kind", BUILTIN)
def test_every_part_is_there_and_nothing_else(kind: str) -> None:
    parts = [part for part, option, _ in shown(kind) if not option]
    assert parts == [*BUILTIN[kind]]


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, names in BUILTIN.items() for n in names])
def test_every_option_is_there_and_nothing_else(kind: str, name: str) -> None:
    rows = {option: rest for part, option, rest in shown(kind) if part == name and option}
    wanted = options(kind, name)
    assert [*rows] == [*wanted]
    for option, (default, what, meaning) in rows.items():
        assert yaml.safe_load(default.strip("`")) == wanted[option].default, option
        assert what == wanted[option].takes, option
        assert meaning, option


def test_an_option_more_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "more.py"
    path.write_text("def kmers(*, alphabet: str, k: int = 4, gap: int = 0): ...")
    monkeypatch.setitem(BUILTIN["features"], "kmers", f"{path}:kmers")
    with pytest.raises(AssertionError, match="gap"):
        test_every_option_is_there_and_nothing_else("features", "kmers")


def test_the_example_works() -> None:
    (example,) = re.findall(r"```yaml\n(features:.*?)```", PAGE, re.DOTALL)
    rest = {
        "name": "example",
        "problem": "dna",
        "budget": {"total": 100},
        "initial": {"share": 0.2},
        "batch": {"cost": 20},
    }
    config = parse_config(rest | yaml.safe_load(example))
    for component in config.features:
        check("features", component)
    assert config.surrogate is not None and config.diversity is not None
    check("surrogate", config.surrogate, GIVEN["surrogate"])
    check("acquisition", config.acquisition, GIVEN["acquisition"])
    check("sampler", config.sampler, GIVEN["sampler"])
    assert config.diversity.similarity is not None
    check("similarity", config.diversity.similarity)
