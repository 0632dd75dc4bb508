"""Oracles that answer nothing, or nothing at the target."""

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mfal.answered import Patience
from mfal.campaign import Campaign, open_campaign
from mfal.config import CampaignConfig, parse_config
from mfal.errors import OracleError
from mfal.ladder import examine_ladder
from mfal.progress import Progress
from mfal.round import Answer, Steps, run_rounds, score
from mfal.scoring.scorer import IN_A_ROW, Scorer
from mfal.types import Outcome, Query
from tests.commands import mfal
from tests.integration.rounds import MakeConfig, run
from tests.integration.test_cli import write
from tests.support import motif_settings

BROKEN = """
from mfal import Fidelity, Objective, Problem, oracle


@oracle(
    fidelities=[Fidelity("half", 1, 0.5), Fidelity("whole", 3, 1.0)],
    objectives=[Objective("agreement", "places", "max")],
)
def score(key: str) -> float:
    raise RuntimeError("no licence")


def problem():
    def environment():
        from mfal.envs.sequence import SequenceEnvironment

        return SequenceEnvironment(alphabet="ACGT", length=8)

    return Problem("broken", score, environment)
"""


def broken(folder: Path) -> dict[str, Any]:
    path = folder / "broken.py"
    path.write_text(BROKEN)
    return motif_settings(folder, problem={"name": f"{path}:problem"})


# It breaks after so many answers, and works again where a file says so.
BREAKING = """
import time
from pathlib import Path

from mfal import Fidelity, Objective, Problem, oracle

HERE = Path(__file__).parent


@oracle(
    fidelities=[Fidelity("half", 1, 0.5), Fidelity("whole", 3, 1.0)],
    objectives=[Objective("agreement", "places", "max")],
)
def score(key: str) -> float:
    with (HERE / "calls.txt").open("a") as file:
        file.write(key + "\\n")
    asked = len((HERE / "calls.txt").read_text().split())
    if asked > 18 and not (HERE / "mended").exists():
        time.sleep(0.1)  # answers come in by and by
        raise ConnectionError("licence server down")
    return float(key.count("A"))


def problem():
    def environment():
        from mfal.envs.sequence import SequenceEnvironment

        return SequenceEnvironment(alphabet="ACGT", length=8)

    return Problem("breaking", score, environment)
"""


