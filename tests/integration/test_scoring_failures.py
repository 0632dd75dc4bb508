"""What a user's oracle raises, in the ledger."""

import sqlite3
from pathlib import Path

from mfal.campaign import open_campaign
from mfal.config import parse_config
from mfal.importing.observations import import_file
from tests.integration.rounds import ledger, run
from tests.support import motif_settings

# Fails where a word begins with A, by a text that no database takes, and at its first call.
ORACLE = """
from pathlib import Path
from mfal import Fidelity, Objective, Problem, oracle
from mfal.errors import TransientError
from tests.problems.motif import problem as motif

ASKED = Path(__file__).with_name("asked")


@oracle(
    fidelities=[Fidelity("half", 1.0, 0.5), Fidelity("whole", 3.0, 1.0)],
    objectives=[Objective("agreement", "places", "max")],
)
def first(key: str) -> float:
    if not ASKED.exists():
        ASKED.touch()
        raise TransientError("no licence left", "wait")
    if key[0] == "A":
        raise ValueError("cannot open \\udcff\\0")
    return float(key.count("C"))


def problem() -> Problem:
    return Problem("first", first, motif().environment)
"""


def test_any_error_text_is_recorded_and_what_is_transient_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "first_oracle.py"
    path.write_text(ORACLE)
    settings = motif_settings(
        tmp_path, problem={"name": f"{path}:problem"}, scoring__backoff_seconds=0.05
    )
    config = parse_config(settings)
    assert run(config) == [1]
    rows = ledger(config)
    errors = {row[8] for row in rows}
    assert errors == {None, "ValueError: cannot open \\udcff\\x00"}
    assert {row[4][0] == "A" for row in rows if row[8]} == {True}


def test_any_error_text_and_file_name_is_imported(tmp_path: Path) -> None:
    config = parse_config(motif_settings(tmp_path))
    path = tmp_path / "mine-\udcff.csv"  # a byte that is no UTF-8
    path.write_text("candidate,fidelity,agreement,error\nCCCCCCCC,half,,bad \0\n")
    with open_campaign(config) as campaign:
        import_file(campaign, path)
    with sqlite3.connect(config.folder / "ledger.db") as c:
        found = c.execute("SELECT error, backend FROM outcomes").fetchall()
    assert found == [("bad \\x00", "imported from mine-\\udcff.csv")]
