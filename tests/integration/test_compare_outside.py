"""Scoring outside the budget with an oracle that breaks, and with candidates that fail."""

import logging
from pathlib import Path
from typing import NoReturn

import pytest

from mfal.compare import Comparison, load_comparison, runs_of, score_outside
from mfal.compare.outside import true_values_of
from mfal.errors import OracleError
from mfal.ledger.reading import read_ledger
from mfal.scoring.scorer import IN_A_ROW
from tests.integration.comparisons import play, written

# Where there is a file, only the words in it have a value at the target.
ORACLE = """
from pathlib import Path

from mfal import Fidelity, Objective, Problem, oracle

HERE = Path(__file__).parent


@oracle(
    fidelities=[Fidelity("half", 1, 0.5), Fidelity("whole", 3, 1.0)],
    objectives=[Objective("agreement", "places", "max")],
)
def score(key: str, fidelity: Fidelity) -> float:
    only = HERE / "only.txt"
    if fidelity.name == "whole" and only.exists() and key not in only.read_text().split():
        raise RuntimeError("licence expired")
    return float(key.count("A"))


def problem():
    def environment():
        from mfal.envs.sequence import SequenceEnvironment

        return SequenceEnvironment(alphabet="ACGT", length=8)

    return Problem("expiring", score, environment)
"""


@pytest.fixture
def ended(tmp_path: Path) -> Comparison:
    """A comparison whose run has ended, with many candidates that nobody measured at the target."""
    (tmp_path / "oracle.py").write_text(ORACLE)
    path = written(
        tmp_path,
        problem={"name": f"{tmp_path / 'oracle.py'}:problem"},
        initial={"queries": {"half": 2 * IN_A_ROW, "whole": 3}},
    )
    methods = "methods={random: {surrogate: null, sampler: random}}"
    comparison = load_comparison(path, [methods, "seeds=[0]"])
    play(comparison)
    return comparison


def recorded(comparison: Comparison) -> list[tuple[str, bool]]:
    """Candidates that the ledger outside has an outcome of, and whether it is a value."""
    url = f"sqlite:///{comparison.folder / 'outside' / 'ledger.db'}"
    (run,) = runs_of(comparison)
    identity = {"problem": run.config.problem.model_dump(mode="json")}
    with read_ledger(url, "outside", identity) as ledger:
        return [(o.query.key, o.outcome.values is not None) for o in ledger.observations()]


def test_an_outage_is_kept_as_no_failure_of_a_candidate(ended: Comparison, tmp_path: Path) -> None:
    before = true_values_of(ended)
    (tmp_path / "only.txt").touch()
    with pytest.raises(OracleError, match=r"queries have all failed, .* licence expired"):
        score_outside(ended)
    assert recorded(ended) == []
    (tmp_path / "only.txt").unlink()
    score_outside(ended)
    found = true_values_of(ended)
    assert found.of.keys() == found.asked and len(found.of) - len(before.of) > IN_A_ROW


def test_what_was_scored_is_left_alone(ended: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    score_outside(ended)
    before = recorded(ended)

    def nobody(*_: object) -> NoReturn:
        raise AssertionError("somebody is asked")

    monkeypatch.setattr("mfal.compare.outside.scorer", nobody)
    score_outside(ended)
    assert recorded(ended) == before


def test_candidates_that_fail_one_after_the_other_are_no_outage(
    ended: Comparison, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = true_values_of(ended)
    (tmp_path / "only.txt").write_text(" ".join(before.of))
    with caplog.at_level(logging.WARNING, "mfal.compare"):
        score_outside(ended)
    outside = recorded(ended)
    assert len(outside) > IN_A_ROW and not any(answered for _, answered in outside)
    assert true_values_of(ended).asked == before.asked | {key for key, _ in outside}
    (said,) = [r.getMessage() for r in caplog.records if r.name == "mfal.compare.outside"]
    n = len(outside)
    assert said.startswith(f"{n} of {n} candidates that were scored outside the budget have failed")
