"""Campaigns that begin with a user's own data, through the command line and the library."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mfal.campaign import open_campaign
from mfal.config import CampaignConfig, parse_config
from mfal.errors import ConfigError, DataError, LedgerError, MfalError
from mfal.importing.observations import import_file, import_frame
from mfal.propose import initial_design
from mfal.round import run_rounds
from mfal.types import Outcome, Query
from tests.commands import mfal
from tests.integration.test_cli import write
from tests.support import motif_settings

MakeConfig = Callable[..., CampaignConfig]
ReadCalls = Callable[[], list[str]]

# Its environment says in its own way what is no candidate.
STRICT = """
from mfal import Problem
from mfal.envs.sequence import SequenceEnvironment
from tests.problems.motif import problem as motif
class Strict(SequenceEnvironment):
    def states(self, keys):
        if any("Z" in key for key in keys): raise ValueError("no Z")
        return super().states(keys)
def problem() -> Problem:
    return Problem("strict", motif().oracle, lambda: Strict(alphabet="ACGT", length=8))
"""
# What no random word has, these cannot read.
PICKY = """
import torch
class Letters:
    width, linear_columns = 1, ()
    def __call__(self, keys):
        if any("GGGGGG" in key for key in keys): raise KeyError("GGGGGG")
        return torch.tensor([[float("nan") if "TTTTTT" in k else k.count("A")] for k in keys])
class OneByOne(Letters):
    def __call__(self, keys):
        return super().__call__(keys[:1])
def similarity():
    return lambda a, b: 1 / ("CCCCCC" not in a) * (a == b)
