"""`mfal check` and `mfal new problem`, and the laws of oracles on oracles that break one each."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from typer.testing import CliRunner

from mfal.check import _keys, check_problem
from mfal.cli.app import app
from mfal.cli.new_problem import new_problem
from mfal.errors import ConfigError, InvalidKeyError, UnknownNameError
from mfal.registry import build, resolve
from mfal.sections import Component
from mfal.testing import OracleChecks
from tests.commands import mfal, mfal_process
from tests.support import ROOT

pytestmark = pytest.mark.usefixtures("forked_laws")

# One oracle; `flaw` says what is wrong with it.
FLAWED = """
import os, random, time
from mfal import Fidelity, Objective, Outcome, Problem

class Flawed:
    def __init__(self, flaw):
        self.flaw, self.calls = flaw, 0
        low = Fidelity("low", 1, 0.5, manual=flaw == "manual")
        self.fidelities = (low, Fidelity("high", 2, 1.0))
        name = "cost" if flaw == "objective" else "value"
        self.objectives = (Objective(name, "", "max"),)
        self.backends = {"low": "x", "high": f"{random.random()}" if flaw == "backends" else "y"}
        if flaw == "no backend":
            del self.backends["low"]
        if flaw == "noisy":
            self.deterministic = False

    def evaluate(self, keys, fidelity):
        if self.flaw == "manual" and fidelity.name == "low":
            os._exit(1)
        self.calls += 1
        if self.flaw == "changes keys":
            keys.sort()
        answers = [self.answer(key, len(keys)) for key in keys]
        if self.flaw == "order":
            answers.reverse()
        return answers[:-1] if self.flaw == "short" else answers

    def answer(self, key, n):
        flaw, hostile = self.flaw, not (key and set(key) <= set("ABC"))
        if hostile and flaw == "crash":
            os._exit(3)
        if hostile and flaw == "hang":
            time.sleep(60)
        if hostile and flaw == "exit":
            raise SystemExit(4)
        if hostile and flaw == "raise":
            raise KeyError(key)
        if flaw == "fails":
            return Outcome(None, "always", 0.0)
        value = float(sum(ord(c) * i for i, c in enumerate(key, 1)))
        if flaw in ("random", "noisy"):
            value = random.random()
        if flaw == "company":
            value += n
        if flaw == "counts calls":
            value += self.calls
        if flaw == "process":
            value += os.getpid()
        value = {"nan": float("nan"), "large": 1e200, "truth": True}.get(flaw, value)
        if flaw == "two values":
            return Outcome((value, value), None, 0.0)
        if flaw == "bare":
            return value
        return Outcome((value,), None, -1.0 if flaw == "seconds" else 0.0)

def problem(flaw: str = "") -> Problem:
    shapes = {"picture": "<b/>", "broken picture": "<svg", "text": "x"}
    draw = (lambda key: shapes[flaw]) if flaw in shapes else None
    describe = (lambda key: 3) if flaw == "description" else None
    def environment():
        from mfal.envs.sequence import SequenceEnvironment
        class Mine(SequenceEnvironment):
            def undo(self, states, actions):
                return states if flaw == "undo" else super().undo(states, actions)
            if flaw == "two keys":
                def identities(self, keys):
                    return [key.lower().replace("a", "b") for key in keys]
        return Mine(alphabet="ABC", length=8)
    own = {"distance": "Distance", "one way": "OneWay", "no table": "NoTable"}
    file = os.path.join(os.path.dirname(__file__), "similarities.py")
    similarity = f"{file}:{own[flaw]}" if flaw in own else "edit"
    return Problem("flawed", Flawed(flaw), environment, describe, draw, similarity)
"""

SIMILARITIES = """
from mfal.similarity import EditSimilarity, Similarity

class Distance(EditSimilarity):
    def __call__(self, a, b):
        return 1 - super().__call__(a, b)

class OneWay(Similarity):  # the share of the first's letters that the second has
    def __call__(self, a, b):
        return sum(letter in b[:3] for letter in a) / len(a) if a != b else 1.0

class NoTable(EditSimilarity):  # whose matrix goes on counting edits
    def __call__(self, a, b):
        return super().__call__(a, b) ** 2
"""

# What does harm to whoever asks about some candidates, or about none.
HARMFUL = """
import os, sys, time
from mfal import Fidelity, Objective, Outcome, Problem

