"""A cheap fidelity that is low where the target is high: told, and never called worth its cost."""

import logging
from pathlib import Path

import pytest

from mfal.config import CampaignConfig, parse_config
from mfal.ladder import examine_ladder
from tests.integration.rounds import run
from tests.support import motif_settings

PROBLEM = """
from mfal import Fidelity, Objective, Problem, oracle

@oracle(
    fidelities=[Fidelity("docking", 1, 0.5), Fidelity("affinity", 10, 1.0)],
    objectives=[Objective("affinity", "", "max")],
)
def score(key: str, fidelity: Fidelity) -> float:
    return {sign} * key[:4].count("A") if fidelity.name == "docking" else key.count("A")

def problem() -> Problem:
    def environment():
        from mfal.envs.sequence import SequenceEnvironment

        return SequenceEnvironment(alphabet="ACGT", length=8)

    return Problem("binding", score, environment)
"""


def campaign(folder: Path, sign: int) -> CampaignConfig:
    path = folder / "binding.py"
    path.write_text(PROBLEM.format(sign=sign))
    design = {"queries": {"docking": 30, "affinity": 20}}
    problem = {"name": f"{path}:problem"}
    return parse_config(
        motif_settings(folder, problem=problem, initial=design, budget={"total": 1000})
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_a_round_tells_of_a_fidelity_of_the_opposite_sign(
    sign: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "mfal"):
        run(campaign(tmp_path, sign))
    assert ("docking runs against affinity" in caplog.text) == (sign == -1)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_fidelity_of_the_opposite_sign_is_worth_no_cost(sign: int, tmp_path: Path) -> None:
    report = examine_ladder(campaign(tmp_path, sign), n=200)
    docking = report.rungs[0]
    assert docking.agreement is not None and docking.agreement.pearson is not None
    assert abs(docking.agreement.pearson) == pytest.approx(0.5**0.5, abs=0.15)
    assert docking.used == (sign == 1)
    assert (report.variance_ratio < 1) == (sign == 1)
