"""Files of batches, as people fill them in, and what is said of those that cannot be read."""

import csv
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mfal.campaign import open_campaign
from mfal.cli.app import app
from mfal.config import CampaignConfig, parse_config
from mfal.errors import DataError, LedgerError
from mfal.importing.observations import import_file
from mfal.round import run_rounds
from tests.integration.manual.bench import batch, fill, read, save, state
from tests.integration.test_cli import write


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
            f"{second},assay,4,,6.9\n"
        )
        before = state(campaign)
        with pytest.raises(DataError) as raised:
            import_file(campaign, path)
        for expected in (
            "7 rows cannot be used, so nothing was",
            "row 3, column binding: 'many' is no finite number",
            "row 4: round 0 does not wait for 'GGGGGGGT' at assay; leave the row out",
            "row 5, column candidate: ",
            f"row 6: says {right + 1} to '{computed.query.key}' at model, and the ledger {right}; "
            "the ledger keeps its answers; to correct one: mfal export, edit the file, and import",
            f"row 7: says 4.0 to '{first}' at assay, and row 2 3.0; keep one answer to a query",
            "row 8, column cost: 0 is not the price of a query at assay; it is 7; leave it empty",
            "row 9, column cost: 6.9 is not the price of a query at assay",
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
        path.write_text(f"candidate,fidelity,binding,error\n{second},assay,,spilled\n")
        assert import_file(campaign, path).failed == 1
        path.write_text(f"candidate,fidelity,binding,error\n{second},assay,,dried up\n")
        with pytest.raises(DataError, match=r"says 'dried up' .* and the ledger 'spilled';"):
            import_file(campaign, path)


def test_the_file_of_a_round_that_is_over_says_nothing_new(
    config: CampaignConfig, tmp_path: Path
) -> None:
    with open_campaign(config) as campaign:
        run_rounds(campaign, 1)
        rows = read(batch(tmp_path, 0))
        path = fill(batch(tmp_path, 0), range(len(rows)))
        import_file(campaign, path)
        before = state(campaign)
        with pytest.raises(DataError, match="holds no measurement that the ledger") as raised:
            import_file(campaign, path)
        assert "run the next one" in raised.value.hint
        value = float(read(path)[0]["binding"])
        save(path, [read(path)[0] | {"binding": "77"}])
        with pytest.raises(DataError, match=rf"row 2: says 77.0 .* and the ledger {value};"):
            import_file(campaign, path)
        save(path, [rows[0] | {"candidate": "GGGGGGGT", "binding": "77"}])
        with pytest.raises(LedgerError, match="has begun"):
            import_file(campaign, path)
        assert state(campaign) == before


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


def test_a_file_that_is_gone_is_said_to_be(settings: dict[str, Any], tmp_path: Path) -> None:
    config = write(tmp_path, settings)
    with open_campaign(parse_config(settings)) as campaign:
        run_rounds(campaign, 1)
    path = batch(tmp_path, 0)
    moved = path.rename(tmp_path / "mine.csv")
    said = CliRunner().invoke(app, ["import", config, str(fill(moved, [0]))]).output
    assert f"{path} (which is not there: `mfal round` writes it anew)\n" in said


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


def test_people_read_what_the_problem_says_of_a_candidate(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    bench = tmp_path / "bench.py"
    told = 'Problem("bench", model, environment, describe=lambda key: f"{key.count(\'A\')} x A")'
    bench.write_text(bench.read_text().replace('Problem("bench", model, environment)', told))
    with open_campaign(parse_config(settings)) as campaign:
        run_rounds(campaign, 1)
        rows = read(batch(tmp_path, 0))
        assert list(rows[0]) == ["candidate", "description", "fidelity", "binding", "error"]
        assert all(r["description"] == f"{r['candidate'].count('A')} x A" for r in rows)
        done = import_file(campaign, fill(batch(tmp_path, 0), range(6)))
        assert (done.queries["assay"], done.unused) == (6, ("description",))