class Harmful:
    fidelities = (Fidelity("low", 1, 0.5), Fidelity("high", 2, 1.0))
    objectives = (Objective("value", "", "max"),)
    backends = {"low": "x", "high": "y"}

    def __init__(self, how, log):
        self.how, self.log = how, log

    def evaluate(self, keys, fidelity):
        if self.log:
            with open(self.log, "a") as file:
                file.writelines(f"{key}\\n" for key in keys if set(key) <= set("ABC"))
        if not keys and self.how == "ends for none":
            os._exit(3)
        return [self.answer(key) for key in keys]

    def answer(self, key):
        if len(key) == 8 and key.count("A") > 3:
            if self.how == "exit":
                sys.exit("license not found")
            if self.how == "end":
                os._exit(0)
            if self.how == "hang":
                time.sleep(1000)
            if self.how == "fail":
                return Outcome(None, "too many A", 0.0)
        return Outcome((float(key.count("B")),), None, 0.0)

def problem(how: str = "", log: str = "") -> Problem:
    def environment():
        from mfal.envs.sequence import SequenceEnvironment
        return SequenceEnvironment(alphabet="ABC", length=8)
    return Problem("harmful", Harmful(how, log), environment)
"""

OUTCOMES = "there_is_an_outcome_for_every_key"
FLAWS: list[tuple[str, str, str]] = [
    ("no backend", "backends_name_every_fidelity", "backends of ['high']"),
    ("backends", "backends_name_every_fidelity", "when built again"),
    ("short", OUTCOMES, "3 outcomes for 4 keys"),
    ("nan", OUTCOMES, "nan"),
    ("large", OUTCOMES, "1e+200, which is too large to be a value"),
    ("truth", OUTCOMES, "True, which is no number"),
    ("two values", OUTCOMES, "2 numbers for 1 objectives"),
    ("bare", OUTCOMES, "a float, not an Outcome"),
    ("seconds", OUTCOMES, "took -1.0 seconds"),
    ("fails", "some_candidate_has_a_value", "the first of always"),
    ("changes keys", "keys_are_not_changed", "was changed"),
    ("random", "the_same_is_answered_twice", "asked again"),
    ("counts calls", "the_same_is_answered_twice", "asked again"),
    ("order", "order_and_company_change_nothing", "twice in a batch"),
    ("company", "order_and_company_change_nothing", "twice in a batch"),
    ("process", "a_worker_process_answers_alike", "in a worker process"),
    ("crash", "hostile_keys_do_no_harm", "the oracle's process died (exit code 3)"),
    ("hang", "hostile_keys_do_no_harm", "no answer within 0.5 s"),
    ("exit", "hostile_keys_do_no_harm", "raises SystemExit: 4"),
    ("raise", "hostile_keys_do_no_harm", "raises KeyError"),
    ("two keys", "a_candidate_has_one_key", "which would be bought twice"),
    ("distance", "similarity_compares_candidates", "similarity of 0.0 with itself"),
    ("one way", "similarity_compares_candidates", "the other way round"),
    ("no table", "a_table_of_similarities_is_that_of_each_pair", "in a matrix"),
    ("description", "describe_gives_a_text", "int"),
    ("picture", "draw_gives_a_picture", "b is no SVG"),
    ("broken picture", "draw_gives_a_picture", "is no XML"),
]


class TestSigns(OracleChecks):
    problem = f"{ROOT}/tests/problems/signs.py:problem"


@pytest.fixture(scope="module")
def flawed(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("flawed") / "flawed.py"
    path.write_text(FLAWED)
    (path.parent / "similarities.py").write_text(SIMILARITIES)
    return f"{path}:problem"


def checks(name: str, flaw: str) -> OracleChecks:
    made = OracleChecks()
    made.problem, made.options, made.n, made.timeout_seconds = name, {"flaw": flaw}, 4, 1.0
    return made


@pytest.mark.parametrize(("flaw", "law", "message"), FLAWS)
def test_a_flaw_breaks_its_law(flawed: str, flaw: str, law: str, message: str) -> None:
    made = checks(flawed, flaw)
    if flaw == "hang":
        made.timeout_seconds = 0.5
    if flaw in ("crash", "hang", "exit"):
        made.hostile_keys = lambda: ["\N{SNOWMAN}"]  # type: ignore[method-assign]
    with pytest.raises(AssertionError) as raised:
        getattr(made, f"test_{law}")()
    assert message in str(raised.value)


LAWS = [name for name in dir(OracleChecks) if name.startswith("test_")]


@pytest.mark.parametrize("flaw", ["noisy", "manual"])
@pytest.mark.parametrize("law", LAWS)
def test_noise_that_is_declared_and_people_break_no_law(flawed: str, flaw: str, law: str) -> None:
    getattr(checks(flawed, flaw), law)()


def test_the_command_names_what_is_broken(flawed: str) -> None:
    done = CliRunner().invoke(app, ["check", flawed, "-n", "4", "-s", "flaw=undo"])
    assert done.exit_code == 1, done.output
    lines = done.output.splitlines()
    assert lines[1] == "value: higher is better"
    broken = lines.index("BROKEN  environment: undo inverts step")
    assert "undo after step" in lines[broken + 1]
    assert not [line for line in lines if line.startswith("BROKEN  oracle")]
    assert "ok      oracle: the same is answered twice" in lines
    assert re.fullmatch(r"broken: \d+ laws of the environment", lines[-1])


LOUD = """
import os
import sys

