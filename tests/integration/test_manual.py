"""A laboratory in the loop: batches go out, measurements come back, nothing is lost between."""

import csv
import json
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mfal.budget import minus
from mfal.campaign import Campaign, open_campaign
from mfal.cli.app import app
from mfal.config import CampaignConfig, parse_config
from mfal.errors import BudgetError, DataError, LedgerError
from mfal.importing.observations import import_file
from mfal.round import Steps, run_rounds
from mfal.types import Query
from mfal.waiting import waiting
from tests.integration.test_cli import mfal, write
from tests.postgres import Server
from tests.support import motif_settings

# The model is computed, and writes down what it is asked; the assay is measured by hand.
BENCH = """
from pathlib import Path
from mfal import Fidelity, Objective, Problem, oracle

def problem(calls: str) -> Problem:
    @oracle(
        fidelities=[Fidelity("model", 0.1, 0.5), Fidelity("assay", 7, 1.0, manual=True)],
        objectives=[Objective("binding", "nM", "min")],
    )
    def model(key: str) -> float:
        with Path(calls).open("a") as file:
            file.write(f"model {key}\\n")
        return 10.0 - key.count("A")

    def environment():
        from mfal.envs.sequence import SequenceEnvironment
        return SequenceEnvironment(alphabet="ACGT", length=8)

    return Problem("bench", model, environment)
"""


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "bench.py").write_text(BENCH)
    return motif_settings(
        tmp_path,
        name="bench",
        problem={
            "name": f"{tmp_path / 'bench.py'}:problem",
            "options": {"calls": str(tmp_path / "calls.txt")},
        },
        initial={"queries": {"model": 12, "assay": 6}},
        batch={"cost": 15, "target_share": 0.9},
        sampler="random",
    )


@pytest.fixture
def config(settings: dict[str, Any]) -> CampaignConfig:
    return parse_config(settings)


def batch(folder: Path, number: int) -> Path:
    return folder / "data" / "bench" / "batches" / f"round-{number}-assay.csv"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def fill(path: Path, rows: Iterable[int], measure: Callable[[str], str] | None = None) -> Path:
    """A copy of a batch with these rows filled in: values, or why there is none."""
    table = read(path)
    for i in rows:
        said = (measure or assay)(table[i]["candidate"])
        table[i]["binding" if said[0].isdigit() else "error"] = said
    filled = path.with_name(f"filled-{path.name}")
    with filled.open("w", newline="") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
    return filled


def assay(key: str) -> str:
    return str(20 - 2 * key.count("A"))


def state(campaign: Campaign) -> tuple[float, float, int]:
    """Spent, left, and answers."""
    store = campaign.store
    return store.spent(), campaign.left, len(store.observations())


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
        batch(tmp_path, 1).unlink()
    settings["budget"] = {"total": minus(needed, 0.1)}
    with open_campaign(parse_config(settings)) as campaign:
        with pytest.raises(BudgetError, match=r"what it has still to ask costs 14, which makes"):
            run_rounds(campaign, 1)
        assert not batch(tmp_path, 1).exists()
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


def test_a_file_that_people_work_on_is_left_alone(config: CampaignConfig, tmp_path: Path) -> None:
    path = batch(tmp_path, 0)
    with open_campaign(config) as campaign:
        run_rounds(campaign, 1)
        rows = read(path)
        fill(path, [0]).replace(path)
        begun = path.read_bytes()
        run_rounds(campaign, 1)
        assert path.read_bytes() == begun
        assert import_file(campaign, path).queries["assay"] == 1
        path.unlink()
        run_rounds(campaign, 1)
        assert [r["candidate"] for r in read(path)] == [r["candidate"] for r in rows[1:]]
        assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_file_of_another_batch_is_not_taken_for_this_one(
    config: CampaignConfig, tmp_path: Path
) -> None:
    path = batch(tmp_path, 0)
    path.parent.mkdir(parents=True)
    path.write_text("candidate,fidelity,binding,error\nAAAAAAAA,assay,,\n")
    with open_campaign(config) as campaign:
        with pytest.raises(LedgerError, match=r"6 of the 6 that the round waits for") as raised:
            run_rounds(campaign, 1)
        assert "move it away" in raised.value.hint
        path.unlink()
        run_rounds(campaign, 1)
        assert len(read(path)) == 6


