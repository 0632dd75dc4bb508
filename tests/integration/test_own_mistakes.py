"""Mistakes in a problem of a user's own are told before anything is asked, and name the place."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mfal.campaign import open_campaign
from mfal.cli.rounds import run_in_terminal
from mfal.cli.runner import Library
from mfal.config import CampaignConfig, parse_config
from mfal.errors import ConfigError, LedgerError
from mfal.folder import Broken
from mfal.ladder import examine_ladder
from mfal.round import run_rounds
from mfal.status import Status, look
from tests.support import motif_settings

MINE = """
import sys
from mfal import Fidelity, Objective, Outcome, Problem

class Letters:
    fidelities = (Fidelity("half", cost=1, level=0.5), Fidelity("whole", cost=3, level=1.0))
    objectives = (Objective("letters", "1", "max"),)
    backends = {"half": "count 1", "whole": "count 1"}

    def evaluate(self, keys, fidelity):
        with open("asked.txt", "a") as file:
            file.writelines(f"{key}\\n" for key in keys)
        return [Outcome((float(key.count("A")),), None, 0.0) for key in keys]

def problem():
    def environment():
        from mfal.envs.sequence import SequenceEnvironment
        return SequenceEnvironment(alphabet="ACGT", length=8)
    return Problem("letters", Letters(), environment)
"""

Write = Callable[..., CampaignConfig]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a problem with some words replaced, and gives its campaign."""
    monkeypatch.chdir(tmp_path)

    def make(name: str = "mine", *, old: str = "", new: str = "") -> CampaignConfig:
        assert old in MINE
        # A process reads a file once: a changed one has another name, as in another process.
        folder = tmp_path / name
        folder.mkdir()
        (folder / "mine.py").write_text(MINE.replace(old, new) if old else MINE)
        link = tmp_path / "now"
        link.unlink(missing_ok=True)
        link.symlink_to(folder)
        by_chance = {"sampler": "random", "surrogate": None}
        return parse_config(motif_settings(tmp_path, problem="./now/mine.py:problem", **by_chance))

    return make


def run(config: CampaignConfig) -> None:
    with open_campaign(config, "c.yaml") as campaign:
        run_rounds(campaign, 1)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"max"', '"min"', "objective letters: goal was max, is now min"),
        ('"letters", "1"', '"letters", "eV"', "objective letters: unit was 1, is now eV"),
        ("cost=1", "cost=2", "fidelity half: cost was 1.0, is now 2.0"),
        ("level=0.5", "level=0.25", "fidelity half: level was 0.5, is now 0.25"),
        (
            '"max"),)',
            '"max"), Objective("more", "1", "max"))',
            "objective was letters, is now letters, more",
        ),
    ],
)
def test_a_problem_that_declares_otherwise_is_refused(
    write: Write, tmp_path: Path, old: str, new: str, said: str
) -> None:
    run(write())
    asked = (tmp_path / "asked.txt").read_bytes()
    changed = write("changed", old=old, new=new)
    with pytest.raises(LedgerError, match=said):
        run(changed)
    with pytest.raises(LedgerError, match=said), open_campaign(changed, to_read=True):
        pass
    [found] = look([changed])
    assert isinstance(found, Broken) and said in found.error
    assert (tmp_path / "asked.txt").read_bytes() == asked
    [found] = look([write("back")])
    assert isinstance(found, Status) and found.rounds == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("length=8", "length=9", "'[ACGT]{8}' has 8 letters"),
        ('"ACGT"', '"ACG"', "'[ACGT]{8}' has the letter 'T'"),
    ],
)
def test_a_search_space_without_what_was_asked_is_refused(
    write: Write, tmp_path: Path, old: str, new: str, said: str
) -> None:
    run(write())
    asked = (tmp_path / "asked.txt").read_bytes()
    changed = write("changed", old=old, new=new)
    with pytest.raises(LedgerError, match=f"is no candidate any more: .*{said}") as raised:
        run(changed)
    assert "change `name` to begin a new campaign" in raised.value.hint
    assert (tmp_path / "asked.txt").read_bytes() == asked


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ('{"half": "count 1"}', "backends: the engine of 'whole' is missing"),
        ('{"half": "", "whole": "x"}', "backends: the engine of 'half' is ''"),
        (r'{"half": "x\0", "whole": "x"}', r"backends: the engine of 'half' is 'x\x00'"),
        ('{"half": 1.0, "whole": "x"}', "backends: the engine of 'half' is 1.0"),
        ('"count 1"', "backends is 'count 1', which is no mapping"),
    ],
)
def test_an_oracle_without_engines_is_asked_nothing(
    write: Write, tmp_path: Path, new: str, said: str
) -> None:
    config = write(old='{"half": "count 1", "whole": "count 1"}', new=new)
    for ask in (run, lambda config: examine_ladder(config, "c.yaml", n=4)):
        with pytest.raises(ConfigError) as raised:
            ask(config)
        assert raised.value.message == f"c.yaml: problem 'letters': {said}"
    assert not (tmp_path / "asked.txt").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    return Problem(", "    raise ValueError('no licence')\n    (", "ValueError: no lic"),
        ("    return Problem(", "    (", "gives a NoneType"),
        ("Letters(), environment", "Letters(), 3", r"environment is 3 \(mine.py, line 19\)"),
        ("Letters(), environment", "Letters(), lambda: 3", "environment: its function gives a int"),
        (
            "Letters(), environment",
            "Letters(), lambda: 1 / 0",
            r"environment: ZeroDivisionError: division by zero \(mine.py, line 19\)",
        ),
        ("import sys", "import sys; sys.exit(0)", r"SystemExit: 0 \(mine.py, line 2\)"),
    ],
)
def test_a_problem_that_cannot_be_built_is_named(
    write: Write, old: str, new: str, said: str
) -> None:
    config = write(old=old, new=new)
    for ask in (run, lambda config: examine_ladder(config, "c.yaml", n=4)):
        with pytest.raises(ConfigError, match=said):
            ask(config)
    [found] = look([config])
    assert isinstance(found, Broken)


def test_a_second_objective_is_said_to_be_recorded_only(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    one = MINE[MINE.index("    objectives") : MINE.index("def problem")]
    two = one.replace('"max"),', '"max"), Objective("price", "EUR", "min"),')
    config = write("two", old=one, new=two.replace('"A")),', '"A")), 9.0,'))
    run_in_terminal(config, 1, "two.yaml", Library())
    said = "letters: higher is better; recorded and not optimised: price (EUR)"
    assert said in capsys.readouterr().out.splitlines()
