"""Observations in files and in notebooks."""

import csv
import re
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest

import mfal
from mfal.campaign import open_campaign
from mfal.errors import ConfigError, DataError
from mfal.importing.observations import import_file, import_frame
from mfal.reasons import LONGEST
from tests.integration.campaigns import ROUNDS, Folder, play

TOLD = """
from dataclasses import replace
from tests.problems.motif import problem as motif
def problem():
    return replace(motif(), describe=lambda key: f"ends with {key[-1]}")
"""


def test_export_writes_every_observation_digit_by_digit(folder: Folder) -> None:
    config = folder.add("motif")
    play(config, unanswered=1)
    path = folder.path / "out.csv"
    assert folder.call("export", "motif", str(path)) == (0, f"{path}: 6 observations of motif\n")
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["round", "candidate", "fidelity", "agreement", "cost", "seconds", "backend", "error"],
        ["0", "CCCCCCCC", "half", "2.0", "1.0", "0.5", "motif half", ""],
        ["0", "GGGGGGGG", "whole", "2.5", "3.0", "0.5", "motif whole", ""],
        ["1", "ACGTCCCC", "half", "4.0", "1.0", "0.5", "motif half", ""],
        ["1", "ACGTACGA", "whole", "7.0", "3.0", "0.5", "motif whole", ""],
        ["1", "AAAAAAAA", "whole", "", "3.0", "0.5", "motif whole", "no fold"],
        ["1", "ACGTACGT", "whole", "8.0", "3.0", "0.5", "motif whole", ""],
    ]
    assert [p.name for p in folder.path.glob("*out*")] == ["out.csv"]


def test_parquet_holds_what_the_notebook_shows(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = folder.add("motif")
    play(config)
    path = folder.path / "out.parquet"
    assert folder.call("export", "motif", str(path))[0] == 0
    monkeypatch.chdir(folder.path)
    view = mfal.open("motif")
    found = view.observations()
    pd.testing.assert_frame_equal(pd.read_parquet(path), found)
    assert list(found["candidate"]) == [key for asked in ROUNDS for key, _, _ in asked]
    assert found["agreement"].isna().sum() == 1 and found["cost"].sum() == 17
    with open_campaign(config):  # beside whoever is at work
        assert list(view.best(2)["candidate"]) == ["ACGTACGT", "ACGTACGA"]
        assert list(view.best(9, diverse=0.6)["candidate"]) == ["ACGTACGT", "GGGGGGGG"]
        assert view.status().spent == 17
        assert len(mfal.open("configs/motif.yaml").observations()) == 7
    with pytest.raises(ConfigError, match="there is no campaign 'other'"):
        mfal.open("other")


def test_different_ones_are_told_apart_by_the_campaigns_own_measure(folder: Folder) -> None:
    measure = folder.path / "ends.py"
    measure.write_text("def ends():\n    return lambda a, b: float(a[-1] == b[-1])\n")
    play(folder.add("plain", diversity={"at_most": 0.6}))
    play(folder.add("own", diversity={"at_most": 0.6, "similarity": f"{measure}:ends"}))
    found = {
        name: re.findall(r"[ACGT]{8}", folder.call("best", name, "--diverse", "0.6")[1])
        for name in ("plain", "own")
    }
    assert found == {
        "plain": ["ACGTACGT", "GGGGGGGG"],
        "own": ["ACGTACGT", "ACGTACGA", "GGGGGGGG"],
    }


def test_what_was_exported_can_be_imported(folder: Folder) -> None:
    config, copy = folder.add("motif"), folder.add("copy")
    play(config)
    for kind in ("csv", "parquet"):
        path = folder.path / f"out.{kind}"
        folder.call("export", "motif", str(path))
        with open_campaign(copy) as campaign:
            import_file(campaign, path)
            found = campaign.store.observations()
        with open_campaign(config, to_read=True) as campaign:
            expected = campaign.store.observations()
        # Rounds and seconds are not imported.
        assert [(o.query, replace(o.outcome, seconds=0), o.cost) for o in found] == [
            (o.query, replace(o.outcome, seconds=0), o.cost) for o in expected
        ]
        (copy.folder / "ledger.db").unlink()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_how_candidates_are_described_is_exported_and_not_imported(
    folder: Folder, kind: str
) -> None:
    (folder.path / "told.py").write_text(TOLD)
    changes = {"problem": f"{folder.path}/told.py:problem"}
    config, copy = folder.add("motif", **changes), folder.add("copy", **changes)
    play(config)
    path = folder.path / f"out.{kind}"
    assert folder.call("export", "motif", str(path))[0] == 0
    found = pd.read_csv(path) if kind == "csv" else pd.read_parquet(path)
    assert list(found)[:4] == ["round", "candidate", "description", "fidelity"]
    assert list(found["description"]) == [f"ends with {key[-1]}" for key in found["candidate"]]
    code, said = folder.call("import", "copy", str(path))
    assert code == 0 and "columns not used: round, description, seconds, backend" in said
    with open_campaign(copy) as campaign:
        assert len(campaign.store.observations()) == len(found) == 7


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_reasons_of_any_kind_come_back_from_an_export(folder: Folder, kind: str) -> None:
    reasons = ["a" * 200_000, "line\rby\r\nline", 'a "quoted", one', "b" * LONGEST]
    rows = [
        {"candidate": f"AAAAAA{'ACGT'[i]}C", "fidelity": "half", "agreement": None, "error": reason}
        for i, reason in enumerate(reasons)
    ]
    config, copy = folder.add("motif"), folder.add("copy")
    with open_campaign(config) as campaign:
        import_frame(campaign, pd.DataFrame(rows))
        known = campaign.store.observations()
    path = folder.path / f"out.{kind}"
    assert folder.call("export", "motif", str(path))[0] == 0
    with open_campaign(copy) as campaign:
        assert import_file(campaign, path).failed == len(reasons)
        assert [o.outcome for o in campaign.store.observations()] == [o.outcome for o in known]
    errors = [o.outcome.error or "" for o in known]
    assert max(map(len, errors)) == LONGEST
    assert errors[0].endswith("[cut: 200000 letters in all]")
    assert errors[1] == "line\nby\nline" and errors[2:] == reasons[2:]


@pytest.mark.parametrize(
    "name",
    [
        "out.txt",
        "nowhere/out.csv",
        "nowhere/out.parquet",
        "configs/motif.yaml/out.csv",
        f"{300 * 'x'}.csv",
    ],
)
def test_a_file_that_cannot_be_exported_to_is_named(folder: Folder, name: str) -> None:
    play(folder.add("motif"))
    with pytest.raises(DataError, match=name):
        folder.call("export", "motif", str(folder.path / name))


def test_a_user_sees_messages_and_exit_codes(folder: Folder) -> None:
    folder.add("motif")
    done = subprocess.run(
        [sys.executable, "-m", "mfal", "export", "motif", "out.csv"],
        capture_output=True,
        text=True,
        cwd=folder.path,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert "error: sqlite:///" in done.stderr and "there is no ledger" in done.stderr
    assert "hint:  run a round first" in done.stderr and "Traceback" not in done.stderr


def test_a_folder_that_is_not_there_is_named(folder: Folder) -> None:
    play(folder.add("motif"))
    with pytest.raises(DataError) as raised:
        folder.call("export", "motif", str(folder.path / "out" / "all.csv"))
    assert raised.value.message.endswith(f"all.csv: there is no folder {folder.path / 'out'}")