def test_what_is_wrong_is_named_and_nothing_is_imported(
    config: CampaignConfig, tmp_path: Path
) -> None:
    with open_campaign(config) as campaign:
        run_rounds(campaign, 1)
        first, second = (r["candidate"] for r in read(batch(tmp_path, 0))[:2])
        computed = campaign.store.observations()[0]
        assert computed.outcome.values is not None
        path = tmp_path / "mine.csv"
        right = float(computed.outcome.values[0])
        path.write_text(
            "candidate,fidelity,binding,error,cost\n"
            f"{first},assay,3,,\n"
            f"{second},assay,many,,\n"
            "GGGGGGGT,assay,1,,\n"
            "XXXXXXXX,assay,1,,\n"
            f"{computed.query.key},model,{right + 1},,\n"
            f"{first},assay,4,,\n"
            f"{second},assay,4,,0\n"
        )
        before = state(campaign)
        with pytest.raises(DataError) as raised:
            import_file(campaign, path)
        for expected in (
            "6 rows cannot be imported, so nothing was",
            "row 3, column binding: 'many' is no finite number",
            "row 4: round 0 does not wait for 'GGGGGGGT' at assay; leave the row out",
            "row 5, column candidate: ",
            f"row 6: says {right + 1} to '{computed.query.key}' at model, and the ledger {right}; "
            "the ledger keeps its answers; to correct one: mfal export, edit the file, and import",
            f"row 7: says 4.0 to '{first}' at assay, and row 2 3.0; keep one answer to a query",
            "row 8, column cost: 0 is not the price of a query at assay; it is 7; leave it empty",
        ):
            assert expected in raised.value.message, raised.value.message
        assert state(campaign) == before

        path.write_text(f"candidate,fidelity,binding\n{first},assay,\n")
        with pytest.raises(DataError, match="holds no measurement that the ledger does not have"):
            import_file(campaign, path)
        path.write_text(f"candidate,fidelity,binding,cost\n{first},assay,3,7\n")
        assert import_file(campaign, path).cost == 7
        with pytest.raises(DataError, match="holds no measurement"):
            import_file(campaign, path)
        path.write_text(f"candidate,fidelity,binding\n{first},assay,5\n")
        with pytest.raises(DataError, match=r"says 5.0 .* and the ledger 3.0;"):
            import_file(campaign, path)
        path.write_text(f"candidate,fidelity,binding,error\n{first},assay,,spilled\n")
        with pytest.raises(DataError, match=r"says 'spilled' .* and the ledger 3.0;"):
            import_file(campaign, path)


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
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
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


def test_a_batch_that_a_spreadsheet_has_saved_is_left_to_the_import(
    config: CampaignConfig, tmp_path: Path
) -> None:
    path = batch(tmp_path, 0)
    with open_campaign(config) as campaign:
        run_rounds(campaign, 1)
        for sign, name in ((";", "';'"), ("\t", "tabs")):
            path.write_text(path.read_text().replace(",", sign))
            assert run_rounds(campaign, 1) == []
            with pytest.raises(DataError, match=f"its columns are separated by {name}"):
                import_file(campaign, path)
            path.write_text(path.read_text().replace(sign, ","))
        key = read(path)[0]["candidate"]
        path.write_text(f'candidate,fidelity,binding,error\n{key},assay,"7,5",\n')
        with pytest.raises(DataError, match=r"binding: '7,5' is no .* a point: 7\.5"):
            import_file(campaign, path)
        path.write_text(f'candidate,fidelity,binding,cost\n{key},assay,"0,0","0,5"\n')
        with pytest.raises(DataError, match=r"a point: 0\.0\n.*cost: .* a point: 0\.5"):
            import_file(campaign, path)


def test_rows_may_be_taken_out_of_a_batch(settings: dict[str, Any], tmp_path: Path) -> None:
    path, config = batch(tmp_path, 0), write(tmp_path, settings)
    with open_campaign(parse_config(settings)) as campaign:
        run_rounds(campaign, 1)
        lines = fill(path, [0, 1]).read_text().splitlines(keepends=True)
        path.write_text("".join(lines[:3]))
        assert run_rounds(campaign, 1) == []
        assert import_file(campaign, path).queries["assay"] == 2
        assert run_rounds(campaign, 1) == []
        assert read(path) == list(csv.DictReader(lines[:3]))
    lacks = f"{path} (lacks 4 of them: move it away, and `mfal round` writes it anew)\n"
    assert lacks in CliRunner().invoke(app, ["report", config]).output
    with open_campaign(parse_config(settings)) as campaign:
        path.rename(path.with_suffix(".old"))
        run_rounds(campaign, 1)
        assert [r["candidate"] for r in read(path)] == [
            r["candidate"] for r in csv.DictReader([lines[0], *lines[3:]])
        ]


def test_status_and_the_page_say_what_is_waited_for(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    path, file = write(tmp_path, settings), batch(tmp_path, 0)

    def shown(*command: str) -> str:
        return CliRunner().invoke(app, [*command, path]).output

    def stop(*_: Any) -> None:
        raise RuntimeError("the power fails")

    with open_campaign(parse_config(settings)) as campaign, pytest.raises(RuntimeError):
        run_rounds(campaign, 1, steps=Steps(append=stop))
    assert "bench: 18 of round 0 unanswered\n" in shown("status")  # there is no file yet
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


def test_a_batch_that_cannot_be_written_is_written_later(
    config: CampaignConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_campaign(config) as campaign:

        def full(*_: Any) -> None:
            raise OSError("no space left")

        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            with pytest.raises(LedgerError, match="no space left"):
                run_rounds(campaign, 1)
        assert not batch(tmp_path, 0).exists()
        run_rounds(campaign, 1)
        assert len(read(batch(tmp_path, 0))) == 6
        assert state(campaign) == (1.2, 56.8, 12)


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
    with sqlite3.connect(ledger) as connection:
        assert connection.execute("SELECT count(*) FROM outcomes").fetchone() == before == (12,)
