"""What the model holds for the best, from data of which all that it should say is known."""

from collections.abc import Collection
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from mfal.campaign import open_campaign
from mfal.config import CampaignConfig, parse_config
from mfal.errors import SurrogateError
from mfal.importing.observations import import_frame
from mfal.recommend import recommend
from mfal.view import View
from tests.commands import mfal
from tests.integration.test_cli import write
from tests.support import motif_settings

PROBLEM = """
from mfal import Fidelity, Objective, Problem, oracle
from mfal.envs.sequence import SequenceEnvironment

@oracle(
    fidelities=[Fidelity("quick", 1, 0.5), Fidelity("slow", 3, 1.0)],
    objectives=[Objective("defects", "", "min")],
)
def score(key: str, fidelity: Fidelity) -> float:
    return 8 - key.count("A")

def problem() -> Problem:
    return Problem("defects", score, lambda: SequenceEnvironment(alphabet="AC", length=8))
"""
WORDS = ["".join(word) for word in product("AC", repeat=8)]


def settings(folder: Path) -> dict[str, object]:
    path = folder / "defects.py"
    path.write_text(PROBLEM)
    return motif_settings(
        folder,
        name="defects",
        problem={"name": f"{path}:problem"},
        initial={"queries": {"quick": 1, "slow": 1}},
        features=[{"name": "kmers", "options": {"alphabet": "AC", "k": 1}}],
    )


def measured(config: CampaignConfig, failed: Collection[str] = ()) -> None:
    """Every second word at the cheap fidelity, every eighth at the target, without noise.

    The best is not asked at the target, except where it is among those that failed there.
    """
    rows = [
        answered(word, fidelity)
        for fidelity, step in (("quick", 2), ("slow", 8))
        for word in WORDS[::step]
        if fidelity == "quick" or word not in {WORDS[0], *failed}
    ]
    broken = {"fidelity": "slow", "defects": None, "error": "breaks"}
    with open_campaign(config) as campaign:
        import_frame(
            campaign, pd.DataFrame([*rows, *({"candidate": word} | broken for word in failed)])
        )


def answered(word: str, fidelity: str) -> dict[str, object]:
    defects = 8.0 - word.count("A")
    return {"candidate": word, "fidelity": fidelity, "defects": defects, "error": None}


def test_the_best_is_recommended_though_the_target_was_not_asked(tmp_path: Path) -> None:
    config = parse_config(settings(tmp_path))
    measured(config)
    with open_campaign(config, to_read=True) as campaign:
        found = recommend(campaign, 20)
    assert found[0].candidate == "AAAAAAAA" and found[0].measured is None
    assert found[0].mean == pytest.approx(0, abs=0.1)
    assert [r.mean for r in found] == sorted(r.mean for r in found)
    for r in found:
        assert r.mean == pytest.approx(8 - r.candidate.count("A"), abs=0.1)
        assert 0 < r.sd < 0.5
        at_target = r.candidate in WORDS[8::8]
        assert r.measured == (8 - r.candidate.count("A") if at_target else None)
        assert r.probability == 1
    table = View(config).recommended(20)
    assert list(table.columns) == ["candidate", "mean", "sd", "measured", "probability"]
    assert table["candidate"].tolist() == [r.candidate for r in found]


def test_what_failed_at_the_target_is_not_recommended(tmp_path: Path) -> None:
    config = parse_config(settings(tmp_path))
    measured(config, failed=["AAAAAAAA"])
    with open_campaign(config, to_read=True) as campaign:
        keys = [r.candidate for r in recommend(campaign, 500)]
    assert len(keys) == 127 and "AAAAAAAA" not in keys


