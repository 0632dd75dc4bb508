import re
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from typing import Any

import pytest

from mfal.errors import BudgetError, ConfigError, MissingDependencyError, UnknownNameError
from mfal.features.kmers import KmerCounts
from mfal.problem import build_problem
from mfal.registry import BUILTIN, build, check, resolve
from mfal.sections import Component
from mfal.types import Problem
from tests.support import MOTIF

# Whatever is called says so in `called`.
PARTS = """
from typing import Annotated, Literal
from pydantic import Field
from mfal.errors import BudgetError

called = []
answer = 42

def _hidden():
    pass

def plain(a: int = 1, b: str = "x"):
    called.append("plain")
    return a, b

def nothing():
    return "nothing"

def both(given, *, n: int = 3):
    return given, n

class Sized:
    def __init__(
        self,
        environment,
        *,
        size: Annotated[int, Field(gt=0, le=9)] = 1,
        rate: float = 0.5,
        kind: Literal["one", "other"] = "one",
        names: tuple[str, ...] = (),
        strict: bool = False,
        least: int | None = None,
    ):
        called.append("Sized")
        self.environment, self.size, self.rate, self.names = environment, size, rate, names

def raises():
    raise BudgetError("no money")
"""


@pytest.fixture
def parts(tmp_path: Path) -> str:
    path = tmp_path / "parts.py"
    path.write_text(PARTS)
    return str(path)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that modules are imported from."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("mfal_test_"):
            del sys.modules[name]


def called(path: str) -> list[str]:
    found: list[str] = resolve("sampler", f"{path}:plain").__globals__["called"]
    return found


NAMES = [(kind, name) for kind, names in BUILTIN.items() for name in names]


@pytest.mark.parametrize(("kind", "name"), NAMES, ids=[f"{k}-{n}" for k, n in NAMES])
def test_every_built_in_name_is_there(kind: str, name: str) -> None:
    assert callable(resolve(kind, name))
    assert resolve(kind, BUILTIN[kind][name]) is resolve(kind, name)


@pytest.mark.parametrize("kind", sorted(BUILTIN))
def test_an_unknown_name_says_what_exists(kind: str) -> None:
    with pytest.raises(UnknownNameError) as raised:
        resolve(kind, "gflwnet")
    assert raised.value.message == f"{kind} 'gflwnet' is not known"
    assert all(name in raised.value.hint for name in BUILTIN[kind])
    assert "./file.py:attribute" in raised.value.hint


def test_a_file_and_a_module_are_named_by_attribute(parts: str) -> None:
    assert resolve("sampler", f"{parts}:plain")(a=2) == (2, "x")
    assert resolve("features", "mfal.features.kmers:KmerCounts") is KmerCounts
    assert isinstance(build("problem", Component(name=MOTIF)), Problem)


def test_paths_start_where_one_runs(parts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(parts).parent)
    (Path(parts).parent / "mine_here.py").write_text("def f(): return 'mine'")
    assert resolve("sampler", "./mine_here.py:f")() == "mine"


def test_the_same_path_in_another_folder_is_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(f"def which():\n    return {name!r}\n")
        monkeypatch.chdir(tmp_path / name)
        assert resolve("problem", "./mine.py:which")() == name


def test_a_file_is_run_once(parts: str) -> None:
    assert resolve("sampler", f"{parts}:Sized") is resolve("sampler", f"{parts}:Sized")


