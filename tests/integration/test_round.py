"""Whole rounds on a small problem, through the library."""

import logging
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from mfal.batch.select import candidate_queries
from mfal.budget import total_cost
from mfal.campaign import open_campaign
from mfal.config import CampaignConfig, parse_config
from mfal.errors import LedgerError
from mfal.gfn.base import TrainMetrics
from mfal.progress import training_line
from mfal.stopping import stop_reason
from mfal.types import Query
from tests.integration.rounds import MakeConfig, ReadCalls, ledger, run
from tests.support import motif_settings

RANDOM: dict[str, Any] = {"sampler": "random", "surrogate": None}  # no model is the subject


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
    run(motif(budget__total=42, **RANDOM), None)
    larger = motif(budget__total=54, **RANDOM)
    assert run(larger, None) == [2]
    assert total_cost(row[9] for row in ledger(larger)) == 54


def test_a_budget_below_a_design_that_was_made_ends_the_campaign(motif: MakeConfig) -> None:
    before = motif(budget={"total": 30})
    assert run(before) == []  # the design, of 30
    lower = motif(budget={"total": 20})
    assert run(lower) == []
    with open_campaign(lower) as campaign:
        assert "the budget is spent" in (stop_reason(campaign) or "")
    assert ledger(lower) == ledger(before)


def test_a_ledger_of_another_configuration_is_refused(motif: MakeConfig, calls: ReadCalls) -> None:
    run(motif(**RANDOM))
    before = calls()
    changes: dict[str, dict[str, object]] = {
        "seed": {"seed": 2},
        "costs.half": {"costs": {"half": 2.0}},
        "initial.queries.half": {"initial__queries": {"half": 3}},
    }
    for field, change in changes.items():
        with pytest.raises(LedgerError, match=re.escape(f"{field} was ")):
            run(motif(**RANDOM, **change))
    assert calls() == before


def test_two_engines_do_not_mix_unless_told_to(motif: MakeConfig, tmp_path: Path) -> None:
    # The engine is the problem's choice, not the configuration's: as with `auto`.
    config = motif(**RANDOM)
    run(config)
    with sqlite3.connect(config.folder / "ledger.db") as connection:
        connection.execute("DROP TRIGGER outcomes_no_update")
        connection.execute("UPDATE outcomes SET backend = 'another engine'")
    with pytest.raises(LedgerError, match="another engine"):
        run(config)
    assert run(motif(**RANDOM, mix_backends=True)) == [2]


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
    config = motif(**RANDOM)
    with (
        pytest.raises(LedgerError, match="there is no ledger"),
        open_campaign(config, to_read=True),
    ):
        pass
    run(config)
    with open_campaign(config), open_campaign(config, to_read=True) as beside:
        assert beside.store.spent() == 42


def _open_in_another_process(config: CampaignConfig) -> None:
    # Of all that opening a campaign is, the ledger, which needs no torch.
    code = (
        "import sys; from mfal.config import CampaignConfig; "
        "from mfal.ledger.store import Store\n"
        "config = CampaignConfig.model_validate_json(sys.argv[1])\n"
        "Store(config.ledger_url, config.name, config.identity())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, config.model_dump_json()], capture_output=True, text=True
    )
    if done.returncode:
        raise LedgerError(done.stderr.strip())


@pytest.mark.parametrize("trouble", ["", pytest.param("raise", marks=pytest.mark.slow)])
def test_the_ledger_does_not_depend_on_who_asks_or_how_many(tmp_path: Path, trouble: str) -> None:
    ledgers = []
    options = {"trouble": trouble, "slow": 0.1}
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


@pytest.mark.parametrize("to_read", [False, True])
def test_torch_has_the_threads_of_a_campaign_while_that_is_open(
    tmp_path: Path, to_read: bool
) -> None:
    before = torch.get_num_threads()
    config = parse_config(motif_settings(tmp_path, threads=before + 1))
    with open_campaign(config):  # which begins it
        pass
    with pytest.raises(ZeroDivisionError), open_campaign(config, to_read=to_read):
        assert torch.get_num_threads() == before + 1
        _ = 1 / 0
    assert torch.get_num_threads() == before
