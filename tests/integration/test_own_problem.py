"""What docs/own-problem.md shows, run."""

import csv
import json
import re
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from mfal import laws
from mfal.cli.app import app
from mfal.envs.variable import VariableSequenceEnvironment
from mfal.propose import random_candidates
from mfal.registry import build
from mfal.sections import Component
from mfal.testing import (
    AcquisitionChecks,
    FeatureChecks,
    OracleChecks,
    SamplerChecks,
    SurrogateChecks,
)
from mfal.types import Fidelity
from tests.support import ROOT

pytestmark = pytest.mark.usefixtures("forked_laws")

PAGE = (ROOT / "docs" / "own-problem.md").read_text()
FILE = re.compile(r"```\w+\n# (\S+)\n(.*?)```", re.DOTALL)
BLOCKS = dict(FILE.findall(PAGE))
PARTS = dict(FILE.findall((ROOT / "docs" / "parts.md").read_text()))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the page, to run in."""
    for name, text in (BLOCKS | PARTS).items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.output


def shown_checks(name: str) -> list[Any]:
    """An instance of each class that a file of the page defines."""
    found: dict[str, Any] = {"__name__": name}
    exec(compile(BLOCKS[name], name, "exec"), found)
    return [kind() for kind in found.values() if getattr(kind, "__module__", None) == name]


def hold(checks: object) -> None:
    for name in laws.tests_of(checks):
        getattr(checks, name)()


def test_the_page_shows_a_file_for_each_kind() -> None:
    assert {*BLOCKS} == {
        "words.py",
        "test_words.py",
        "test_parts.py",
        "program.py",
        "score.py",
        "bench.py",
        "bench.yaml",
        "begin.py",
        "table.py",
        "alloys.py",
        "alloys.yaml",
        "library.csv",
        "prepare.py",
        "library.py",
        "library.yaml",
        "drugs.py",
        "drugs.yaml",
    }


def test_a_function_and_its_tests() -> None:
    oracle = build("problem", Component(name="./words.py:problem")).oracle
    low, high = oracle.fidelities
    answers = oracle.evaluate(["ABCDABDCBADA", "DDDAAAAAAAAA"], high)
    # Of the six pairs from the outside in, A-A, B-D, C-A, D-B, A-C and B-D, one agrees.
    assert answers[0].values == (1.0,)
    assert answers[1].error == "ValueError: this one cannot be measured"
    assert oracle.evaluate(["AAAABBBBAAAA"], low)[0].values == (4.0,)

    (checks,) = shown_checks("test_words.py")
    assert isinstance(checks, OracleChecks)
    hold(checks)


def test_parts_of_ones_own_and_their_tests() -> None:
    assert {*PARTS} == {"improvement.py", "best_of_many.py"}
    shown = shown_checks("test_parts.py")
    kinds = (AcquisitionChecks, SamplerChecks, SurrogateChecks)
    assert [isinstance(c, k) for c, k in zip(shown, kinds, strict=True)] == [True] * 3
    for checks in shown:
        hold(checks)
    campaign = {
        "name": "parts",
        "problem": "./words.py:problem",
        "budget": {"total": 100},
        "initial": {"queries": {"ends": 12, "word": 4}},
        "batch": {"cost": 20},
        "features": [{"name": "kmers", "options": {"alphabet": "ABCD", "k": 2}}],
        "acquisition": {"name": "./improvement.py:Improvement", "options": {"margin": 0.1}},
        "sampler": {"name": "./best_of_many.py:BestOfMany", "options": {"times": 2}},
    }
    Path("parts.yaml").write_text(yaml.safe_dump(campaign))
    assert "spent 52 of 100" in run("round", "parts.yaml", "--no-prefect")


def test_a_program() -> None:
    checks = OracleChecks()
    checks.problem, checks.n = "./program.py:problem", 4
    hold(checks)
    oracle = build("problem", Component(name="./program.py:problem")).oracle
    low, high = oracle.fidelities
    answers = oracle.evaluate(["ABCDABDCBADA", "DDDAAAAAAAAA"], high)
    assert answers[0].values == (1.0,)
    assert answers[1].error == "this one cannot be measured"
    assert oracle.evaluate(["AAAABBBBAAAA"], low)[0].values == (4.0,)


def test_a_table() -> None:
    (commands,) = re.findall(r"(^    python table\.py\n(?:    .*\n)+)", PAGE, re.MULTILINE)
    make, *others = (line.split() for line in commands.splitlines())
    exec(compile(BLOCKS[make[1]], make[1], "exec"), {})
    with Path("alloys.csv").open(newline="") as file:
        listed = {row["alloy"] for row in csv.DictReader(file)}
    (n,) = re.findall(r"a table of (\d+) alloys", PAGE)
    assert len(listed) == int(n) == yaml.safe_load(BLOCKS["alloys.yaml"])["sampler"]["options"]["n"]
    (_, *check), (_, *ladder), (_, *round_) = others
    said = run(*check)
    assert said.count("0 of 8") == 2  # fidelities
    assert re.fullmatch(r"all \d+ laws hold", said.splitlines()[-1])
    report = json.loads(run(*ladder, "--json"))
    assert report["random"] == 100 and {*report["keys"]} <= listed
    assert [rung["failed"] for rung in report["rungs"]] == [0, 0]
    features = FeatureChecks()
    features.features, features.keys = "./alloys.py:Composition", sorted(listed)[:20]
    hold(features)
    said = run(*round_, "--no-prefect")
    # 30 x 1 + 5 x 20 for the design, and the batch.
    assert "spent 190 of 400" in said


def test_molecules() -> None:
    said = run("check", "./drugs.py:problem")
    assert re.fullmatch(r"all \d+ laws hold", said.splitlines()[-1])
    oracle = build("problem", Component(name="./drugs.py:problem")).oracle
    benzene = "[C][=C][C][=C][C][=C][Ring1][=Branch1]"
    part, qed = (oracle.evaluate([benzene], f)[0].values for f in oracle.fidelities)
    assert part is not None and qed is not None
    assert qed[0] == pytest.approx(0.4426, abs=1e-4)  # RDKit's for benzene
    report = json.loads(run("ladder", "drugs.yaml", "--json"))
    assert report["rungs"][0]["agreement"]["spearman"] > 0.85
    assert report["rungs"][0]["variance_ratio"] < 0.5  # worth its cost
    # Training that long takes a minute, and is not what is shown.
    said = run("round", "drugs.yaml", "--no-prefect", "-s", "sampler.options.train.steps=20")
    assert "spent 340 of 900" in said


def test_the_weight_that_the_page_warns_of_is_a_useless_rung() -> None:
    text = BLOCKS["drugs.py"].replace(
        "QED.qed(molecule, w=(0.66, 0.46, 0, 0, 0, 0, 0, 0.95))",
        "-abs(__import__('rdkit.Chem.Descriptors').Chem.Descriptors.MolWt(molecule) - 300)",
    )
    assert text != BLOCKS["drugs.py"]
    Path("weights.py").write_text(text)
    Path("weights.yaml").write_text(BLOCKS["drugs.yaml"].replace("./drugs.py", "./weights.py"))
    report = json.loads(run("ladder", "weights.yaml", "--json"))
    assert report["rungs"][0]["agreement"]["spearman"] < 0.2
    assert not report["rungs"][0]["used"] and report["variance_ratio"] == 1


def test_a_list_of_molecules_to_measure() -> None:
    (commands,) = re.findall(r"(^    python prepare\.py\n(?:    .*\n)+)", PAGE, re.MULTILINE)
    lines = (line.partition("  #")[0].split() for line in commands.splitlines())
    make, begin, first, _, bring, ask, second = lines
    exec(compile(BLOCKS[make[1]], make[1], "exec"), {})
    assert "imported as round 0: 8 assay (0 failed), cost 0" in run(*begin[1:])
    batch = Path(bring[-1])
    assert f"waits for 3 measurements:\n  {batch}\n" in run(*first[1:], "--no-prefect")
    with batch.open(newline="") as file:
        rows = list(csv.DictReader(file))
    known = pd.read_csv("measured.csv").set_index("candidate")["solubility"]
    # Of benzene there are two spellings and two measurements.
    assert known["c1ccccc1"] == pytest.approx(-1.65) and len(known) == 8
    listed = Path("keys.txt").read_text().split()
    assert len({row["candidate"] for row in rows} & {*listed} - {*known.index}) == 3
    filled = pd.DataFrame(rows).assign(solubility=[0.1, 0.2, 0.3])
    filled.to_csv(batch, index=False)
    assert "3 assay (0 failed), cost 3" in run(*bring[1:])
    told = run(*ask[1:], "-n", "16")  # a row each: the list has no more
    assert "Best 16 at assay by the surrogate" in told and all(key in told for key in listed)
    assert "Round 2 waits for 3 measurements" in run(*second[1:], "--no-prefect")


def test_a_bad_smiles_of_that_list_is_named() -> None:
    with Path("library.csv").open("a") as file:
        file.write("C(,\n")
    with pytest.raises(SystemExit, match=r"'C\(' is not the SMILES of a molecule"):
        exec(compile(BLOCKS["prepare.py"], "prepare.py", "exec"), {})


def test_random_texts_are_as_short_as_the_page_says() -> None:
    said = r"Of (\w+) with 1 to (\d+) letters, half of a design of a hundred have at\s+most (\d)"
    ((letters, longest, most),) = re.findall(said, PAGE)
    environment = VariableSequenceEnvironment(alphabet=letters, max_length=int(longest))
    halves = [
        median(map(len, random_candidates(environment, [Fidelity("assay", 1, 1.0)], 100, seed)))
        for seed in range(5)
    ]
    assert median(halves) == int(most)


def test_people(folder: Path) -> None:
    said = run("round", "bench.yaml", "--no-prefect")
    (path,) = re.findall(r"data/bench/batches/\S+\.csv", PAGE.partition("says so and ends")[0])
    path = path.rstrip("`,")
    assert f"waits for 6 measurements:\n  {path}\n" in said
    with Path(path).open(newline="") as file:
        rows = list(csv.DictReader(file))
    for i, row in enumerate(rows):
        row["binding"] = f"{50 + i}"
    with Path(path).open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    commands = re.findall(r"^    mfal (import bench.*|round bench.*)$", PAGE, re.MULTILINE)
    assert commands[1::2] == ["round bench.yaml"] * 2
    assert "imported into round 0: 6 assay (0 failed), cost 60" in run(*commands[0].split())
    said = run(*commands[1].split(), "--no-prefect", "-s", "sampler=random")
    assert "Round 1 waits for" in said and "spent" in said
    again = CliRunner().invoke(app, commands[0].split())
    assert again.exit_code != 0
    (quoted,) = re.findall(r'ends with an error \("(.*?)"\)', PAGE)
    assert quoted in str(again.exception)
    (export,) = re.findall(r"^    mfal (export bench.*)$", PAGE, re.MULTILINE)
    run(*export.split())
    config = Path("bench.yaml")
    config.write_text(config.read_text().replace("name: bench", "name: mended"))
    assert "22 model, 6 assay (0 failed), cost 82" in run(*commands[2].split())
    assert "Round 1 waits for" in run(*commands[3].split(), "--no-prefect", "-s", "sampler=random")


def test_a_frame_to_begin_with(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(BLOCKS["begin.py"], "begin.py", "exec"), {})
    (said,) = re.findall(r"\.queries\)  # (\{.*\})$", BLOCKS["begin.py"], re.MULTILINE)
    assert capsys.readouterr().out.strip() == said
