"""The commands that look at campaigns: exactly what they print, beside whoever is at work."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

import mfal
from mfal.campaign import open_campaign
from mfal.cli import app
from mfal.config import CampaignConfig, parse_config
from mfal.errors import ConfigError, DataError, NoLedgerError
from mfal.imports import import_file
from mfal.round import Steps, append, run_rounds
from mfal.types import Outcome, Query
from tests.support import motif_settings


class Folder:
    """A folder with configurations, and their campaigns' ledgers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "configs").mkdir()

    def add(self, name: str, **changes: Any) -> CampaignConfig:
        settings = motif_settings(self.path, name=name, **changes)
        (self.path / "configs" / f"{name}.yaml").write_text(yaml.safe_dump(settings))
        return parse_config(settings)

    def call(self, *arguments: str) -> tuple[int, str]:
        """Exit code and what was printed, both on its two ways out."""
        configs = ["--configs", str(self.path / "configs")]
        done = CliRunner().invoke(app, [*arguments, *configs], env={"COLUMNS": "200"})
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    def status(self, *names: str) -> list[dict[str, Any]]:
        _, out = self.call("status", *names, "--json")
        found: list[dict[str, Any]] = json.loads(out)
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


ROUNDS: list[list[tuple[str, str, float | None]]] = [
    [("CCCCCCCC", "half", 2.0), ("GGGGGGGG", "whole", 2.5)],
    [
        ("ACGTCCCC", "half", 4.0),
        ("ACGTACGA", "whole", 7.0),
        ("AAAAAAAA", "whole", None),
        ("ACGTACGT", "whole", 8.0),
        ("TTTTACGT", "whole", 4.0),
    ],
]


def play(config: CampaignConfig, unanswered: int = 0) -> None:
    """The initial design and a batch, answered by hand but for the last `unanswered` queries."""
    with open_campaign(config) as campaign:
        for number, asked in enumerate(ROUNDS):
            rows = [(Query(key, at), value) for key, at, value in asked]
            campaign.writer.begin_round(
                number,
                [(q, campaign.cost(q.fidelity)) for q, _ in rows],
                kind="batch" if number else "initial",
                seed=number,
                config={},
                versions={},
                record={},
            )
            answered = rows[: len(rows) - unanswered * number]
            campaign.writer.record(
                [
                    (q, Outcome(None if v is None else (v,), "no fold" if v is None else None, 0.5),
                     f"motif {q.fidelity}")
                    for q, v in answered
                ]
            )  # fmt: skip
            if len(answered) == len(rows):
                campaign.writer.finish_round(number)


def test_status_says_where_a_campaign_stands(folder: Folder) -> None:
    config = folder.add("motif")
    play(config)
    assert folder.status("motif") == [
        {
            "campaign": "motif",
            "problem": "motif",
            "ledger": str(config.folder / "ledger.db"),
            "rounds": 1,
            "open_round": None,
            "pending": 0,
            "observations": 7,
            "failed": 1,
            "budget": 100.0,
            "spent": 17.0,
            "left": 83.0,
            "best": {
                "candidate": "ACGTACGT",
                "value": 8.0,
                "objective": "agreement",
                "unit": "places",
                "round": 1,
            },
            "writer": None,
        }
    ]


def test_status_names_what_is_unanswered_and_who_is_at_work(folder: Folder) -> None:
    config = folder.add("motif")
    play(config, unanswered=2)
    with open_campaign(config) as campaign:
        holder = campaign.store.holder()
        assert holder is not None
        (found,) = folder.status("motif")
        code, table = folder.call("status", "motif")
    assert (found["open_round"], found["pending"], found["rounds"]) == (1, 2, 0)
    assert (found["spent"], found["left"]) == (11.0, 83.0)  # 6 are promised
    assert found["best"]["value"] == 7.0
    assert found["writer"] == {
        "pid": os.getpid(), "host": holder.host, "since": holder.since, "alive": True
    }  # fmt: skip
    assert code == 0 and "2 of round 1" in table
    assert f"process {os.getpid()} on {holder.host} since {holder.since}" in table


def test_status_without_a_name_is_that_of_the_folder(folder: Folder) -> None:
    play(folder.add("done"))
    folder.add("new", budget__total=50)
    broken = folder.add("broken")
    play(broken)
    os.truncate(broken.folder / "ledger.db", 0)
    code, out = folder.call("status")
    assert code == 2
    for expected in (
        "not begun",
        "cannot be read, see below",
        "broken: sqlite:///",
        "file is empty",
    ):
        assert expected in out
    code, _ = folder.call("status", "--json")
    assert code == 2
    broken.folder.joinpath("ledger.db").unlink()
    found = folder.status()
    assert [s["campaign"] for s in found] == ["broken", "done", "new"]
    assert (found[2]["ledger"], found[2]["left"], found[2]["best"]) == (None, 50.0, None)
    assert not (folder.path / "data" / "new").exists()  # looking leaves no trace
    assert folder.call("status")[0] == 0


def test_a_name_that_is_not_there_is_answered_with_those_that_are(folder: Folder) -> None:
    folder.add("motif")
    for command in (["status", "motiv"], ["best", "motiv"], ["diff", "motif", "motiv"]):
        with pytest.raises(ConfigError, match="there is no campaign 'motiv'") as raised:
            folder.call(*command)
        assert "there are motif" in raised.value.hint
    with pytest.raises(NoLedgerError, match="there is no ledger"):
        folder.call("best", "motif")


