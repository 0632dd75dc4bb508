"""Rounds with failing oracles, with data that allow no surrogate, and rounds that are cut short."""

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import ne
from pathlib import Path
from typing import Any
from zlib import crc32

import psutil
import pytest
import torch
import yaml

from mfal.budget import total_cost
from mfal.campaign import open_campaign
from mfal.config import CampaignConfig, parse_config
from mfal.dataset import Dataset, build_dataset
from mfal.errors import InvalidKeyError
from mfal.failures import failed_candidates
from mfal.learn import best_measured, best_promising, fit
from mfal.propose import make_crowd, promotions, random_keys
from mfal.round import Steps, score
from mfal.types import Fidelity, Objective, Observation, Outcome, Query
from tests.integration.rounds import MakeConfig, ledger, run
from tests.support import motif_settings


@pytest.mark.parametrize(
    "trouble",
    [
        "raise",
        "nan",
        "shorter",
        pytest.param("crash", marks=pytest.mark.slow),
        pytest.param("hang", marks=pytest.mark.slow),
    ],
)
def test_a_failing_oracle_is_recorded_and_charged_and_the_round_goes_on(
    tmp_path: Path, trouble: str
) -> None:
    settings = motif_settings(
        tmp_path, problem__options={"trouble": trouble}, scoring__timeout_seconds=2.0
    )
    config = parse_config(settings)
    assert run(config) == [1]
    rows = ledger(config)
    failed = [row for row in rows if row[8] is not None]
    assert {row[4][0] for row in failed} == {"A"}
    assert not [row for row in rows if row[4][0] == "A" and row[8] is None]
    assert all(row[9] == row[6] for row in rows)
    with open_campaign(config) as campaign:
        assert campaign.store.spent() == total_cost(row[6] for row in rows) == 42


def test_a_candidate_that_is_written_otherwise_is_not_bought(motif: MakeConfig) -> None:
    config = motif(problem="tests.problems.two_ways:problem")
    again = Steps(propose=lambda *_: [Query("TTTTAAAA", "half"), Query("TTTTAAAA", "whole")])
    with pytest.raises(InvalidKeyError) as raised:
        run(config, 1, again)
    said = "round 1: 'TTTTAAAA' is not how this candidate is written"
    assert (raised.value.message, raised.value.hint) == (said, "write 'AAAATTTT'")
    assert {row[0] for row in ledger(config)} == {0}


def test_the_best_known_are_those_with_the_best_values_at_their_highest_fidelity() -> None:
    answers = {("mirage", "low"): 10.0, ("mirage", "high"): -5.0, ("good", "low"): 1.0}
    answers |= {("good", "high"): 3.0, ("cheap", "low"): 2.0}
    observations = [
        Observation(Query(*query), Outcome((value,), None, 0.0), 0, 1.0, "")
        for query, value in answers.items()
    ]
    ladder = (Fidelity("low", 1.0, 0.5), Fidelity("high", 7.0, 1.0))
    for order in (observations, observations[::-1]):
        data = build_dataset(
            order, ladder, Objective("value", "", "max"), lambda keys: torch.zeros(len(keys), 1)
        )
        assert best_measured(data, 3) == ("good", "cheap", "mirage")


def test_failures_are_free_where_the_configuration_says_so(tmp_path: Path) -> None:
    settings = motif_settings(
        tmp_path, problem__options={"trouble": "raise"}, budget__charge_failures=False
    )
    config = parse_config(settings)
    run(config)
    rows = ledger(config)
    assert {row[9] for row in rows if row[8] is not None} == {0.0}
    assert all(row[9] == row[6] for row in rows if row[8] is None)


def constant(*arguments: Any) -> Any:
    answers = score(*arguments)
    return [(q, type(o)((3.0,), None, o.seconds), b) for q, o, b in answers]


