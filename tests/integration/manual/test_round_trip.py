"""A laboratory in the loop: batches go out, measurements come back, nothing is lost between."""

import json
import shlex
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mfal.budget import minus
from mfal.campaign import open_campaign
from mfal.cli.app import app
from mfal.cli.which import as_typed
from mfal.config import CampaignConfig, parse_config
from mfal.errors import BudgetError
from mfal.folder import CONFIGS
from mfal.importing.observations import import_file
from mfal.round import Steps, run_rounds
from mfal.types import Query
from mfal.view import export
from mfal.waiting import waiting, waiting_text
from tests.commands import mfal
from tests.integration.manual.bench import assay, batch, fill, read, save, state
from tests.integration.test_cli import write
from tests.postgres import Server


def test_the_round_trip_survives_restarts(settings: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path, settings)
    calls = tmp_path / "calls.txt"
    done = mfal("round", path, "--no-prefect", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first = batch(tmp_path, 0)
    assert f"Round 0 waits for 6 measurements:\n  {first}\n" in done.stdout
    assert f"mfal import {path} {first}" in done.stdout and "budget is spent" not in done.stdout
    rows = read(first)
    assert [*rows[0]] == ["candidate", "fidelity", "binding", "error"]
    assert len(rows) == 6 and {r["fidelity"] for r in rows} == {"assay"}
    assert {r["binding"] for r in rows} == {r["error"] for r in rows} == {""}
    asked = calls.read_text().split("\n")
    assert len(set(asked)) == 13  # 12 and the end of the last line

    # Half of it comes back, one as a failure; another process asks to go on, and waits again.
    half = fill(first, [0, 2, 4], lambda key: "spilled" if key == rows[2]["candidate"] else "7.5")
    done = mfal("import", path, str(half), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "imported into round 0: 3 assay (1 failed), cost 21" in done.stdout
    assert "Round 0 waits for 3 measurements" in done.stdout
    done = mfal("round", path, "--no-prefect", cwd=tmp_path)
    assert done.returncode == 0 and "Round 0 waits for 3 measurements" in done.stdout
    assert calls.read_text().split("\n") == asked and read(first) == rows

    with open_campaign(parse_config(settings)) as campaign:
        # 12 x 0.1 and 3 x 7 are paid, 3 x 7 set aside.
        assert state(campaign) == (22.2, 56.8, 15)
        everything = fill(first, range(6), lambda key: said(key, rows))
        found = import_file(campaign, everything)
        assert (found.queries["assay"], found.merged, found.cost) == (3, 3, 21)
        assert waiting(campaign) is None and state(campaign) == (43.2, 56.8, 18)
        assert run_rounds(campaign, 1) == []
        awaited = waiting(campaign)
        assert awaited is not None and (awaited.round, len(awaited.queries)) == (1, 2)
        rounds = campaign.store.rounds()
        assert [(r.kind, r.finished) for r in rounds] == [("initial", True), ("batch", False)]
        import_file(campaign, fill(batch(tmp_path, 1), range(2)))
        # The round that was measured is none of those asked for: the next one begins at once.
        assert run_rounds(campaign, 1) == []
        awaited = waiting(campaign)
        assert awaited is not None and awaited.round == 2
        assert campaign.store.rounds()[1].finished
        observations = campaign.store.observations()
        queries = [o.query for o in observations]
        assert len(set(queries)) == len(queries)
        by_hand = [o for o in observations if o.query.fidelity == "assay"]
        assert {o.backend for o in by_hand} == {
            "imported from filled-round-0-assay.csv",
            "imported from filled-round-1-assay.csv",
        }
        models = [f"model {q.key}" for q in queries if q.fidelity == "model"]
        assert sorted(calls.read_text().split()[1::2]) == sorted(m.split()[1] for m in models)


def said(key: str, rows: list[dict[str, str]]) -> str:
    keys = [r["candidate"] for r in rows]
    if keys.index(key) in (0, 4):
        return "7.5"
    return "spilled" if keys.index(key) == 2 else assay(key)


def test_a_round_that_waits_goes_no_further_under_a_lower_budget(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    with open_campaign(parse_config(settings)) as campaign:
        run_rounds(campaign, 1)
        import_file(campaign, fill(batch(tmp_path, 0), range(6)))
        run_rounds(campaign, 1)
        needed = minus(100, campaign.left)  # the two measurements that it waits for included
        spent, filled = campaign.store.spent(), fill(batch(tmp_path, 1), [0])
        batch(tmp_path, 1).unlink()
    settings["budget"] = {"total": minus(needed, 0.1)}
    with open_campaign(parse_config(settings)) as campaign:
        with pytest.raises(BudgetError, match=r"what it has still to ask costs 14, which makes"):
            run_rounds(campaign, 1)
        assert not batch(tmp_path, 1).exists()
        with pytest.raises(BudgetError, match=r"what it has still to ask costs 14"):
            import_file(campaign, filled)
        assert campaign.store.spent() == spent
    settings["budget"] = {"total": needed}
    with open_campaign(parse_config(settings)) as campaign:
        assert run_rounds(campaign, 1) == [] and len(read(batch(tmp_path, 1))) == 2


@pytest.mark.slow
def test_a_batch_is_written_out_where_the_ledger_lies_on_a_server(
    settings: dict[str, Any], postgres_server: Server, tmp_path: Path
) -> None:
    settings["ledger"] = postgres_server.new_database()
    with open_campaign(parse_config(settings)) as campaign:
        run_rounds(campaign, 1)
        assert len(read(batch(tmp_path, 0))) == 6


def test_a_mistake_is_corrected_in_a_campaign_of_another_name(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    with open_campaign(parse_config(settings)) as campaign:
        run_rounds(campaign, 1)
        import_file(campaign, fill(batch(tmp_path, 0), range(6)))
        run_rounds(campaign, 1)
    path = write(tmp_path, settings)
    table = tmp_path / "all.csv"
    assert CliRunner().invoke(app, ["export", path, str(table)]).exit_code == 0
    rows = read(table)
    wrong = next(r for r in rows if r["fidelity"] == "assay")
    wrong["binding"] = "30"
    save(table, rows)
    with open_campaign(parse_config(settings)) as campaign:
        spent = campaign.store.spent()
    with open_campaign(parse_config(settings | {"name": "bench2"})) as campaign:
        import_file(campaign, table)
        assert campaign.store.spent() == spent
        found = campaign.store.observations()
        assert len(found) == len(rows)
        (mended,) = (o for o in found if o.outcome.values == (30.0,))
        assert mended.query == Query(wrong["candidate"], "assay")
        run_rounds(campaign, 1)
        assert [r.kind for r in campaign.store.outline()] == ["imported", "batch"]


def test_status_and_the_page_say_what_is_waited_for(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    path, file = write(tmp_path, settings), batch(tmp_path, 0)

    def shown(*command: str) -> str:
        return CliRunner().invoke(app, [*command, path]).output

    def stop(*_: Any) -> None:
        raise RuntimeError("the power fails")

    with open_campaign(parse_config(settings)) as campaign, pytest.raises(RuntimeError):
        run_rounds(campaign, 1, steps=Steps(score=stop))
    # There is no file yet.
    assert "bench: 18 of round 0 unanswered (43.2 units set aside)\n" in shown("status")
    (found,) = json.loads(shown("status", "--json"))
    assert found["waits_for"] is None
    with open_campaign(parse_config(settings)) as campaign:
        run_rounds(campaign, 1)
    said = f"bench: waits for 6 measurements: {file} (42 units set aside)\n"
    assert said in shown("status") and "unanswered" not in shown("status")
    (found,) = json.loads(shown("status", "--json"))
    assert found["waits_for"] == {"count": 6, "files": [str(file)], "set_aside": 42.0}
    shown("report")
    page = (tmp_path / "data" / "bench" / "report" / "index.html").read_text()
    assert f"Round 0 waits for 6 measurements ({file}), for which 42 units are set aside." in page
    with open_campaign(parse_config(settings)) as campaign:
        import_file(campaign, fill(file, range(6)))
    assert "waits" not in shown("status")


def test_an_export_with_new_rows_is_imported_though_failures_are_free(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["budget"] = {"total": 100, "charge_failures": False}
    with open_campaign(parse_config(settings)) as campaign:
        run_rounds(campaign, 1)
        import_file(campaign, fill(batch(tmp_path, 0), [0], lambda _: "spilled"))
        export(campaign, tmp_path / "all.csv")
        rows = read(tmp_path / "all.csv")
        assert "0.0" in {row["cost"] for row in rows}
        new = [row for row in read(fill(batch(tmp_path, 0), range(1, 6))) if row["binding"]]
        save(tmp_path / "all.csv", [*rows, *({**dict.fromkeys(rows[0], ""), **r} for r in new)])
        assert import_file(campaign, tmp_path / "all.csv").queries["assay"] == 5


def test_a_command_to_copy_is_quoted(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["data_dir"] = str(tmp_path / "my data")
    with open_campaign(parse_config(settings)) as campaign:
        run_rounds(campaign, 1)
        awaited = waiting(campaign)
        assert awaited is not None
        source = as_typed("my bench.yaml", CONFIGS, None)
        *_, imported, again = waiting_text(awaited, source).splitlines()
    file = str(tmp_path / "my data" / "bench" / "batches" / "round-0-assay.csv")
    assert shlex.split(imported) == ["mfal", "import", "my bench.yaml", file]
    assert shlex.split(again) == ["mfal", "round", "my bench.yaml"]


def test_failures_are_free_where_the_configuration_says_so(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["budget"] |= {"charge_failures": False}
    with open_campaign(parse_config(settings)) as campaign:
        run_rounds(campaign, 1)
        filled = fill(batch(tmp_path, 0), range(6), lambda _: "spilled")
        found = import_file(campaign, filled)
        assert (found.failed, found.cost) == (6, 0)
        assert state(campaign) == (1.2, 98.8, 18)


def test_data_can_be_imported_before_anything_is_asked(
    config: CampaignConfig, tmp_path: Path
) -> None:
    path = tmp_path / "earlier.csv"
    path.write_text("candidate,fidelity,binding\nAAAAAAAA,assay,4\nAAAAAAAA,model,2\n")
    with open_campaign(config) as campaign:
        assert not import_file(campaign, path).awaited
        run_rounds(campaign, 1)
        awaited = waiting(campaign)
        assert awaited is not None and len(awaited.queries) == 5
        assert Query("AAAAAAAA", "assay") not in awaited.queries


def test_looking_at_a_campaign_that_waits_changes_nothing(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    with open_campaign(parse_config(settings)) as campaign:
        run_rounds(campaign, 1)
    ledger = tmp_path / "data" / "bench" / "ledger.db"
    with sqlite3.connect(ledger) as connection:
        before = connection.execute("SELECT count(*) FROM outcomes").fetchone()
    path = write(tmp_path, settings)
    done = CliRunner().invoke(app, ["report", path])
    assert done.exit_code == 0 and "Round 0 waits for 6 measurements" in done.output
    done = CliRunner().invoke(app, ["resume", path, "--no-prefect"])
    assert done.exit_code == 0 and "bench: Round 0 waits for 6 measurements:\n" in done.output
    assert f"mfal import {path} {batch(tmp_path, 0)}\n" in done.output
    done = CliRunner().invoke(app, ["report", path, "--set", "top_k=3"])
    assert done.exit_code == 0 and f"  mfal round {path} --set top_k=3\n" in done.output
    by_name = ["bench", "--configs", str(tmp_path)]
    done = CliRunner().invoke(app, ["round", *by_name, "--no-prefect"])
    assert done.exit_code == 0 and f"  mfal round {' '.join(by_name)}\n" in done.output
    with sqlite3.connect(ledger) as connection:
        assert connection.execute("SELECT count(*) FROM outcomes").fetchone() == before == (12,)