def test_best_shows_the_best_at_the_target(folder: Folder) -> None:
    play(folder.add("motif"))

    def shown(*options: str) -> list[str]:
        code, out = folder.call("best", "motif", *options)
        assert code == 0
        lines = [line.strip("│").split("│") for line in out.splitlines() if line.startswith("│")]
        return [cells[0].strip() for cells in lines]

    assert shown() == ["ACGTACGT", "ACGTACGA", "TTTTACGT", "GGGGGGGG"]
    assert shown("-n", "2") == ["ACGTACGT", "ACGTACGA"]
    # ACGTACGA is as the best but for a letter; TTTTACGT shares five of its eight.
    assert shown("--diverse", "0.8") == ["ACGTACGT", "TTTTACGT", "GGGGGGGG"]
    assert shown("--diverse", "0.8", "-n", "2") == ["ACGTACGT", "TTTTACGT"]
    assert shown("--diverse", "0.625") == ["ACGTACGT", "TTTTACGT", "GGGGGGGG"]
    assert shown("--diverse", "0.6") == ["ACGTACGT", "GGGGGGGG"]


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


@pytest.mark.parametrize("name", ["out.txt", "nowhere/out.csv", "nowhere/out.parquet"])
def test_a_file_that_cannot_be_exported_to_is_named(folder: Folder, name: str) -> None:
    play(folder.add("motif"))
    with pytest.raises(DataError, match=name):
        folder.call("export", "motif", str(folder.path / name))


def test_resume_buys_what_is_missing_and_no_more(folder: Folder) -> None:
    whole, broken = (
        folder.add("whole", problem__options={}),
        folder.add("broken", problem__options={}),
    )
    with open_campaign(whole) as campaign:
        run_rounds(campaign, 1)

    def breaks(campaign: Any, answers: Any) -> None:
        in_batch = any(r.kind == "batch" for r in campaign.store.rounds())
        append(campaign, answers[:1] if in_batch else answers)
        if in_batch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_campaign(broken) as campaign:
        run_rounds(campaign, 1, steps=Steps(append=breaks))
    (before,) = folder.status("broken")
    assert before["open_round"] == 1 and before["pending"] > 0
    code, out = folder.call("resume", "broken")
    cost = 42 - before["spent"]
    last = out.splitlines()[-1]
    assert code == 0 and last.startswith(
        f"broken: round 1 is finished: {before['pending']} of its "
    )
    assert last.endswith(f"had no answer; they were asked, for {cost:g}")
    code, out = folder.call("diff", "whole", "broken")
    assert code == 0 and out.splitlines()[-1] == "the same"
    # And again, with one that has not begun beside them.
    folder.add("new")
    nothing = "nothing to do: every round that was begun is finished"
    assert folder.call("resume") == (
        0, f"broken: {nothing}\nnew: nothing to do: it has not begun\nwhole: {nothing}\n"
    )  # fmt: skip


def test_resume_leaves_a_campaign_to_whoever_is_at_work(folder: Folder) -> None:
    config = folder.add("motif")
    play(config, unanswered=1)
    with open_campaign(config):
        code, out = folder.call("resume", "motif")
    assert code == 2 and "is working on campaign 'motif'" in out


def test_diff_finds_the_first_difference(folder: Folder) -> None:
    play(folder.add("one"))
    play(folder.add("other", batch={"cost": 11.5}, budget__total=101), unanswered=1)
    code, out = folder.call("diff", "one", "other", "--json")
    found = json.loads(out)
    assert code == 1 and found["same"] is False
    assert found["fields"] == [
        {"where": "batch.cost", "first": 12.0, "second": 11.5},
        {"where": "budget.total", "first": 100.0, "second": 101.0},
    ]
    counts = [{k: c[k] for k in c if k != "sha256"} for c in found["contents"]]
    assert counts == [
        {"rounds": 2, "queries": 7, "answered": 7, "spent": 17.0},
        {"rounds": 2, "queries": 7, "answered": 6, "spent": 14.0},
    ]
    assert found["contents"][0]["sha256"] != found["contents"][1]["sha256"]
    first = found["first"]
    assert first["where"] == "round 1, query 4"
    assert (first["first"]["values"], first["second"]["values"]) == ("[4.0]", None)

    code, out = folder.call("diff", "one", "other")
    lines = out.splitlines()
    assert code == 1 and lines[-1] == "they differ"
    assert lines[:4] == [
        "batch.cost: 12.0 | 11.5", "budget.total: 100.0 | 101.0", "rounds: 2", "queries: 7"
    ]  # fmt: skip
    assert "answered: 7 | 6" in lines and "the first difference is at round 1, query 4:" in lines


def test_diff_knows_a_campaign_that_has_not_begun_and_one_that_is_the_same(folder: Folder) -> None:
    play(folder.add("one"))
    folder.add("new")
    code, out = folder.call("diff", "one", "new", "--json")
    found = json.loads(out)
    assert code == 1 and found["fields"] == []
    assert found["first"]["where"] == "round 0, query 0" and found["first"]["second"] is None
    assert folder.call("diff", "one", "one")[0] == 0
    assert folder.call("diff", "new", "new")[0] == 0


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