from mfal import Fidelity, Objective, Problem, oracle


@oracle(
    fidelities=[Fidelity("low", 1, 0.5), Fidelity("high", 2, 1.0)],
    objectives=[Objective("value", "", "max")],
)
def score(key: str) -> float:
    print("asked in Python")
    os.system("echo asked in another program")
    if len(key) > 4:
        print(key)
        sys.stderr.write(key)
        os.write(2, key.encode())
    return float(len(key))


def problem():
    def environment():
        from mfal.envs.sequence import SequenceEnvironment

        print("built")
        return SequenceEnvironment(alphabet="ABC", length=4)

    return Problem("loud", score, environment)
"""


def test_what_a_problem_prints_is_no_part_of_the_report(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(LOUD)
    done = mfal_process("check", f"{tmp_path / 'loud.py'}:problem", "--json", cwd=ROOT)
    assert json.loads(done.stdout)["problem"] and done.returncode == 0
    said = done.stderr
    assert "asked in Python" in said and "asked in another program" in said and "built" in said
    assert "AAAAA" not in said  # of texts that are no candidates there is much


def test_an_environment_that_cannot_be_built_is_told_once(
    flawed: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    mine = tmp_path / "listed.py"
    mine.write_text(Path(flawed.removesuffix(":problem")).read_text().replace('="ABC"', '=["A"]'))
    said = refused(tmp_path, "check", f"{mine}:problem")
    assert said.splitlines() == [
        "error: the alphabet is ['A'], which is no text (listed.py, line 69)",
        'hint:  write the letters as one text, such as alphabet="ACGT"',
    ]


@pytest.fixture(scope="module")
def harmful(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("harmful") / "harmful.py"
    path.write_text(HARMFUL)
    return f"{path}:problem"


@pytest.mark.parametrize(
    ("how", "said", "run"),
    [
        # In a process of its own, for it would end that of the tests without a failure.
        ("end", "the oracle's process died (exit code 0)", mfal_process),
        ("hang", "no answer within 0.5 s", mfal),
    ],
)
def test_what_ends_or_blocks_a_process_is_reported(
    harmful: str, how: str, said: str, run: Callable[..., CompletedProcess[str]]
) -> None:
    given = ("check", harmful, "-s", f"how={how}", "-n", "5", "--timeout", "0.5", "--json")
    done = run(*given, cwd=ROOT)
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    (broken,) = [law for law in report["laws"] if law["broken"] is not None]
    assert (broken["suite"], broken["name"]) == ("oracle", "asking does no harm")
    assert re.match(r"low: '[ABC]{8}': ", broken["broken"]) and said in broken["broken"]
    for rung in report["rungs"]:
        assert rung["asked"] == 5 and 0 < rung["failed"] < 5
        assert rung["reason"] == [said, rung["failed"]]


def test_an_oracle_that_exits_is_reported(harmful: str) -> None:
    done = mfal("check", harmful, "-s", "how=exit", cwd=ROOT)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    broken = lines.index("BROKEN  oracle: there is an outcome for every key")
    assert lines[broken + 1].strip() == "SystemExit: license not found"
    assert re.fullmatch(r"broken: \d laws of the oracle", lines[-1])
    assert re.search(r"high: (\d) of 8 candidates .*, \1 with: SystemExit: license", done.stdout)


def test_an_oracle_that_ends_the_process_of_the_laws_breaks_one(harmful: str) -> None:
    done = mfal("check", harmful, "-s", "how=ends for none", "-n", "3", cwd=ROOT)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    (broken,) = [i for i, line in enumerate(lines) if line.startswith("BROKEN")]
    assert lines[broken] == "BROKEN  oracle: no keys have no outcomes"
    assert lines[broken + 1].strip() == "the oracle's process died (exit code 3)"
    assert lines[-1] == "broken: 1 law of the oracle"


def test_the_commonest_reason_of_failures_is_given(harmful: str) -> None:
    done = CliRunner().invoke(app, ["check", harmful, "-s", "how=fail"])
    assert done.exit_code == 0, done.output
    assert re.search(
        r"^high: (\d) of 8 candidates have failed, \1 with: too many A$", done.output, re.MULTILINE
    )


def test_candidates_of_a_file_are_asked_about(harmful: str, tmp_path: Path) -> None:
    listed = [f"{a}{b}{c}CCCCC" for a in "ABC" for b in "AB" for c in "BC"]
    file, log = tmp_path / "keys.txt", tmp_path / "log.txt"
    file.write_text("\n".join(listed))
    given = ["check", harmful, "-s", f"log={log}", "--keys", str(file)]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    asked = {key for key in log.read_text().split() if len(key) == 8}
    assert asked == {*listed} and len(asked) == 12
    assert done.output.count("0 of 12") == 2  # fidelities
    problem = build("problem", Component(name=harmful))
    few = _keys(problem.environment(), problem.oracle.fidelities, 4, 0, file)
    assert few is not None and {*few} < {*listed} and len(few) == len({*few}) == 4


def test_a_file_with_a_candidate_written_otherwise_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text("AAAACCCC\nCCCCAAAA\n")
    given = ["check", "tests.problems.two_ways:problem", "--keys", str(tmp_path / "keys.txt")]
    done = CliRunner().invoke(app, given)
    assert isinstance(done.exception, InvalidKeyError)
    assert "keys.txt: 'CCCCAAAA' is not how" in done.exception.message


def test_a_file_that_holds_no_candidates_is_an_error_of_its_own(
    harmful: str, tmp_path: Path
) -> None:
    (tmp_path / "keys.txt").write_text("ABCABCAB\nABC\n")
    done = CliRunner().invoke(app, ["check", harmful, "--keys", str(tmp_path / "keys.txt")])
    assert isinstance(done.exception, ConfigError)
    assert "keys.txt, line 2: " in done.exception.message


def test_what_is_no_problem_is_an_error_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "none.py"
    path.write_text("def problem(): return 3\n")
    with pytest.raises(ConfigError, match="gives a int"):
        check_problem(Component(name=f"{path}:problem"))


def test_an_objective_named_like_another_column_is_an_error_of_its_own(flawed: str) -> None:
    done = CliRunner().invoke(app, ["check", flawed, "-s", "flaw=objective"])
    assert isinstance(done.exception, ConfigError)
    assert "has the objective 'cost', and every table has another column" in str(done.exception)


def test_a_new_problem_passes_its_check_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["new", "problem", "my_words"])
    assert done.exit_code == 0, done.output
    assert {p.name for p in tmp_path.iterdir()} == {"my_words.py", "my_words.yaml"}
    assert re.findall(r"^  mfal (\w+)", done.output, re.MULTILINE) == ["check", "ladder", "round"]
    done = CliRunner().invoke(app, ["check", "./my_words.py:problem", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["passed"] and all(law["broken"] is None for law in report["laws"])
    figures = [(r["fidelity"]["name"], r["fidelity"]["cost"], r["failed"]) for r in report["rungs"]]
    assert figures == [("rough", 1.0, 0), ("exact", 5.0, 0)]
    assert all(rung["seconds"] > 0 for rung in report["rungs"])
    few = "sampler={name: gflownet, options: {train: {steps: 10, batch_size: 16}}}"
    done = CliRunner().invoke(app, ["round", "my_words.yaml", "--no-prefect", "-s", few])
    assert done.exit_code == 0, done.output
    # 20 x 1 + 10 x 5 for the design, 30 for the batch.
    assert "spent 100 of 200" in done.stdout


@pytest.mark.parametrize("name", ["My", "2x", "a-b", "a.b", "../a", "", "class", "a_", "json"])
def test_a_bad_name_writes_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        new_problem(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["mine.py", "mine.yaml"])
def test_nothing_is_written_over(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("kept")
    with pytest.raises(ConfigError, match=f"{there}: exists"):
        new_problem("mine", tmp_path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(there, "kept")]


def offer(folder: Path, package: str, line: str) -> None:
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[mfal.problems]\n{line}\n")


def test_installed_packages_offer_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mfal_test_offer.py").write_text("def make(): return 'made'\n")
    offer(tmp_path, "one", "crystals = mfal_test_offer:make")
    monkeypatch.syspath_prepend(tmp_path)
    found: Any = resolve("problem", "crystals")
    assert found() == "made"
    with pytest.raises(UnknownNameError) as raised:
        resolve("problem", "crystal")
    assert "built in: " in raised.value.hint and "installed: crystals; " in raised.value.hint
    with pytest.raises(UnknownNameError, match="not known"):
        resolve("sampler", "crystals")
    offer(tmp_path, "two", "crystals = other:make")
    with pytest.raises(ConfigError, match="'crystals' is offered twice"):
        resolve("problem", "crystals")
    sys.modules.pop("mfal_test_offer")
