"""`mfal ladder`: figures of a ladder whose correlations are known."""

import io
import json
import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from mfal.campaign import open_campaign
from mfal.cli.app import app
from mfal.cli.ladder import draw_ladder, show_ladder
from mfal.config import parse_config
from mfal.errors import ConfigError
from mfal.ladder import Agreement, LadderReport, RungReport, _top, examine_ladder
from mfal.round import run_rounds
from mfal.types import Objective
from mfal.worth import best_rungs
from tests.integration.test_cli import write
from tests.support import ROOT, motif_settings


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    return motif_settings(
        folder,
        name="signs",
        problem={"name": f"{ROOT}/tests/problems/signs.py:problem"},
        initial={"queries": {"three": 6, "all": 3}},
        batch={"cost": 20},
        features=[{"name": "kmers", "options": {"alphabet": "PM", "k": 2}}],
        sampler="random",
        **{"scoring__runner": "threads"} | changes,
    )


def test_correlations_and_errors_are_those_that_are_known(tmp_path: Path) -> None:
    report = examine_ladder(parse_config(settings(tmp_path)), n=1000)
    three, nine, top = report.rungs
    assert [r.name for r in report.rungs] == ["three", "nine", "all"]
    assert (report.random, report.best, len(set(report.keys))) == (1000, 0, 1000)
    assert three.agreement is not None and three.agreement.n == 1000 and three.failed == 0
    # Standard errors: (1 - r^2) / sqrt(n) of a correlation, 1 / sqrt(2 n) of an RMSE's relative.
    r = math.sqrt(3 / 12)
    assert three.agreement.pearson == pytest.approx(r, abs=4 * (1 - r**2) / math.sqrt(1000))
    assert three.agreement.rmse == pytest.approx(3.0, rel=4 / math.sqrt(2000))
    assert nine.agreement is not None
    failures = sum(key.startswith("PPP") for key in report.keys)
    assert nine.failed == failures > 80 and nine.agreement.n == 1000 - failures
    assert nine.agreement.rmse == pytest.approx(
        math.sqrt(3), rel=4 / math.sqrt(2 * nine.agreement.n)
    )
    # The objective is minimised: the best tenth are the words with the fewest plus signs.
    assert three.top is not None and three.top.n == 100
    values = sorted(v for v in report.values["all"] if v is not None)
    rows = [k for k, v in zip(report.keys, report.values["all"], strict=True) if v < values[99]]  # type: ignore[operator]
    assert max(key.count("P") for key in rows) < 6
    assert top.agreement is None and top.used

    r2 = nine.agreement.pearson
    assert r2 is not None and three.agreement.pearson is not None
    assert report.variance_ratio == best_rungs([20, 1, 2], [three.agreement.pearson, r2])[1]
    expected = (math.sqrt(1 - r2**2) + math.sqrt(0.1 * r2**2)) ** 2
    assert nine.variance_ratio == pytest.approx(expected, rel=1e-12)
    assert nine.used