"""
HEADER = "candidate,fidelity,agreement\n"
WORDS = ["CCCCCCCC", "CCGTACGT", "GGGGGGGG", "TTTTTTTT", "CATTAGCA"]
GOOD = HEADER + "CCCCCCCC,half,1\nCCCCCCCC,whole,2\nGGGGGGGG,whole,2\nTCGTACGT,half,3\n"


def data(folder: Path, text: str, name: str = "mine.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def counts(config: CampaignConfig, number: int) -> dict[str, int]:
    with open_campaign(config) as campaign:
        return Counter(o.query.fidelity for o in campaign.store.observations() if o.round == number)


def test_a_campaign_goes_on_from_imported_data(tmp_path: Path, calls: ReadCalls) -> None:
    settings = motif_settings(tmp_path)
    config, mine = write(tmp_path, settings), data(tmp_path, GOOD)
    done = mfal("import", config, str(mine), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "imported as round 0: 2 half, 2 whole (0 failed), cost 0" in done.stdout
    assert "the initial design still asks: 10 half, 4 whole" in done.stdout
    assert calls() == []

    done = mfal("round", config, "--no-prefect", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for shown in ("imported data", "initial design", "round 2", "imported from mine.csv"):
        assert shown in done.stdout, done.stdout
    with open_campaign(parse_config(settings)) as campaign:
        observations = campaign.store.observations()
        rounds = campaign.store.rounds()
        # 10 x 1 + 4 x 3 for the rest of the design, 12 for the batch.
        assert campaign.store.spent() == 34
    assert [(r.number, r.kind, r.finished) for r in rounds] == [
        (0, "imported", True),
        (1, "initial", True),
        (2, "batch", True),
    ]
    assert rounds[1].record["initial"] == {
        "wanted": {"half": 12, "whole": 6},
        "imported": {"half": 2, "whole": 2},
        "asked": {"half": 10, "whole": 4},
    }
    assert rounds[2].record["held_out"]["half"]["n"] == 12  # learnt from both
    queries = [o.query for o in observations]
    assert len(set(queries)) == len(queries)
    own = [o.query for o in observations if o.round > 0]
    assert sorted(calls()) == sorted(f"{q.fidelity} {q.key}" for q in own)
    # Nested as far as the counts go: known candidates first.
    assert {Query("GGGGGGGG", "half"), Query("TCGTACGT", "whole")} <= set(own)

    again = mfal("import", config, str(data(tmp_path, GOOD, "copy.csv")), cwd=tmp_path)
    assert again.returncode == 2
    assert "copy.csv: was imported before, as round 0" in again.stderr
    late = mfal("import", config, str(data(tmp_path, HEADER + "AAAAAAAA,half,1\n")), cwd=tmp_path)
    assert late.returncode == 2
    assert "campaign 'motif' has begun" in late.stderr and "another `name`" in late.stderr


BAD = [
    ("AAAA,half,1", "row 3, column candidate: ", "8"),
    ("AAAAAAAX,half,1", "row 3, column candidate: ", "X"),
    (",half,1", "row 3, column candidate: is empty; write the candidate's canonical text", ""),
    ("AAAAAAAA,hafl,1", "row 3, column fidelity: 'hafl' is not on the ladder", "half or whole"),
    ("AAAAAAAA,,1", "row 3, column fidelity: is empty", "write half or whole"),
    ("AAAAAAAA,half,", "row 3, column agreement: is empty; write it in places", "column error"),
    ("AAAAAAAA,half,many", "row 3, column agreement: 'many' is no finite number", "places"),
    ("AAAAAAAA,half,nan", "row 3, column agreement: 'nan' is no finite number", "places"),
    ("AAAAAAAA,half,inf", "row 3, column agreement: 'inf' is no finite number", "places"),
    ("AAAAAAAA,half,1_0", "row 3, column agreement: '1_0' is no finite number", "places"),
    ("AAAAAAAA,half,-1e300", "row 3, column agreement: -1e300 is too large to be", "1e+100"),
    ("AAAAAAAA,half,1,1", "row 3: has 4 cells; the header has 3", ""),
    ('AAAAAAAA,half,"1,5"', "'1,5' is no finite number", "is written with a point: 1.5"),
    ('AAAAAAAA,half,"1,234"', "'1,234' is no finite number", "write 1.234 or 1234, whichever is"),
    ("AAAAAAAA,half,\u22123.5", "'\u22123.5' is no finite number", "a plain one is read: -3.5"),
    ('AAAAAAAA,half,"0,234"', "'0,234' is no finite number", "is written with a point: 0.234"),
    (
        "CCCCCCCC,half,2",
        "row 3: says 2.0 to 'CCCCCCCC' at half, and row 2 1.0",
        "such as their mean",
    ),
]


@pytest.mark.parametrize(("row", "message", "right"), BAD, ids=[row for row, _, _ in BAD])
def test_a_bad_row_is_named_and_nothing_is_imported(
    motif: MakeConfig, tmp_path: Path, row: str, message: str, right: str
) -> None:
    path = data(tmp_path, f"{HEADER}CCCCCCCC,half,1\n{row}\nGGGGGGGG,half,1\n")
    with open_campaign(motif()) as campaign:
        with pytest.raises(DataError) as raised:
            import_file(campaign, path)
        assert raised.value.message.startswith(f"{path}: 1 row cannot be used")
        assert message in raised.value.message and right in raised.value.message
        assert campaign.store.rounds() == [] and campaign.store.asked() == set()


def test_what_features_or_similarity_cannot_read_is_not_imported(
    motif: MakeConfig, tmp_path: Path
) -> None:
    (tmp_path / "picky.py").write_text(PICKY)
    config = motif(
        features=[f"{tmp_path}/picky.py:Letters"],
        diversity={"at_most": 0.5, "similarity": f"{tmp_path}/picky.py:similarity"},
    )
    rows = "".join(f"{word},half,1\n" for word in WORDS)
    with open_campaign(config) as campaign:
        with pytest.raises(DataError) as raised:
            import_file(campaign, data(tmp_path, HEADER + rows))
        said = raised.value.message.splitlines()
        assert said[0].endswith("3 rows cannot be used, so nothing was:")
        for line, row, parts in zip(
            said[1:],
            (2, 4, 5),
            (
                ("diversity.similarity: ", "cannot read 'CCCCCCCC'", "ZeroDivisionError"),
                ("features.0: ", "cannot read 'GGGGGGGG'", "KeyError: 'GGGGGG' (picky.py, line 6)"),
                ("features.0: ", "cannot read 'TTTTTTTT'", "gives [[nan]], not a row of 1"),
            ),
            strict=True,
        ):
            assert line.strip().startswith(f"row {row}, column candidate: {parts[0]}")
            assert all(part in line for part in parts) and "leave the row out" in line
        assert campaign.store.rounds() == []
        import_file(campaign, data(tmp_path, f"{HEADER}CCGTACGT,half,1\nCATTAGCA,half,2\n"))


def test_features_that_cannot_read_a_whole_table_are_named(
    motif: MakeConfig, tmp_path: Path
) -> None:
    (tmp_path / "picky.py").write_text(PICKY)
    config = motif(features=[f"{tmp_path}/picky.py:OneByOne"])
    path = data(tmp_path, f"{HEADER}CCGTACGT,half,1\nCATTAGCA,half,2\n")
    with open_campaign(config) as campaign:
        with pytest.raises(ConfigError, match=r"cannot read 2 candidates at once: .*\(1, 1\)"):
            import_file(campaign, path)
        assert campaign.store.rounds() == []


def test_the_command_line_names_every_bad_row(tmp_path: Path) -> None:
    config = write(tmp_path, motif_settings(tmp_path))
    text = HEADER + "AAAA,half,1\nCCCCCCCC,half,1\nGGGGGGGG,third,x\n"
    done = mfal("import", config, str(data(tmp_path, text)), cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    for expected in (
        "mine.csv: 2 rows cannot be used, so nothing was",
        "row 2, column candidate",
        "row 4, column fidelity: 'third' is not on the ladder; write half or whole",
        "row 4, column agreement: 'x' is no finite number",
        "hint:  mend these rows and do it again",
    ):
        assert expected in done.stderr, done.stderr
    with sqlite3.connect(tmp_path / "data" / "motif" / "ledger.db") as connection:
        assert connection.execute("SELECT count(*) FROM queries").fetchone() == (0,)


def test_missing_columns_are_named(motif: MakeConfig, tmp_path: Path) -> None:
    path = data(tmp_path, "sequence,fidelity,agreement\n")
    with open_campaign(motif()) as campaign:
        with pytest.raises(DataError, match="has no column candidate; it has sequence") as raised:
            import_file(campaign, path)
        assert "candidate, fidelity, agreement" in raised.value.hint
        with pytest.raises(DataError, match="holds no observation"):
            import_file(campaign, data(tmp_path, HEADER))


def test_failures_costs_repeats_and_other_columns(motif: MakeConfig, tmp_path: Path) -> None:
    text = (
        "note,cost,error,candidate,fidelity,agreement\n"
        "a,0.5,,CCCCCCCC,half,1\n"
        "b,,it broke,GGGGGGGG,whole,\n"
        "c,,,TTTTTTTT,half,1.0\n"
        "d,0.5,,CCCCCCCC,half,1\n"
    )
    with open_campaign(motif()) as campaign:
        done = import_file(campaign, data(tmp_path, text))
        assert (done.queries, done.failed, done.merged) == ({"half": 2, "whole": 1}, 1, 1)
        assert done.cost == campaign.store.spent() == 0.5 and done.unused == ("note",)
        first, second, _ = campaign.store.observations()
        assert first.outcome == Outcome((1.0,), None, 0.0)
        assert first.backend == "imported from mine.csv"
        assert second.outcome.error == "it broke" and second.cost == 0
        run_rounds(campaign, 1)
        rounds = campaign.store.rounds()
        # The failure is no answer, so the design still asks six at the target; not that one.
        assert rounds[1].record["initial"]["asked"] == {"half": 10, "whole": 6}
        assert rounds[0].record["imported"]["unused_columns"] == ["note"]
        asked = [o.query for o in campaign.store.observations()]
        assert asked.count(Query("GGGGGGGG", "whole")) == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("CCCCCCCC,half,1,-1,", "column cost: '-1' is no finite number from zero up"),
        ("CCCCCCCC,half,1,x,", "column cost: 'x' is no finite number from zero up"),
        ("CCCCCCCC,half,1,,broke", "column agreement: '1' stands beside the error 'broke'"),
    ],
)
def test_bad_costs_and_errors_are_named(
    motif: MakeConfig, tmp_path: Path, rows: str, message: str
) -> None:
    path = data(tmp_path, f"candidate,fidelity,agreement,cost,error\n{rows}\n")
    with open_campaign(motif()) as campaign, pytest.raises(DataError) as raised:
        import_file(campaign, path)
    assert message in raised.value.message


@pytest.mark.parametrize("costs", [("1", "2"), ("", "2"), ("2", "")])
def test_rows_of_a_query_that_differ_in_cost_are_both_named(
    motif: MakeConfig, tmp_path: Path, costs: tuple[str, str]
) -> None:
    rows = "".join(f"CCCCCCCC,half,1,{cost}\n" for cost in costs)
    path = data(tmp_path, f"candidate,fidelity,agreement,cost\n{rows}")
    with open_campaign(motif()) as campaign:
        with pytest.raises(DataError, match="2 rows cannot be used") as raised:
            import_file(campaign, path)
        assert campaign.store.asked() == set()
    first, second = (float(cost or 0) for cost in costs)
    said = f"'CCCCCCCC' at half costs {first:g} in row 2 and {second:g} in row 3; keep one row"
    for row in (2, 3):
        assert f"row {row}, column cost: {said}" in raised.value.message


@pytest.mark.parametrize("name", ["Cost", " cost", "ERROR", "Agreement"])
def test_a_column_that_is_spelt_otherwise_is_refused(
    motif: MakeConfig, tmp_path: Path, name: str
) -> None:
    path = data(tmp_path, f"candidate,fidelity,agreement,{name}\nCCCCCCCC,half,1,2\n")
    with open_campaign(motif()) as campaign:
        with pytest.raises(DataError, match=f"has a column '{name}'") as raised:
            import_file(campaign, path)
        assert raised.value.hint.startswith(f"call it '{name.strip().lower()}'")
        assert campaign.store.asked() == set()


def test_data_that_leave_no_money_for_the_design_are_refused(
    motif: MakeConfig, tmp_path: Path
) -> None:
    text = "candidate,fidelity,agreement,cost\nCCCCCCCC,half,1,{}\n"
    with open_campaign(motif()) as campaign:
        # 29 of the design are left to pay, and the budget is 100.
        with pytest.raises(MfalError, match=r"costs 71.5 and leaves 29 .* 100 of the budget"):
            import_file(campaign, data(tmp_path, text.format(71.5)))
        # What failed is no part of the design: the 3 of that query are still to be paid.
        failed = (
            "candidate,fidelity,agreement,error,cost\nCCCCCCCC,half,1,,71\nGGGGGGGG,whole,,no,{}\n"
        )
        with pytest.raises(MfalError, match=r"costs 71.5 and leaves 29"):
            import_file(campaign, data(tmp_path, failed.format(0.5)))
        import_file(campaign, data(tmp_path, text.format(71)))
        assert run_rounds(campaign, 1) == []
        assert campaign.store.spent() == 100


def test_a_second_table_adds_to_the_first_and_must_agree_with_it(
    motif: MakeConfig, tmp_path: Path
) -> None:
    with open_campaign(motif()) as campaign:
        import_file(campaign, data(tmp_path, GOOD))
        with pytest.raises(LedgerError, match="was imported before, as round 0"):
            import_file(campaign, data(tmp_path, GOOD, "copy.csv"))
        with pytest.raises(DataError, match=r"and the ledger 1\.0; .* mfal export"):
            import_file(campaign, data(tmp_path, HEADER + "CCCCCCCC,half,0\n"))
        more = import_file(campaign, data(tmp_path, HEADER + "CCCCCCCC,half,1\nAAAAAAAA,half,1\n"))
        assert (more.round, more.merged, more.queries) == (1, 1, {"half": 1, "whole": 0})


def test_a_design_that_was_imported_in_full_leads_straight_to_a_batch(
    motif: MakeConfig, calls: ReadCalls
) -> None:
    config = motif(initial={"queries": {"half": 4, "whole": 3}})
    rows: list[dict[str, Any]] = [
        {"candidate": key, "fidelity": name, "agreement": float(i)}
        for name in ("half", "whole")
        for i, key in enumerate(WORDS)
    ]
    with open_campaign(config) as campaign:
        done = import_frame(campaign, pd.DataFrame(rows), "measured in March")
        assert done.queries == {"half": 5, "whole": 5}
        assert run_rounds(campaign, 1) == [1]
        imported, batch = campaign.store.rounds()
        assert imported.record["imported"]["source"] == "measured in March"
        assert batch.kind == "batch" and set(batch.record["initial"]["asked"].values()) == {0}
    assert not {f"half {key}" for key in WORDS} & set(calls())
    # The next process knows that it has begun.
    with open_campaign(config) as campaign:
        assert run_rounds(campaign, 1) == [2]
        assert "initial" not in campaign.store.rounds()[2].record


def test_a_sorted_table_lends_the_design_random_candidates_and_none_that_failed(
    motif: MakeConfig,
) -> None:
    words = ["".join(word) for word in product("ACGT", repeat=3)]
    rows = [{"candidate": word + "AAAAA", "fidelity": "half", "agreement": 1.0} for word in words]
    rows[::4] = [row | {"agreement": None, "error": "falls apart"} for row in rows[::4]]
    with open_campaign(motif(initial={"queries": {"whole": 12}})) as campaign:
        import_frame(campaign, pd.DataFrame(rows))
        asked = [q.key[:3] for q in initial_design(campaign, seed=0)]
    places = [words.index(word) for word in asked]
    assert len(places) == 12 and not any(place % 4 == 0 for place in places)
    # The mean of 12 of 64 at random is 31.5, give or take 5; of the first 12 it is 8.
    assert 16 < sum(places) / 12 < 47
    assert places != sorted(places)


def test_rows_of_a_frame_are_named_too(motif: MakeConfig) -> None:
    frame = pd.DataFrame({"candidate": [3], "fidelity": ["half"], "agreement": [True]})
    with open_campaign(motif()) as campaign, pytest.raises(DataError) as raised:
        import_frame(campaign, frame)
    assert raised.value.message.startswith("DataFrame: 1 row cannot be used")
    assert "row 1, column candidate: 3 is not a text" in raised.value.message
    assert "row 1, column agreement: True is no finite number" in raised.value.message


def test_what_an_environment_raises_is_named_and_nothing_is_imported(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(STRICT)
    config = parse_config(motif_settings(tmp_path, problem={"name": f"{path}:problem"}))
    with open_campaign(config) as campaign:
        with pytest.raises(ConfigError, match=r"ValueError: no Z \(mine\.py, line 7\)") as raised:
            import_file(campaign, data(tmp_path, HEADER + "CCCCCCCC,half,1\nZZZZZZZZ,half,1\n"))
        assert "raise InvalidKeyError" in raised.value.hint
        assert campaign.store.outline() == []


def test_an_import_that_breaks_leaves_nothing(
    motif: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_campaign(motif()) as campaign:

        def breaks(*_: Any) -> Any:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("mfal.ledger.store._answer", breaks)
            with pytest.raises(KeyboardInterrupt):
                import_file(campaign, data(tmp_path, GOOD))
        assert campaign.store.rounds() == [] and campaign.store.asked() == set()
        assert import_file(campaign, data(tmp_path, GOOD)).round == 0


def test_a_share_of_the_budget_is_spent_on_the_design(motif: MakeConfig) -> None:
    config = motif(initial={"share": 0.3})
    with open_campaign(config) as campaign:
        run_rounds(campaign, 1)
        assert campaign.store.spent() == 42
    # 30 as by hand: 15 x 1 + 5 x 3.
    assert counts(config, 0) == {"half": 15, "whole": 5}