@pytest.mark.parametrize(
    ("queries", "answer", "why"),
    [
        ({"half": 1, "whole": 1}, score, "2 observations are too few"),
        ({"half": 12, "whole": 6}, constant, "all 18 utilities are 3"),
    ],
    ids=["two points", "constant values"],
)
def test_data_that_allow_no_surrogate_lead_to_a_random_batch_that_says_so(
    motif: MakeConfig,
    caplog: pytest.LogCaptureFixture,
    queries: dict[str, int],
    answer: Callable[..., Any],
    why: str,
) -> None:
    config = motif(initial={"queries": queries})
    with caplog.at_level(logging.WARNING, "mfal"):
        assert run(config, 1, Steps(score=answer)) == [1]
    with open_campaign(config) as campaign:
        record = campaign.store.rounds()[1].record
        batch = [o for o in campaign.store.observations() if o.round == 1]
    assert record["fallback"].startswith("random batch: ") and why in record["fallback"]
    assert record["held_out"] == {} and record["surrogate"] == {}
    assert sum(of["queries"] for of in record["batch"].values()) == len(batch) > 0
    assert total_cost(o.cost for o in batch) <= 12
    (warning,) = [r.getMessage() for r in caplog.records if r.name == "mfal.learn"]
    assert warning.startswith("no surrogate this round, the batch is random: ") and why in warning
    # Once the data allow one, the next round has a surrogate again.
    if answer is score:
        run(config)
        with open_campaign(config) as campaign:
            assert campaign.store.rounds()[2].record["fallback"] == ""


def test_a_round_that_breaks_anywhere_is_finished_by_the_next_run(tmp_path: Path) -> None:
    whole = parse_config(motif_settings(tmp_path / "whole", problem__options={}))
    broken = parse_config(motif_settings(tmp_path / "broken", problem__options={}))
    run(whole, 2)

    def breaks_at(name: str, call: int) -> Steps:
        step, seen = getattr(Steps(), name), [0]

        def breaking(*arguments: Any) -> Any:
            seen[0] += 1
            if seen[0] == call:
                raise KeyboardInterrupt
            return step(*arguments)

        return Steps(**{name: breaking})

    for name, call in (("score", 2), ("append", 2), ("fit", 1), ("train", 1), ("propose", 1)):
        with pytest.raises(KeyboardInterrupt):
            run(broken, 2, breaks_at(name, call))
    with open_campaign(broken) as campaign:
        done = len([r for r in campaign.store.rounds() if r.finished and r.number])
    run(broken, 2 - done)
    assert ledger(broken) == ledger(whole)


def test_a_hanging_worker_ends_with_its_campaign(tmp_path: Path) -> None:
    options = {"calls": str(tmp_path / "calls.txt"), "trouble": "hang"}
    path = tmp_path / "hang.yaml"
    path.write_text(yaml.safe_dump(motif_settings(tmp_path, problem__options=options)))
    process = _start_round(path, ["--no-prefect"])
    _wait_for_calls(tmp_path / "calls.txt", 1)
    children = psutil.Process(process.pid).children()
    assert children
    process.kill()  # the process alone, not its group
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive


