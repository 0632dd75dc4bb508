"""Whole rounds on a small problem, through the library."""

import logging
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from mfal.budget import total_cost
from mfal.campaign import open_campaign
from mfal.config import CampaignConfig, parse_config
from mfal.errors import LedgerError
from mfal.gfn.base import TrainMetrics
from mfal.gfn.checkpoint import CheckpointError, to_bytes
from mfal.learn import Fitted, fit
from mfal.progress import training_line
from mfal.round import Steps, run_rounds, score
from mfal.select import candidate_queries
from mfal.types import Query
from tests.support import motif_settings

MakeConfig = Callable[..., CampaignConfig]
ReadCalls = Callable[[], list[str]]

# What a ledger holds, without the times at which it was written and how long things took.
LEDGER = """
SELECT r.number, r.kind, r.seed, q.position, q.key, q.fidelity, q.cost,
       o."values", o.error, o.cost, o.backend
FROM queries q JOIN rounds r ON r.id = q.round_id LEFT JOIN outcomes o ON o.query_id = q.id
ORDER BY r.number, q.position
"""


def ledger(config: CampaignConfig) -> list[tuple[Any, ...]]:
    with sqlite3.connect(config.folder / "ledger.db") as connection:
        return connection.execute(LEDGER).fetchall()


def run(config: CampaignConfig, n: int | None = 1, steps: Steps | None = None) -> list[int]:
    with open_campaign(config) as campaign:
        return run_rounds(campaign, n, steps=steps or Steps())


def test_a_first_round_is_the_initial_design_and_a_batch(
    motif: MakeConfig, calls: ReadCalls
) -> None:
    config = motif()
    assert run(config) == [1]
    rows = ledger(config)
    initial = [row for row in rows if row[0] == 0]
    assert Counter(row[5] for row in initial) == {"half": 12, "whole": 6}
    # Nested: whoever was asked at the target was asked below it, too.
    asked = {name: {row[4] for row in initial if row[5] == name} for name in ("half", "whole")}
    assert asked["whole"] < asked["half"]
    batch = [row for row in rows if row[0] == 1]
    assert total_cost(row[6] for row in batch) == 12
    assert len(calls()) == len(rows) == len(set(calls()))


def test_a_second_call_goes_on_and_scores_nothing_twice(
    motif: MakeConfig, calls: ReadCalls
) -> None:
    config = motif()
    run(config)
    before = calls()
    assert run(config) == [2]
    new = calls()[len(before) :]
    assert calls()[: len(before)] == before
    assert not set(new) & set(before)
    assert len(new) == sum(row[0] == 2 for row in ledger(config))


def test_the_same_seed_gives_the_same_ledger_and_another_does_not(tmp_path: Path) -> None:
    ledgers = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        config = parse_config(motif_settings(tmp_path / name, seed=seed, problem__options={}))
        run(config, 2)
        ledgers.append(ledger(config))
    assert ledgers[0] == ledgers[1] != ledgers[2]


def test_the_budget_is_spent_to_the_last_unit_and_not_beyond(motif: MakeConfig) -> None:
    # 12 x 1 + 6 x 3 = 30 for the design, then 12 + 12, and 3 are left.
    config = motif(budget__total=57)
    assert run(config, None) == [1, 2, 3]
    spent = [total_cost(r[9] for r in ledger(config) if r[0] == n) for n in range(4)]
    assert spent == [30, 12, 12, 3]
    assert run(config, None) == []
    with open_campaign(config) as campaign:
        assert campaign.store.spent() == 57
        assert campaign.left == 0


def test_fractions_of_a_unit_are_exact(motif: MakeConfig) -> None:
    # 12 x 0.1 + 6 x 0.3 = 3 for the design; the rest divides into tenths.
    config = motif(costs={"half": 0.1, "whole": 0.3}, budget__total=4.2, batch={"cost": 0.5})
    run(config, None)
    with open_campaign(config) as campaign:
        assert campaign.store.spent() == 4.2


def test_a_batch_may_be_limited_in_number(motif: MakeConfig) -> None:
    config = motif(batch={"queries": 4})
    run(config)
    assert sum(row[0] == 1 for row in ledger(config)) == 4


def test_a_larger_budget_goes_on_with_the_same_ledger(motif: MakeConfig) -> None:
    run(motif(budget__total=42), None)
    assert run(motif(budget__total=54), None) == [2]


def test_a_ledger_of_another_configuration_is_refused(motif: MakeConfig, calls: ReadCalls) -> None:
    run(motif())
    before = calls()
    for change in ({"seed": 2}, {"costs": {"half": 2.0}}, {"initial__queries": {"half": 3}}):
        with pytest.raises(LedgerError, match=f"{next(iter(change)).partition('__')[0]} was"):
            run(motif(**change))
    assert calls() == before


def test_two_engines_do_not_mix_unless_told_to(motif: MakeConfig, tmp_path: Path) -> None:
    # The engine is the problem's choice, not the configuration's: as with `auto`.
    config = motif()
    run(config)
    with sqlite3.connect(config.folder / "ledger.db") as connection:
        connection.execute("DROP TRIGGER outcomes_no_update")
        connection.execute("UPDATE outcomes SET backend = 'another engine'")
    with pytest.raises(LedgerError, match="another engine"):
        run(config)
    assert run(motif(mix_backends=True)) == [2]