@pytest.mark.parametrize(
    ("target", "said", "hinted"),
    [
        ("{folder}/nowhere.py:f", "there is no file", "it was looked for at"),
        ("{folder}:f", "there is no module", "check the spelling"),
        ("{parts}:gone", "has no 'gone'", "nothing, plain, raises"),
        ("{parts}:answer", "is a int", "name a function or a class"),
        ("{parts}:", "has no ''", "plain"),
        ("mfal.nowhere:f", "there is no module 'mfal.nowhere'", "check the spelling"),
        ("nowhere_at_all.deeper:f", "there is no module 'nowhere_at_all.deeper'", "install"),
        ("mfal.features.kmers:Kmers", "mfal.features.kmers has no 'Kmers'", "KmerCounts"),
    ],
)
def test_what_is_not_there_is_named(parts: str, target: str, said: str, hinted: str) -> None:
    name = target.format(parts=parts, folder=Path(parts).parent)
    with pytest.raises(UnknownNameError) as raised:
        resolve("sampler", name)
    assert said in raised.value.message
    assert hinted in raised.value.hint
    assert "_hidden" not in raised.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def (", "SyntaxError"),
        ("import nowhere_at_all", "No module named 'nowhere_at_all'"),
        ("raise ValueError('not today')", "ValueError: not today"),
        ("\nraise ValueError('not today')", "not today (broken.py, line 2)"),
        ("def f():\n    raise KeyError\nf()", ": KeyError (broken.py, line 2)"),
        ("import json\njson.loads('')", "char 0) (broken.py, line 2)"),
        ("x = 1\ndef (", "(broken.py, line 2)"),
        ("from numpy import nonsense", "ImportError: cannot import name 'nonsense'"),
        ("import sys\nsys.exit(0)", "SystemExit: 0 (broken.py, line 2)"),
    ],
)
def test_a_file_that_raises_is_named_with_what_it_raised(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        resolve("sampler", f"{path}:f")
    assert raised.value.message.startswith(f"{path}: ")
    assert said in raised.value.message


def test_an_error_meant_for_the_user_passes_through(tmp_path: Path, parts: str) -> None:
    path = tmp_path / "speaks.py"
    path.write_text("from mfal.errors import BudgetError\nraise BudgetError('no money', 'earn')")
    with pytest.raises(BudgetError, match=r"^no money \(speaks.py, line 2\)\n  hint: earn$"):
        resolve("sampler", f"{path}:f")
    with pytest.raises(BudgetError, match=r"^no money \(parts.py, line \d+\)$"):
        build("sampler", Component(name=f"{parts}:raises"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("from numpy import nonsense", "mfal_test_odd: ImportError: cannot import name 'nonsense'"),
        ("1 / 0", "mfal_test_odd: ZeroDivisionError: division by zero (mfal_test_odd.py, line 1)"),
        ("raise SystemExit(3)", "mfal_test_odd: SystemExit: 3 (mfal_test_odd.py, line 1)"),
    ],
)
def test_a_module_that_raises_is_named_with_what_it_raised(
    package: Path, text: str, said: str
) -> None:
    (package / "mfal_test_odd.py").write_text(text)
    with pytest.raises(ConfigError) as raised:
        resolve("problem", "mfal_test_odd:problem")
    assert raised.value.message.startswith(said)
    assert raised.value.__cause__ is not None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 3", "problem '{name}' gives a int"),
        ("return None", "problem '{name}' gives a NoneType"),
        ("raise ValueError('no licence')", "problem '{name}': ValueError: no licence ({place})"),
        ("raise SystemExit", "problem '{name}': SystemExit ({place})"),
        ("return Fidelity('low', '1', 0.5)", "fidelity 'low': cost is '1' ({place})"),
    ],
)
def test_what_is_wrong_with_a_problem_is_named(tmp_path: Path, body: str, said: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"from mfal import Fidelity\ndef problem():\n    {body}\n")
    name = f"{path}:problem"
    with pytest.raises(ConfigError) as raised:
        build_problem(Component(name=name))
    assert raised.value.message == said.format(name=name, place="mine.py, line 3")


def test_an_oracle_named_as_the_problem_is_told_from_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from mfal import Fidelity, Objective, oracle\n"
        "@oracle(fidelities=[Fidelity('whole', 1, 1)], objectives=[Objective('n', '', 'max')])\n"
        "def score(key: str) -> float:\n    return len(key)\n"
    )
    with pytest.raises(ConfigError) as raised:
        build_problem(Component(name=f"{path}:score"))
    assert raised.value.message.endswith("is an oracle, which is a part of a problem")
    assert raised.value.hint == "name the function that returns a mfal.Problem with it"


