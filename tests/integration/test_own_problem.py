"""What docs/own-problem.md shows, run."""

import csv
import json
import math
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from mfal.cli.app import app
from mfal.laws import tests_of
from mfal.registry import build
from mfal.sections import Component
from mfal.testing import AcquisitionChecks, OracleChecks, SamplerChecks, SurrogateChecks
from tests.support import ROOT

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
    for name in tests_of(checks):
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
    said = run("check", "./program.py:problem", "-n", "4")
    assert re.fullmatch(r"all \d+ laws hold", said.splitlines()[-1])
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
    listed = Path("keys.txt").read_text().split()
    (n,) = re.findall(r"a table of (\d+) alloys", PAGE)
    assert len(listed) == len({*listed}) == int(n)
    (_, *check), (_, *ladder), (_, *round_) = others
    said = run(*check)
    assert said.count(f"0 of {n}") == 2  # fidelities
    assert re.fullmatch(r"all \d+ laws hold", said.splitlines()[-1])
    report = json.loads(run(*ladder, "--json"))
    assert report["random"] == 100 and {*report["keys"]} <= {*listed}
    assert [rung["failed"] for rung in report["rungs"]] == [0, 0]
    said = run(*round_, "--no-prefect")
    # 30 x 1 + 5 x 20 for the design, and the batch.
    assert "spent 190 of 400" in said


def test_molecules() -> None:
    said = run("check", "./drugs.py:problem")
    assert re.fullmatch(r"all \d+ laws hold", said.splitlines()[-1])
    oracle = build("problem", Component(name="./drugs.py:problem")).oracle
    benzene = "[C][=C][C][=C][C][=C][Ring1][=Branch1]"
    weight, qed = (oracle.evaluate([benzene], f)[0].values for f in oracle.fidelities)
    assert weight is not None and qed is not None
    assert weight[0] == pytest.approx(math.exp(-(((78.114 - 300) / 150) ** 2)), abs=1e-4)
    assert qed[0] == pytest.approx(0.4426, abs=1e-4)  # RDKit's for benzene
    # Training that long takes a minute, and is not what is shown.
    said = run("round", "drugs.yaml", "--no-prefect", "-s", "sampler.options.train.steps=20")
    assert "spent 340 of 900" in said


def test_a_list_of_smiles() -> None:
    (fields,) = re.findall(
        r"^    (features: .*notation: smiles.*\n(?:    .*\n)+)", PAGE, re.MULTILINE
    )
    smiles = ["C", "CC", "C[NH3+]", "c1ccccc1", "CC(=O)O", "CCN", "CCO", "CCCl", "O=CC=O", "CNC"]
    table = "".join(f"{key},{len(key)},{len(key) + key.count('C')}\n" for key in smiles)
    Path("alloys.csv").write_text(f"alloy,calphad,dft\n{table}")
    Path("keys.txt").write_text("\n".join(smiles))
    campaign = yaml.safe_load(BLOCKS["alloys.yaml"])
    campaign |= {"initial": {"queries": {"calphad": 4, "dft": 3}}, "budget": {"total": 130}}
    campaign |= yaml.safe_load(textwrap.dedent(f"    {fields}"))
    Path("smiles.yaml").write_text(yaml.safe_dump(campaign))
    assert "all" in run("check", "./alloys.py:problem", "--keys", "keys.txt").splitlines()[-1]
    assert "spent" in run("round", "smiles.yaml", "--no-prefect")


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