@pytest.mark.parametrize("trouble", ["raise", "nan", "shorter", "crash", "hang"])
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


def test_failures_are_free_where_the_configuration_says_so(tmp_path: Path) -> None:
    settings = motif_settings(
        tmp_path, problem__options={"trouble": "raise"}, budget__charge_failures=False
    )
    config = parse_config(settings)
    run(config)
    rows = ledger(config)
    assert {row[9] for row in rows if row[8] is not None} == {0.0}
    assert all(row[9] == row[6] for row in rows if row[8] is None)


def test_only_failures_lead_to_a_random_batch_that_says_so(motif: MakeConfig) -> None:
    config = motif()

    def fail(*arguments: Any) -> Any:
        answers = score(*arguments)
        return [(q, type(o)(None, "out of order", o.seconds), b) for q, o, b in answers]

    assert run(config, 1, Steps(score=fail)) == [1]
    with open_campaign(config) as campaign:
        assert "random batch" in campaign.store.rounds()[1].record["fallback"]
    assert sum(row[0] == 1 for row in ledger(config)) > 0


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


def test_random_candidates_compete_at_every_fidelity(
    motif: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered: list[Counter[str]] = []

    def watched(proposed: Sequence[Query], *rest: Any) -> list[Query]:
        offered.append(Counter(q.fidelity for q in proposed))
        return candidate_queries(proposed, *rest)

    monkeypatch.setattr("mfal.propose.candidate_queries", watched)
    for share in (0.0, 0.25):
        run(motif(name=f"share-{share:g}".replace(".", "-"), batch__random_share=share))
    without, with_random = offered
    assert with_random == without + Counter(half=25, whole=25)


def test_a_round_records_how_its_surrogate_did_and_what_it_bought(motif: MakeConfig) -> None:
    config = motif()
    run(config)
    with open_campaign(config) as campaign:
        record = campaign.store.rounds()[1].record
    # Candidates of the initial design, each left out in turn.
    assert {name: figures["n"] for name, figures in record["held_out"].items()} == {
        "half": 12,
        "whole": 6,
    }
    for figures in record["held_out"].values():
        assert -1 <= figures["spearman"] <= 1 and 0 <= figures["coverage_90"] <= 1
        assert figures["rmse"] > 0
    assert record["correlations"] == {"half": record["surrogate"]["correlation_0"]}
    batch = Counter(row[5] for row in ledger(config) if row[0] == 1)
    assert {name: of["queries"] for name, of in record["batch"].items()} == {
        "half": batch["half"],
        "whole": batch["whole"],
    }
    assert record["batch"]["whole"]["cost_share"] == 3 * batch["whole"] / 12


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


TRAIN = {"steps": 10, "batch_size": 32}


def sampler(warm_start: bool, hidden: int = 64) -> dict[str, Any]:
    options = {"warm_start": warm_start, "train": TRAIN, "policy": {"hidden": hidden}}
    return {"name": "gflownet", "options": options}


def weights(config: CampaignConfig) -> list[bytes | None]:
    """What each round left for the sampler of the next."""
    with sqlite3.connect(config.folder / "ledger.db") as connection:
        found = connection.execute("SELECT weights FROM rounds ORDER BY number")
        return [row[0] for row in found]


def test_a_warm_start_goes_on_from_the_last_rounds_weights(tmp_path: Path) -> None:
    configs = {
        name: parse_config(
            motif_settings(tmp_path / name, sampler=sampler(name == "warm"), problem__options={})
        )
        for name in ("cold", "warm")
    }
    for config in configs.values():
        run(config, 2)
    cold, warm = ([row for row in ledger(c) if row[0] < 2] for c in configs.values())
    assert cold == warm  # the first round has nothing to start from
    cold, warm = ([row for row in ledger(c) if row[0] == 2] for c in configs.values())
    assert cold and warm and cold != warm

    assert weights(configs["cold"]) == [None, None, None]
    initial, first, second = weights(configs["warm"])
    assert initial is None and first and second and first != second
    files = [c.folder / "ledger.db" for c in configs.values()]
    assert files[1].stat().st_size - files[0].stat().st_size > len(first + second)


def test_a_warm_started_round_that_was_cut_short_comes_out_the_same(tmp_path: Path) -> None:
    whole, broken = (
        parse_config(motif_settings(tmp_path / n, sampler=sampler(True), problem__options={}))
        for n in ("whole", "broken")
    )
    run(whole, 2)

    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    run(broken)
    with pytest.raises(KeyboardInterrupt):
        run(broken, 1, Steps(propose=interrupt))  # trained, and not begun in the ledger
    assert {row[0] for row in ledger(broken)} == {0, 1}
    run(broken)
    assert ledger(broken) == ledger(whole)
    assert weights(broken) == weights(whole)


def test_weights_of_another_policy_are_refused_and_nothing_is_spent(
    motif: MakeConfig, calls: ReadCalls
) -> None:
    config = motif(sampler=sampler(True))
    run(config)
    before = calls(), ledger(config), weights(config)
    with pytest.raises(CheckpointError, match="holds weights of another policy") as raised:
        run(motif(sampler=sampler(True, hidden=32)))
    assert "x64, here " in raised.value.message  # which width it was, for who wants it back
    assert "sampler.options.warm_start: false" in raised.value.hint
    assert (calls(), ledger(config), weights(config)) == before
    # The remedy is one: a round from scratch, and warm starts of the new policy from then on.
    assert run(motif(sampler=sampler(False, hidden=32))) == [2]
    assert run(motif(sampler=sampler(True, hidden=32)), 2) == [3, 4]
    assert [w is None for w in weights(config)] == [True, False, True, False, False]


@pytest.mark.parametrize(
    ("left", "message"),
    [
        (b"", "is not a checkpoint"),
        (b"not a checkpoint", "is not a checkpoint"),
        (to_bytes([1, 2, 3]), "is not a checkpoint"),  # type: ignore[arg-type]
        (to_bytes({"net": {"layers": 3}}), "holds weights of another policy"),
    ],
    ids=["empty", "rubbish", "a list", "another dictionary"],
)
def test_what_another_sampler_left_is_refused(motif: MakeConfig, left: bytes, message: str) -> None:
    config = motif(sampler=sampler(True))
    run(config)
    with sqlite3.connect(config.folder / "ledger.db") as connection:
        connection.execute("UPDATE rounds SET weights = ? WHERE number = 1", [left])
    with pytest.raises(CheckpointError, match=message) as raised:
        run(config)
    assert raised.value.message.startswith("what the last round left for a warm start")
    assert "sampler.options.warm_start: false" in raised.value.hint
    assert {row[0] for row in ledger(config)} == {0, 1}


def test_a_random_batch_hands_the_weights_on(motif: MakeConfig) -> None:
    config = motif(sampler=sampler(True))
    run(config)

    def without_surrogate(*arguments: Any) -> Fitted:
        return replace(fit(*arguments), surrogate=None, reward=None, fallback="random batch: so")

    assert run(config, 1, Steps(fit=without_surrogate)) == [2]
    _, first, second = weights(config)
    assert first is not None and first == second


def test_a_round_logs_how_training_goes(
    motif: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    config = motif(sampler__options={"train": {"steps": 25, "batch_size": 32}})
    with caplog.at_level(logging.INFO, "mfal"):
        run(config)
    with open_campaign(config) as campaign:
        history = [TrainMetrics(**m) for m in campaign.store.rounds()[1].record["training"]]
    logged = [r.getMessage() for r in caplog.records if r.name == "mfal.learn"]
    assert [m.step for m in history] == [10, 20, 25]
    assert logged == [f"step {m.step} of 25: {training_line(m)}" for m in history]


def test_a_second_process_is_kept_off(motif: MakeConfig) -> None:
    config = motif()
    with open_campaign(config), pytest.raises(LedgerError, match="another process"):
        # The lock belongs to the process: another one has to ask for it.
        _open_in_another_process(config)


def test_a_running_campaign_may_be_looked_at(motif: MakeConfig) -> None:
    config = motif()
    with (
        pytest.raises(LedgerError, match="there is no ledger"),
        open_campaign(config, to_read=True),
    ):
        pass
    run(config)
    with open_campaign(config), open_campaign(config, to_read=True) as beside:
        assert beside.store.spent() == 42


def _open_in_another_process(config: CampaignConfig) -> None:
    code = (
        "import sys; from mfal.config import CampaignConfig; "
        "from mfal.campaign import open_campaign\n"
        "with open_campaign(CampaignConfig.model_validate_json(sys.argv[1])): pass"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, config.model_dump_json()], capture_output=True, text=True
    )
    if done.returncode:
        raise LedgerError(done.stderr.strip())


@pytest.mark.parametrize("trouble", ["", "raise"])
def test_the_ledger_does_not_depend_on_who_asks_or_how_many(tmp_path: Path, trouble: str) -> None:
    ledgers = []
    options = {"trouble": trouble, "slow": 0.3}
    for name, scoring in {
        "one": {"workers": 1, "chunk_size": 1000},
        "two": {"workers": 2, "chunk_size": 1},
        "threads": {"workers": 4, "chunk_size": 2, "runner": "threads"},
    }.items():
        settings = motif_settings(tmp_path / name, problem__options=options, scoring=scoring)
        config = parse_config(settings)
        run(config)
        ledgers.append(ledger(config))
    assert ledgers[0] == ledgers[1] == ledgers[2]
    assert any(row[8] for row in ledgers[0]) == bool(trouble)


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


def _start_round(path: Path, how: Sequence[str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "mfal", "round", str(path), *how]
    # A group of its own, so that the worker process is killed with it.
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)


def _wait_for_calls(path: Path, n: int) -> None:
    deadline = time.monotonic() + 120
    while len(_read(path)) < n:
        assert time.monotonic() < deadline, "the round did not get that far"
        time.sleep(0.02)


def _read(path: Path) -> Sequence[str]:
    return path.read_text().splitlines() if path.exists() else []