def test_a_defect_of_a_built_in_part_is_not_blamed_on_the_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(BUILTIN["problem"], "broken", "json:loads")
    with pytest.raises(TypeError):
        build("problem", Component(name="broken", options={"s": 3}))


def test_installed_packages_are_looked_through_once_and_for_problems_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[str] = []

    def look(*, group: str) -> EntryPoints:
        looked.append(group)
        return entry_points(group=group)

    monkeypatch.setattr("mfal.registry.entry_points", look)
    build("features", Component(name="kmers", options={"alphabet": "ACGT", "k": 2}))
    assert looked == []
    build("problem", Component(name=MOTIF))
    assert looked == ["mfal.problems"]


def test_a_package_that_is_not_installed_is_told_from_a_wrong_name(package: Path) -> None:
    (package / "mfal_test_needy.py").write_text("import nowhere_at_all.inside")
    with pytest.raises(MissingDependencyError) as raised:
        resolve("sampler", "mfal_test_needy:f")
    assert raised.value.message.startswith("mfal_test_needy needs the package")
    assert raised.value.hint == "pip install nowhere_at_all"


def test_an_unknown_option_says_what_is_accepted(parts: str) -> None:
    with pytest.raises(UnknownNameError) as raised:
        check("sampler", Component(name=f"{parts}:Sized", options={"sise": 1, "rat": 2}), ["n"])
    assert "has no option 'rat', 'sise'" in raised.value.message
    expected = "it takes environment, size, rate, kind, names, strict, least"
    assert raised.value.hint == expected
    with pytest.raises(UnknownNameError, match="it takes no options"):
        check("sampler", Component(name=f"{parts}:nothing", options={"a": 1}))


def test_what_the_campaign_gives_is_no_option(parts: str) -> None:
    component = Component(name=f"{parts}:Sized", options={"environment": "mine"})
    with pytest.raises(UnknownNameError, match="has no option 'environment'"):
        build("sampler", component, environment="the campaign's")


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        ("size", "3", "valid integer, got '3'"),
        ("size", 3.5, "got 3.5"),
        ("size", True, "valid integer, got True"),
        ("size", 0, "greater than 0, got 0"),
        ("size", 10, "less than or equal to 9, got 10"),
        ("size", None, "got None"),
        ("rate", "fast", "valid number, got 'fast'"),
        ("kind", "third", "'one' or 'other', got 'third'"),
        ("names", "abc", "got 'abc'"),
        ("names.1", ["a", 1], "valid string, got 1"),
        ("strict", 1, "valid boolean, got 1"),
        ("least", "none", "got 'none'"),
    ],
)
def test_a_bad_option_is_named_with_its_value(
    parts: str, where: str, value: object, said: str
) -> None:
    option = where.partition(".")[0]
    with pytest.raises(ConfigError) as raised:
        build("sampler", Component(name=f"{parts}:Sized", options={option: value}), environment=0)
    start = f"sampler '{parts}:Sized': option {where}: "
    assert raised.value.message.startswith(start)
    assert said in raised.value.message
    assert raised.value.hint.startswith(("it is ", "write [", "YAML takes what "))
    assert called(parts) == []