def test_an_oracle_that_breaks_is_not_asked_until_the_money_is_gone(tmp_path: Path) -> None:
    (tmp_path / "breaking.py").write_text(BREAKING)
    settings = motif_settings(
        tmp_path,
        problem={"name": f"{tmp_path / 'breaking.py'}:problem"},
        budget__total=400,
        batch={"queries": 60},
        sampler="random",
        surrogate=None,
        scoring={"chunk_size": 1, "workers": 1},
    )
    config = write(tmp_path, settings)
    done = mfal("campaign", config, "--no-prefect", cwd=tmp_path)
    assert done.returncode == 2
    assert re.search(r"the last (\d+) queries have all failed, \1 with: Connection", done.stderr)
    with open_campaign(parse_config(settings), to_read=True) as campaign:
        failed = sum(o.outcome.values is None for o in campaign.store.observations())
        left = campaign.store.pending(1)
    assert failed >= IN_A_ROW and left
    (tmp_path / "mended").touch()
    done = mfal("round", config, "--no-prefect", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with open_campaign(parse_config(settings), to_read=True) as campaign:
        answered = {o.query for o in campaign.store.observations() if o.outcome.values}
        assert set(left) <= answered


EXPIRING = BROKEN.replace(
    '    raise RuntimeError("no licence")',
    """    if (Path(__file__).parent / "expired").exists():
        raise RuntimeError("no licence")
    return float(key.count("A"))""",
).replace("from mfal import F", "from pathlib import Path\n\nfrom mfal import F", 1)


def expiring(folder: Path, **changes: Any) -> dict[str, Any]:
    (folder / "expiring.py").write_text(EXPIRING)
    settings = {"sampler": "random", "surrogate": None, "budget__total": 800} | changes
    problem = {"name": f"{folder / 'expiring.py'}:problem"}
    return motif_settings(folder, problem=problem, scoring={"workers": 1}, **settings)


def failed(config: CampaignConfig) -> int:
    with open_campaign(config, to_read=True) as campaign:
        return sum(o.outcome.values is None for o in campaign.store.observations())


def test_an_oracle_that_fails_at_once_is_not_paid_a_batch_for_it(tmp_path: Path) -> None:
    config = parse_config(expiring(tmp_path, batch={"queries": 150}, proposals=400))
    run(config, 1)  # the design and a batch, answered
    (tmp_path / "expired").touch()
    for times in (1, 2):
        with pytest.raises(OracleError, match=r"the last \d+ queries have all failed"):
            run(config, 1)
        assert IN_A_ROW * times <= failed(config) < 2 * IN_A_ROW * times
    with open_campaign(config, to_read=True) as campaign:
        assert len(campaign.store.pending(2)) > 100


def test_a_round_that_ends_in_failures_is_finished_and_then_the_run_ends(tmp_path: Path) -> None:
    config = parse_config(expiring(tmp_path, batch={"queries": IN_A_ROW}))
    run(config, 1)
    (tmp_path / "expired").touch()
    with pytest.raises(OracleError, match="the last 20 queries have all failed, 20 with: Runtime"):
        run(config, 1)
    with open_campaign(config, to_read=True) as campaign:
        assert [r.finished for r in campaign.store.rounds()] == [True, True, True]
    (tmp_path / "expired").unlink()
    assert run(config, 1) == [3]


ANSWER, FAILURE = Outcome((1.0,), None, 0.0), Outcome(None, "odd", 0.0)


def impatient(patience: Patience) -> bool:
    try:
        patience.check("motif")
    except OracleError as error:
        assert "queries have all failed" in error.message and "mfal check motif" in error.hint
        return True
    return False


def test_failures_between_answers_are_no_outage() -> None:
    patience = Patience()
    queries = [Query(f"K{i}", "half") for i in range(100)]
    patience.ask(queries)
    failing = {q for i, q in enumerate(queries) if i % 3}
    # Those that fail are asked again, and so come in last, all together.
    patience.note((q, ANSWER) for q in queries if q not in failing)
    patience.note((q, FAILURE) for q in failing)
    assert len(failing) > IN_A_ROW and not impatient(patience)


def test_failures_one_after_the_other_are_an_outage_over_rounds_and_fidelities() -> None:
    patience = Patience()
    mixed = [Query(f"K{i}", "half" if i % 2 else "whole") for i in range(20)]
    patience.ask(mixed)
    # The target is asked first here, and breaks nothing; then the other fidelity fails.
    patience.note((q, ANSWER if q.fidelity == "whole" else FAILURE) for q in mixed)
    assert not impatient(patience)
    following = [Query(f"L{i}", "half") for i in range(IN_A_ROW - 10)]
    patience.ask(following)
    patience.note((q, FAILURE) for q in following[:-1])
    assert not impatient(patience)
    patience.note([(following[-1], FAILURE)])
    assert impatient(patience)


@pytest.mark.parametrize("step", ["score", "append"])
def test_a_ctrl_c_between_an_answer_and_its_commit_loses_none(step: str, tmp_path: Path) -> None:
    settings = motif_settings(tmp_path, sampler="random", surrogate=None)
    answered: list[Answer] = []

    def interrupted_after_it(campaign: Campaign, asker: Scorer) -> list[Answer]:
        answered.extend(score(campaign, asker))
        raise KeyboardInterrupt

    def interrupted_before_it(campaign: Campaign, answers: Sequence[Answer]) -> None:
        answered.extend(answers)
        raise KeyboardInterrupt

    interrupted = {"score": interrupted_after_it, "append": interrupted_before_it}[step]
    with open_campaign(parse_config(settings)) as campaign:
        with pytest.raises(KeyboardInterrupt):
            run_rounds(campaign, 1, steps=replace(Steps(), **{step: interrupted}))
        recorded = {o.query: o.outcome.values for o in campaign.store.observations()}
        assert answered and recorded == {query: outcome.values for query, outcome, _ in answered}


def test_an_answer_that_came_in_while_a_display_broke_is_not_lost(tmp_path: Path) -> None:
    settings = motif_settings(
        tmp_path,
        sampler="random",
        surrogate=None,
        scoring__chunk_size=1,
        problem__options__slow=0.3,
    )
    asker: list[Scorer] = []
    came_in: list[Query] = []

    def watched(campaign: Campaign, it: Scorer) -> list[Answer]:
        asker.append(it)
        return score(campaign, it)

    class Breaking(Progress):
        def scored(self, done: int, total: int) -> None:
            if done:
                came_in.extend(query for query, _ in asker[0].unsettled())
                while asker[0].waiting and len(came_in) == done:
                    came_in[:] = [query for query, _ in asker[0].unsettled()]
                raise RuntimeError("the display breaks")

    with open_campaign(parse_config(settings)) as campaign:
        with pytest.raises(RuntimeError, match="the display breaks"):
            run_rounds(campaign, 1, steps=Steps(score=watched), progress=Breaking())
        assert set(came_in) <= {o.query for o in campaign.store.observations()}


BUSY = """
from mfal import Fidelity, Objective, Problem, oracle
from mfal.errors import TransientError


@oracle(
    fidelities=[Fidelity("half", 1, 0.5), Fidelity("whole", 3, 1.0)],
    objectives=[Objective("agreement", "places", "max")],
)
def score(key: str) -> float:
    if key[0] in "AC":
        raise TransientError("busy")
    return float(key.count("A"))


def problem():
    def environment():
        from mfal.envs.sequence import SequenceEnvironment

        return SequenceEnvironment(alphabet="ACGT", length=8)

    return Problem("busy", score, environment)
"""


def test_a_round_whose_failures_come_in_last_is_finished(tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(BUSY)
    settings = motif_settings(
        tmp_path,
        problem={"name": f"{tmp_path / 'busy.py'}:problem"},
        initial={"queries": {"half": 90, "whole": 6}},
        batch={"queries": 60},
        budget__total=300,
        sampler="random",
        surrogate=None,
        scoring={"chunk_size": 1, "workers": 1, "retries": 1, "backoff_seconds": 0.5},
    )
    with open_campaign(parse_config(settings)) as campaign:
        assert run_rounds(campaign, 1) == [1]
        seen = campaign.store.observations()
    assert sum(o.outcome.values is None for o in seen) > 2 * IN_A_ROW


def fails_at_target(*arguments: Any) -> Any:
    return [
        (q, Outcome(None, "out of order", 0.0), b) if q.fidelity == "whole" else (q, o, b)
        for q, o, b in score(*arguments)
    ]


def test_no_round_is_begun_where_everything_has_failed(tmp_path: Path) -> None:
    settings = broken(tmp_path)
    config = write(tmp_path, settings)
    for command in ("round", "campaign", "round"):  # whatever is typed next
        done = mfal(command, config, "--no-prefect", cwd=tmp_path)
        assert done.returncode == 2, done.stdout
        assert "all 18 queries asked so far have failed, 18 with: RuntimeError: no licence" in (
            done.stderr
        )
        assert "begin again under another `name`" in done.stderr
    with open_campaign(parse_config(settings)) as campaign:
        assert campaign.store.spent() == 30  # the design, and nothing after it
        assert [r.kind for r in campaign.store.rounds()] == ["initial"]


def test_a_single_answer_lets_a_campaign_go_on(motif: MakeConfig) -> None:
    config = motif(initial={"queries": {"half": 1, "whole": 1}})
    assert run(config, 1, Steps(score=fails_at_target)) == [1]


def test_every_round_warns_where_the_target_answers_nothing(
    motif: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    config = motif(initial={"queries": {"half": 12, "whole": 10}})
    with caplog.at_level(logging.WARNING, "mfal.answered"):
        assert run(config, 2, Steps(score=fails_at_target)) == [1, 2]
    said = [r.getMessage() for r in caplog.records if r.name == "mfal.answered"]
    assert len(said) == 2 and said[0].startswith("all 10 queries at whole, the target, have failed")
    assert "10 with: out of order" in said[0]
    caplog.clear()
    with caplog.at_level(logging.WARNING, "mfal.answered"):
        run(config, 1)  # now it answers
        run(config, 1)
    assert [r.name for r in caplog.records].count("mfal.answered") == 1


def test_the_commonest_failure_is_printed_with_the_state(tmp_path: Path) -> None:
    settings = motif_settings(tmp_path, problem__options={"trouble": "raise"})
    done = mfal("round", write(tmp_path, settings), "--no-prefect", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the commonest failure (" in done.stdout
    assert "RuntimeError: this word begins with A" in done.stdout


def test_a_ladder_whose_target_answers_nothing_is_no_ladder(tmp_path: Path) -> None:
    with pytest.raises(OracleError, match=r"all 12 queries at whole.*12 with: RuntimeError: no l"):
        examine_ladder(parse_config(broken(tmp_path)), n=12)


def test_a_campaign_that_is_over_names_no_round_that_there_is_not(tmp_path: Path) -> None:
    settings = motif_settings(tmp_path, stop__rounds=1)
    config = write(tmp_path, settings)
    first = mfal("campaign", config, "--no-prefect", cwd=tmp_path)
    assert "round 1 " in first.stdout and "round 2" not in first.stdout
    again = mfal("campaign", config, "--no-prefect", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "No further round: 1 round is done" in again.stdout
    assert "round 2" not in again.stdout and "opening" not in again.stdout
