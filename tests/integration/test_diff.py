"""`mfal diff`: the first difference between two campaigns."""

import json

from tests.integration.campaigns import Folder, play


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
        {"rounds": 1, "queries": 7, "answered": 7, "spent": 17.0},
        {"rounds": 0, "queries": 7, "answered": 6, "spent": 14.0},
    ]
    assert found["contents"][0]["sha256"] != found["contents"][1]["sha256"]
    first = found["first"]
    assert first["where"] == "round 1, query 4"
    assert (first["first"]["values"], first["second"]["values"]) == ("[4.0]", None)

    code, out = folder.call("diff", "one", "other")
    lines = out.splitlines()
    assert code == 1 and lines[-1] == "they differ"
    assert lines[:4] == [
        "batch.cost: 12.0 | 11.5", "budget.total: 100.0 | 101.0", "rounds: 1 | 0", "queries: 7"
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


def test_diff_counts_rounds_as_status_does(folder: Folder) -> None:
    play(folder.add("one"))
    _, out = folder.call("diff", "one", "one", "--json")
    (status,) = folder.status("one")
    assert json.loads(out)["contents"][0]["rounds"] == status["rounds"] == 1


def test_diff_names_only_the_options_that_are_filled_in(folder: Folder) -> None:
    folder.add("one", sampler="pool", costs={"half": 2})
    folder.add("other", sampler={"name": "pool", "options": {"file": "keys.txt"}})
    _, out = folder.call("diff", "one", "other", "--json")
    assert json.loads(out)["fields"] == [
        {"where": "costs.half", "first": 2.0, "second": None},
        {"where": "sampler.options.file", "first": None, "second": "keys.txt"},
    ]