@pytest.mark.parametrize(
    ("kind", "name", "options", "said"),
    [
        ("sampler", "gflownet", {"train": {"steps": 0}}, "train.steps: .*, got 0$"),
        ("sampler", "gflownet", {"train": {"loss": "l2"}}, "train.loss: .*, got 'l2'$"),
        ("sampler", "gflownet", {"train": {"step": 9}}, "train.step: Unexpected.*, got 9$"),
        ("sampler", "gflownet", {"policy": {"kind": "cnn"}}, "policy.kind: .*, got 'cnn'$"),
        ("sampler", "gflownet", {"train": 300}, "train: .*, got 300$"),
        ("surrogate", "gp", {"kernel": "cosine"}, "kernel: .*, got 'cosine'$"),
        ("features", "kmers", {"alphabet": "ACGT", "k": 9}, "k: .*, got 9$"),
        ("problem", "dna", {"backend": "mfold"}, "backend: .*, got 'mfold'$"),
    ],
)
def test_built_in_parts_check_their_options(
    kind: str, name: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        check(kind, Component(name=name, options=options), ("environment", "fidelities"))
    assert re.match(f"{kind} '{name}': option {said}", raised.value.message)


def test_digits_that_are_letters_go_in_quotes() -> None:
    with pytest.raises(
        ConfigError, match="alphabet: Input should be a valid string, got 83"
    ) as raised:
        check("features", Component(name="kmers", options={"alphabet": 83}))  # 0123 in YAML
    assert raised.value.hint == "YAML takes what stands there for a number: put it in quotes"


def test_a_missing_option_is_named() -> None:
    with pytest.raises(ConfigError, match="features 'kmers': needs the option alphabet"):
        check("features", Component(name="kmers"))
    with pytest.raises(ConfigError, match="needs the options dimensions, side") as raised:
        check("features", Component(name="coordinates"))
    assert raised.value.hint == "write {name: coordinates, options: {dimensions: …, side: …}}"


@pytest.mark.parametrize(
    ("part", "option", "value", "hint"),
    [
        ("kmers", "alphabet", None, "it is a text"),
        ("kmers", "k", 9, "it is a whole number"),
        ("morgan", "notation", "inchi", "it is selfies or smiles"),
        ("peptides", "linear", 1, "it is true or false"),
    ],
)
def test_what_an_option_takes_is_said_in_words(
    part: str, option: str, value: object, hint: str
) -> None:
    options = {"alphabet": "ACGT", option: value} if part == "kmers" else {option: value}
    with pytest.raises(ConfigError) as raised:
        check("features", Component(name=part, options=options))
    assert raised.value.hint == hint


def test_a_file_alone_does_not_say_which_part_is_meant(parts: str) -> None:
    with pytest.raises(UnknownNameError, match="is a file, and what is meant of it") as raised:
        resolve("problem", parts)
    assert raised.value.hint == f"name it after a colon, as in {parts}:problem"


def test_check_calls_nothing_and_gives_the_options_their_types(parts: str) -> None:
    options = {"size": 9, "rate": 1, "names": ["a", "b"], "kind": "other", "least": None}
    component = Component(name=f"{parts}:Sized", options=options)
    _, checked = check("sampler", component, ["environment"])
    assert called(parts) == []
    assert checked == options | {"names": ("a", "b")}
    assert isinstance(checked["rate"], float)


def test_build_passes_options_and_what_is_taken_of_what_is_given(parts: str) -> None:
    component = Component(name=f"{parts}:Sized", options={"size": 3, "names": ["a"]})
    built = build("sampler", component, environment="env", fidelities="not taken")
    assert (built.environment, built.size, built.rate, built.names) == ("env", 3, 0.5, ("a",))
    assert called(parts) == ["Sized"]
    assert build("sampler", Component(name=f"{parts}:nothing"), environment="env") == "nothing"
    assert build("sampler", Component(name=f"{parts}:both"), given=1) == (1, 3)


def test_a_short_component_is_built_with_its_defaults(parts: str) -> None:
    assert build("sampler", Component.model_validate(f"{parts}:plain")) == (1, "x")


def test_types_that_only_a_checker_knows_matter_where_options_are_given(tmp_path: Path) -> None:
    path = tmp_path / "late.py"
    path.write_text(
        "from __future__ import annotations\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n"
        "    from mfal.envs.base import Environment\n"
        "class Late:\n"
        "    def __init__(self, environment: Environment, size: int = 3):\n"
        "        self.size = size\n"
    )
    assert build("sampler", Component(name=f"{path}:Late"), environment="env").size == 3
    with pytest.raises(
        ConfigError, match=r"types of its options.*NameError.*Environment"
    ) as raised:
        check("sampler", Component(name=f"{path}:Late", options={"size": 4}), ["environment"])
    assert "TYPE_CHECKING" in raised.value.hint
