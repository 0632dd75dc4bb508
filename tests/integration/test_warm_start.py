"""A sampler that goes on from the weights of the round before."""

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mfal.config import CampaignConfig, parse_config
from mfal.gfn.checkpoint import CheckpointError, to_bytes
from mfal.learn import Fitted, fit
from mfal.round import Steps
from tests.integration.rounds import MakeConfig, ReadCalls, ledger, run
from tests.support import motif_settings

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


def test_what_another_sampler_left_is_refused(motif: MakeConfig) -> None:
    config = motif(sampler=sampler(True))
    run(config)
    for left, message in (
        (b"", "is not a checkpoint"),
        (b"not a checkpoint", "is not a checkpoint"),
        (to_bytes([1, 2, 3]), "is not a checkpoint"),  # type: ignore[arg-type]
        (to_bytes({"net": {"layers": 3}}), "holds weights of another policy"),
    ):
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
