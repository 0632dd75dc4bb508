"""`mfal status` and `mfal best`: exactly what they print, beside whoever is at work."""

import json
import os
import subprocess

import pytest

from mfal import process
from mfal.campaign import open_campaign
from mfal.errors import ConfigError, LedgerError, NoLedgerError
from tests.integration.campaigns import Folder, play
from tests.unit.ledgers import rows


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
            "waits_for": None,
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
    assert f"at work: process {os.getpid()} on {holder.host} since {holder.since}\n" in table


def test_a_process_that_is_gone_is_not_at_work(folder: Folder) -> None:
    config = folder.add("motif")
    play(config, unanswered=2)
    dead = subprocess.Popen(["true"])
    dead.wait()
    rows(
        config.ledger_url,
        f"UPDATE locks SET token = 'left', beat = 1, host = 'box', system = '{process.system()}', "
        f"pid = {dead.pid}, started = '1', since = '2026-01-01T00:00:00+00:00'",
    )
    _, table = folder.call("status", "motif")
    left = f"left by process {dead.pid} on box (begun 2026-01-01T00:00:00+00:00), which is gone\n"
    assert f"motif: 2 of round 1 unanswered (6 units set aside); {left}" in table
    assert "at work" not in table


def test_a_campaign_is_named_once_in_what_is_wrong_with_it(folder: Folder) -> None:
    folder.add("motif", problem="./none.py:problem")
    code, out = folder.call("status")
    assert code == 2 and "motif: configuration: problem: there is no file" in out
    assert "motif: motif" not in out


def test_the_table_says_how_many_failed_where_any_did(folder: Folder) -> None:
    folder.add("new")
    assert "failed" not in folder.call("status")[1]
    play(folder.add("motif"))
    code, table = folder.call("status")
    assert code == 0 and "failed" in table and "1 of 7" in table


def test_names_are_whole_in_eighty_columns(folder: Folder) -> None:
    play(folder.add("antimicrobial-peptides"), unanswered=2)
    play(folder.add("ionisation-potential"))
    folder.add("electron-affinity")
    code, out = folder.call("status", columns=80)
    assert code == 0 and "…" not in out
    table = out.splitlines()[:6]
    assert max(map(len, table)) <= 80
    assert [line.split()[0] for line in table[2:5]] == (
        ["antimicrobial-peptides", "electron-affinity", "ionisation-potential"]
    )
    assert "8.000 places  ACGTACGT" in out
    assert "antimicrobial-peptides: 2 of round 1 unanswered (6 units set aside)\n" in out


def test_a_narrow_terminal_has_a_block_for_each_campaign(folder: Folder) -> None:
    play(folder.add("ionisation-potential"), unanswered=2)
    folder.add("new")
    code, out = folder.call("status", columns=40)
    assert code == 0
    assert [line.rstrip() for line in out.splitlines()] == [
        "ionisation-potential",
        "  rounds  0",
        "  spent   11",
        "  left    83",
        "  failed  1 of 5",
        "  best    7.000 places  ACGTACGA",
        "new",
        "  rounds  not begun",
        "  spent   0",
        "  left    100",
        "ionisation-potential: 2 of round 1 unanswered (6 units set aside)",
    ]
    assert "ACGTACGA\n" in folder.call("status", columns=20)[1].replace(" ", "")


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


def test_a_campaign_may_have_either_ending_of_yaml(folder: Folder) -> None:
    folder.add("long")
    folder.add("short")
    configs = folder.path / "configs"
    (configs / "short.yaml").rename(configs / "short.yml")
    assert [s["campaign"] for s in folder.status()] == ["long", "short"]
    assert [s["campaign"] for s in folder.status("short")] == ["short"]


def test_a_name_that_is_not_there_is_answered_with_those_that_are(folder: Folder) -> None:
    folder.add("motif")
    single = ("round", "campaign", "status", "best", "report", "resume", "ladder")
    files = (["import", "motiv", "a.csv"], ["export", "motiv", "a.csv"], ["diff", "motif", "motiv"])
    for command in (*([name, "motiv"] for name in single), *files):
        with pytest.raises(ConfigError, match="there is no campaign 'motiv'") as raised:
            folder.call(*command)
        assert "there are motif" in raised.value.hint
    with pytest.raises(NoLedgerError, match="there is no ledger") as begun:
        folder.call("best", "motif")
    assert "mfal round motif" in begun.value.hint


def test_a_name_without_its_ending_is_told_apart(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.path)
    (folder.path / "here.yaml").write_text("name: here\n")
    with pytest.raises(ConfigError) as raised:
        folder.call("best", "here")
    assert raised.value.hint == "write here.yaml, with its ending"
    for name in (".", "", "/"):
        with pytest.raises(ConfigError, match="there is no campaign"):
            folder.call("best", name)


def test_an_empty_folder_is_said_to_be_empty(folder: Folder) -> None:
    code, out = folder.call("status")
    assert code == 0
    assert out == (
        f"there is no campaign in {folder.path / 'configs'}/; name a YAML file, or give --configs\n"
    )


def test_what_was_begun_with_changes_is_looked_at_with_them(folder: Folder) -> None:
    folder.add("motif")
    play(folder.add("motif", seed=5))
    folder.add("motif")
    changed = ("motif", "--set", "seed=5")
    with pytest.raises(LedgerError, match="seed was 5, is now 1"):
        folder.call("best", "motif")
    assert "ACGTACGT" in folder.call("best", *changed)[1]
    assert "8.000 places" in folder.call("status", *changed)[1]
    assert "nothing to do" in folder.call("resume", *changed, "--no-prefect")[1]
    file = folder.path / "all.csv"
    assert folder.call("export", "motif", str(file), "--set", "seed=5")[0] == 0
    assert "ACGTACGT" in file.read_text()
    with pytest.raises(ConfigError, match="--set changes campaigns that are named"):
        folder.call("status", "--set", "seed=5")


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


def test_a_broken_file_is_a_line_of_its_own_and_stops_no_other(folder: Folder) -> None:
    play(folder.add("done"))
    configs = folder.path / "configs"
    (configs / "bad.yaml").write_text("name: 3\n")
    (configs / "odd.yaml").write_text("name: [a\n")
    folder.add("twin")
    twins = [configs / "twin.yaml", configs / "twin2.yaml"]
    twins[1].write_text(twins[0].read_text())
    code, out = folder.call("status", "--json")
    shown, _ = json.JSONDecoder().raw_decode(out)  # what is wrong is said below it
    found = {s["campaign"]: s for s in shown}
    assert set(found) == {"bad", "done", "odd", "twin"}
    assert found["done"]["spent"] == 17.0
    assert f"{configs / 'bad.yaml'}: name: Input should be a valid string" in found["bad"]["error"]
    assert "not valid YAML" in found["odd"]["error"]
    assert "all of them are called 'twin'" in found["twin"]["error"]
    assert code == 2
    assert folder.call("status", "done")[0] == 0
    assert folder.call("best", "done")[0] == 0
    assert folder.call("resume", "done", "--no-prefect")[0] == 0
    for name, said in (("bad", "bad.yaml: name"), ("twin", "twin.yaml, .*twin2.yaml: name: all")):
        with pytest.raises(ConfigError, match=said):
            folder.call("status", name)
    code, out = folder.call("resume", "--no-prefect")
    assert code == 2 and "done: nothing to do" in out and "bad.yaml: name" in out