def test_a_recommendation_says_how_probable_it_is_to_have_a_value(tmp_path: Path) -> None:
    given = settings(tmp_path)
    config = parse_config(given)
    measured(config, failed=[word for word in WORDS[8::8] if word.count("A") >= 6])
    with open_campaign(config, to_read=True) as campaign:
        found = {r.candidate: r for r in recommend(campaign, 500)}
    best = found["AAAAAAAA"]
    assert next(iter(found.values())) == best and best.probability < 0.5  # the order is the mean's
    assert all(r.probability == 1 for r in found.values() if r.measured is not None)
    unknown = [r for r in found.values() if r.measured is None]
    assert all(r.probability > 0.5 for r in unknown if r.candidate.count("A") <= 4)
    done = mfal("recommend", write(tmp_path, given), "-n", "3", cwd=tmp_path)
    assert "has a value" in done.stdout
    (row,) = [line for line in done.stdout.splitlines() if "AAAAAAAA" in line]
    assert row.strip("│ ").endswith(f"{best.probability:.0%}")


def test_of_a_list_those_that_were_not_asked_are_recommended_too(tmp_path: Path) -> None:
    listed = tmp_path / "words.txt"
    listed.write_text("\n".join([*WORDS[:4], *WORDS[60:]]))  # every second one was asked
    config = parse_config(
        settings(tmp_path) | {"sampler": {"name": "pool", "options": {"file": str(listed)}}}
    )
    rows = [
        answered(word, fidelity)
        for fidelity, step in (("quick", 2), ("slow", 4))
        for word in WORDS[60::step]
    ]
    rows.append({"candidate": WORDS[1], "fidelity": "slow", "defects": None, "error": "breaks"})
    with open_campaign(config) as campaign:
        import_frame(campaign, pd.DataFrame(rows))
    with open_campaign(config, to_read=True) as campaign:
        found = recommend(campaign, 500, unasked=True)
        asked = recommend(campaign, 500)
    assert {r.candidate for r in found} == {*WORDS[:4], *WORDS[60:]} - {WORDS[1]}
    assert {r.candidate for r in asked} == {*WORDS[60::2]}
    assert found[0].candidate == WORDS[0] and found[0].measured is None
    expected = {r.candidate: r.mean for r in found}
    assert {r.candidate: r.mean for r in asked}.items() <= expected.items()
    for word, mean in expected.items():
        assert mean == pytest.approx(8 - word.count("A"), abs=0.2)
    view = View(config).recommended(500, unasked=True)
    assert view["candidate"].tolist() == [r.candidate for r in found]


def test_where_nothing_is_listed_there_is_no_recommending_what_was_not_asked(
    tmp_path: Path,
) -> None:
    given = settings(tmp_path)
    config = write(tmp_path, given)
    measured(parse_config(given))
    done = mfal("recommend", config, "--unasked", cwd=tmp_path)
    assert done.returncode == 2
    assert "searches no list" in done.stderr and "pool" in done.stderr


def test_those_that_are_like_a_better_one_may_be_left_out(tmp_path: Path) -> None:
    config = parse_config(settings(tmp_path))
    measured(config)
    with open_campaign(config, to_read=True) as campaign:
        keys = [r.candidate for r in recommend(campaign, 4, diverse=0.5)]
    assert keys[0] == "AAAAAAAA"
    # Half of eight letters may be the same, of a shorter edit as much.
    assert keys[1].count("A") == 4


def test_the_command_shows_what_is_expected_and_what_is_known(tmp_path: Path) -> None:
    given = settings(tmp_path)
    config = write(tmp_path, given)
    measured(parse_config(given))
    done = mfal("recommend", config, "-n", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Best 3 at slow by the surrogate" in done.stdout
    (row,) = [line for line in done.stdout.splitlines() if "AAAAAAAA" in line]
    _, expected, _, at_target = (cell.strip() for cell in row.strip("│").split("│"))
    assert abs(float(expected)) < 0.1 and at_target == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"surrogate": None, "sampler": "random"}, "has no surrogate"), ({}, "0 observations")],
)
def test_without_a_model_nothing_is_recommended(
    changes: dict[str, object], said: str, tmp_path: Path
) -> None:
    config = parse_config(settings(tmp_path) | changes)
    with open_campaign(config) as campaign, pytest.raises(SurrogateError, match=said):
        recommend(campaign, 5)