def test_who_stops_a_round_is_told_what_remains(tmp_path: Path) -> None:
    path = tmp_path / "slow.yaml"
    path.write_text(yaml.safe_dump(motif_settings(tmp_path, problem__options__slow=0.2)))
    process = _start_round(path, ["--no-prefect"], stderr=subprocess.PIPE)
    _wait_for_calls(tmp_path / "calls.txt", 2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.decode().splitlines()[-1] == (
        "stopped: what was answered is recorded, and the same command goes on"
    )


def _start_round(
    path: Path, how: Sequence[str], stderr: int | None = None
) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "mfal", "round", str(path), *how]
    # A group of its own, so that the worker process is killed with it; and Ctrl-C is heeded, which
    # who is started in the background of a shell ignores.
    return subprocess.Popen(
        command,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def _wait_for_calls(path: Path, n: int) -> None:
    deadline = time.monotonic() + 120
    while len(_read(path)) < n:
        assert time.monotonic() < deadline, "the round did not get that far"
        time.sleep(0.02)


def _read(path: Path) -> Sequence[str]:
    return path.read_text().splitlines() if path.exists() else []


def fails_above(*arguments: Any) -> Any:
    """Words that begin with A have a value at the cheap fidelity alone."""
    return [
        (q, type(o)(None, "too long", o.seconds), b)
        if q.fidelity == "whole" and q.key[0] == "A"
        else (q, o, b)
        for q, o, b in score(*arguments)
    ]


def test_what_failed_is_not_promoted_and_leaves_room_for_others_like_it(
    motif: MakeConfig,
) -> None:
    config = motif(
        budget={"total": 200},
        initial={"queries": {"half": 60, "whole": 40}},
        diversity={"at_most": 0.8},
    )
    run(config, 1, Steps(score=fails_above))
    with open_campaign(config) as campaign:
        fitted = fit(campaign, 0)
        data, surrogate = fitted.data, fitted.surrogate
        assert surrogate is not None
        failed = {key for key in data.keys if key[0] == "A"} & failed_candidates(
            campaign.store.observations(), campaign.ladder
        )
        # A letter from each of these, and from nothing else that is known.
        close = [
            key[:-1] + letter
            for key in sorted(failed)
            for letter in "ACGT"
            if not any(sum(map(ne, key[:-1] + letter, o)) < 2 for o in data.keys if o != key)
        ]
        queries = [Query(key, "whole") for key in close]

        def admitted(data: Dataset) -> set[str]:
            crowd = make_crowd(campaign, data, surrogate, queries)
            assert crowd is not None
            return {key for key in close if crowd.admits(key, [])}

        assert len(close) > 5
        assert not failed & set(promotions(campaign, data, surrogate))
        assert admitted(data) == set(close)
        unknown = replace(data, failed=frozenset())
        assert failed <= set(promotions(campaign, unknown, surrogate))
        assert admitted(unknown) < set(close)


def fails_on_the_right(*arguments: Any) -> Any:
    """At the target there is nothing to measure where x_1 > 5, of Branin's three minima one."""
    return [
        (q, type(o)(None, "no contact", o.seconds), b)
        if q.fidelity == "branin" and int(q.key.split(",")[0]) > 66
        else (q, o, b)
        for q, o, b in score(*arguments)
    ]


def fails_by_chance(*arguments: Any) -> Any:
    """Three words in ten have no value, whatever they are like."""
    return [
        (q, type(o)(None, "bad luck", o.seconds), b)
        if crc32(q.key.encode()) % 10 < 3
        else (q, o, b)
        for q, o, b in score(*arguments)
    ]


def test_failures_by_chance_are_expected_of_new_candidates_as_often_as_they_are(
    motif: MakeConfig,
) -> None:
    config = motif(fidelities=["whole"], initial={"queries": {"whole": 200}}, budget={"total": 620})
    run(config, 1, Steps(score=fails_by_chance))
    with open_campaign(config) as campaign:
        asked = [o.query.key for o in campaign.store.observations()]
        feasibility = fit(campaign, 0).feasibility
        assert feasibility is not None
        new = random_keys(campaign, 300, 5, without=asked)
        assert float(feasibility(new)[:, -1].mean()) == pytest.approx(0.7, abs=0.05)


def failures(config: CampaignConfig) -> tuple[int, int]:
    """How many of the queries at the target failed after the first batch, and how many answered."""
    assert run(config, 3, Steps(score=fails_on_the_right)) == [1, 2, 3]
    failed = [row[8] is not None for row in ledger(config) if row[0] > 1 and row[5] == "branin"]
    return sum(failed), len(failed) - sum(failed)


def test_what_failed_is_not_asked_about_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {
        "problem": "branin",
        "budget": {"total": 100},
        "initial": {"queries": {"low": 40, "mid": 20, "branin": 20}},
        "batch": {"cost": 6, "queries": 20},
        "features": [{"name": "coordinates", "options": {"dimensions": 2, "side": 100}}],
        "surrogate": {"name": "gp", "options": {"kernel": "rbf", "structure": "ar1"}},
        "sampler": {"name": "evolution", "options": {"generations": 16}},
        "data_dir": str(tmp_path),
    }
    config = parse_config({"name": "learnt", **settings})
    failed, answered = failures(config)
    assert answered > 3 * failed
    with open_campaign(config) as campaign:
        known = campaign.store.observations()
        lost = failed_candidates(known, campaign.ladder)
        # Given room for all that is known, only what failed is missing.
        kept = {o.query.key for o in known} - lost
        fitted = fit(campaign, 0)
        assert lost and set(best_measured(fitted.data, len(known))) == kept
        assert fitted.surrogate is not None
        assert set(best_promising(fitted.data, fitted.surrogate)) == kept
    monkeypatch.setattr("mfal.learn.learn_feasibility", lambda *_, **__: None)
    failed, answered = failures(parse_config({"name": "ignored", **settings}))
    assert answered < failed