def test_the_command_spends_nothing_and_asks_about_the_best(tmp_path: Path) -> None:
    changed = settings(tmp_path)
    changed["problem"]["options"] = {"calls": str(tmp_path / "calls.txt")}
    config, parsed = write(tmp_path, changed), parse_config(changed)
    with open_campaign(parsed) as campaign:
        run_rounds(campaign, 1)
        before = campaign.store.observations()
    (tmp_path / "calls.txt").unlink()
    picture = tmp_path / "ladder.svg"
    arguments = ["ladder", config, "-n", "30", "--json", "--plot", str(picture)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    at_target = {o.query.key for o in before if o.query.fidelity == "all"}
    assert report["best"] == len(at_target) >= 3
    assert at_target == set(report["keys"][30:])
    # Worth is judged by the random ones alone: the best are a cluster of their own.
    at_random = torch.tensor([report["values"][name][:30] for name in ("three", "all")])
    judged = report["rungs"][0]["agreement"]
    assert judged["n"] == 30
    assert judged["pearson"] == pytest.approx(float(at_random.corrcoef()[0, 1]))
    calls = Counter((tmp_path / "calls.txt").read_text().splitlines())
    first = report["keys"][0]
    # Every fidelity about every candidate, and the first once more to warm up.
    assert calls == Counter(
        [f"{name} {key}" for name in ("three", "nine", "all") for key in [*report["keys"], first]]
    )
    with open_campaign(parsed) as campaign:
        assert campaign.store.observations() == before
    assert "<svg" in picture.read_text()


def test_a_look_at_a_ladder_leaves_no_campaign_behind(tmp_path: Path) -> None:
    report = examine_ladder(parse_config(settings(tmp_path)), n=20)
    assert not (tmp_path / "data").exists()
    again = examine_ladder(parse_config(settings(tmp_path)), n=20)
    assert again.keys == report.keys and again.values == report.values
    draw_ladder(report, tmp_path / "ladder.png")
    assert (tmp_path / "ladder.png").read_bytes()[:4] == b"\x89PNG"


def test_a_picture_says_in_words_what_a_fidelity_is_worth(tmp_path: Path) -> None:
    found = examine_ladder(parse_config(settings(tmp_path)), n=20)
    three, nine, target = found.rungs
    rungs = (replace(three, variance_ratio=1.5), replace(nine, variance_ratio=0.4), target)
    draw_ladder(replace(found, rungs=rungs), tmp_path / "ladder.svg")
    drawn = (tmp_path / "ladder.svg").read_text()  # which holds its texts in comments, too
    assert "not worth its cost" in drawn and "worth 2.50 times the budget" in drawn


def test_a_list_of_candidates_is_drawn_from(tmp_path: Path) -> None:
    listed = [f"P{n:011b}".replace("0", "M").replace("1", "P") for n in range(40)]
    (tmp_path / "keys.txt").write_text("\n".join(listed))
    pool = {"name": "pool", "options": {"file": str(tmp_path / "keys.txt")}}
    config = parse_config(settings(tmp_path) | {"sampler": pool})
    report = examine_ladder(config, n=30)
    assert report.random == len({*report.keys}) == 30 and {*report.keys} < {*listed}
    assert report.keys == examine_ladder(config, n=30).keys != tuple(listed[:30])
    with open_campaign(config) as campaign:
        run_rounds(campaign, 1)
    report = examine_ladder(config, n=100, n_best=2)
    # All of the list, nothing twice.
    assert report.best == 0 and report.random == 40 and {*report.keys} == {*listed}


def test_a_picture_that_cannot_be_written_is_refused_before_anything_is_asked(
    tmp_path: Path,
) -> None:
    changed = settings(tmp_path)
    changed["problem"]["options"] = {"calls": str(tmp_path / "calls.txt")}
    done = CliRunner().invoke(app, ["ladder", write(tmp_path, changed), "--plot", "/proc/a.png"])
    assert isinstance(done.exception, ConfigError)
    assert "cannot draw /proc/a.png" in done.exception.message
    assert not (tmp_path / "calls.txt").exists()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> LadderReport:
    """Of two hundred candidates."""
    return examine_ladder(parse_config(settings(tmp_path_factory.mktemp("ladder"))), n=200)


@pytest.mark.parametrize(
    ("unit", "said"),
    [("kcal/mol", "; RMSE to it in kcal/mol\n"), ("1", "; RMSE to it\n"), ("", "; RMSE to it\n")],
)
def test_eighty_columns_are_enough(found: LadderReport, unit: str, said: str) -> None:
    names = {"three": "nearest-neighbour", "nine": "semi-empirical", "all": "coupled-cluster"}
    report = replace(
        found,
        objective=replace(found.objective, unit=unit),
        rungs=tuple(replace(r, name=names[r.name], cost=87.5 * r.cost) for r in found.rungs),
    )
    console = Console(record=True, width=80, file=io.StringIO())
    show_ladder(console, report)
    shown = console.export_text()
    lines = shown.splitlines()
    (header,) = [i for i, line in enumerate(lines) if line.startswith("fidelity")]
    assert lines[header].split() == (
        ["fidelity", "cost", "per", "call", "failed", "rank", "RMSE", "rank", "RMSE", "worth"]
    )
    rows = [line.split() for line in lines[header + 1 : header + 4]]
    assert [row[:2] for row in rows] == (
        [["nearest-neighbour", "87.5"], ["semi-empirical", "175"], ["coupled-cluster", "1750"]]
    )
    assert rows[2][-1] == "target"
    assert "random 200" in lines[header - 1] and "best 20" in lines[header - 1]
    assert "…" not in shown and said in shown and "(1)" not in shown
    assert re.fullmatch(r"\d\.\d{2}", rows[0][6])  # three figures of an RMSE


def test_in_a_narrow_terminal_each_fidelity_has_a_column(found: LadderReport) -> None:
    shown = {}
    for width in (40, 80):
        console = Console(record=True, width=width, file=io.StringIO())
        show_ladder(console, found)
        shown[width] = console.export_text().splitlines()
    narrow = [line.split() for line in shown[40]]
    assert ["fidelity", "three", "nine", "all"] in narrow and "…" not in "".join(shown[40])
    wide = [line.split() for line in shown[80] if line.startswith(("three", "nine"))]
    for place, said in ((4, "random 200: rank"), (5, "random 200: RMSE"), (6, "best 20: rank")):
        (row,) = [line for line in narrow if line[:3] == said.split()]
        assert row[3:] == [line[place + 1] for line in wide]  # a time and its unit are two words


def test_nothing_is_said_of_a_fidelity_whose_answers_do_not_tell(
    found: LadderReport, tmp_path: Path
) -> None:
    three, nine, target = found.rungs
    nobody = Agreement(n=0, pearson=None, spearman=None, rmse=None)
    silent = replace(nine, agreement=nobody, top=nobody, variance_ratio=None, used=False)

    def shown(*rungs: RungReport) -> list[str]:
        report = replace(found, rungs=(*rungs, target), variance_ratio=1.0)
        console = Console(record=True, width=200, file=io.StringIO())
        show_ladder(console, report)
        return console.export_text().splitlines()

    untold = "Nothing can be said of nine: fewer than 3 random candidates have a value there"
    row, _, _, verdict = shown(silent)[-4:]
    assert row.split()[-1] == "–" and verdict.startswith(untold)
    idle = replace(three, variance_ratio=1.5, used=False)
    assert shown(idle, silent)[-1].startswith(f"Not worth its cost: three. {untold}")
    assert shown(idle)[-1] == "No cheaper fidelity is worth its cost: ask all only."
    draw_ladder(replace(found, rungs=(three, silent, target)), tmp_path / "ladder.svg")
    assert "nothing can be said of its worth" in (tmp_path / "ladder.svg").read_text()


def test_a_ladder_whose_target_is_measured_by_hand_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hand.py"
    path.write_text(
        "from mfal import *\n"
        "def problem():\n"
        "    @oracle(fidelities=[Fidelity('a', 1, .5), Fidelity('b', 2, 1, manual=True)],\n"
        "            objectives=[Objective('v', '', 'max')])\n"
        "    def f(key: str): return 1.0\n"
        "    from mfal.envs.sequence import SequenceEnvironment\n"
        "    return Problem('hand', f, lambda: SequenceEnvironment(alphabet='AB', length=5))\n"
    )
    changed = settings(tmp_path) | {"problem": f"{path}:problem", "initial": {"share": 0.5}}
    with pytest.raises(ConfigError, match="hand's fidelities, a can be asked"):
        examine_ladder(parse_config(changed))


def test_the_best_tenth_is_of_those_that_answered() -> None:
    values = torch.arange(100.0, dtype=torch.float64)
    values[50:] = math.nan
    assert _top(values, Objective("x", "u", "max")).tolist() == [49, 48, 47, 46, 45]
    assert _top(values, Objective("x", "u", "min")).tolist() == [0, 1, 2, 3, 4]
