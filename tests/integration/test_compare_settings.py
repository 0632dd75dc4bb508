"""Comparisons whose methods are changed after they have run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mfal.cli.compare import compare_in_terminal
from mfal.compare import Comparison, curves, load_comparison, run_comparison
from mfal.errors import LedgerError
from tests.integration.comparisons import play, written

MakeComparison = Callable[..., Comparison]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of random search that has come to its end at a cost of 54."""
    path = written(tmp_path_factory.mktemp("settings"), without=["evolution", "breeding"])
    play(load_comparison(path))
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("campaign.batch.cost=6", "batch.cost is 6 now, and was 12"),
        ("campaign.batch.target_share=1", "batch.target_share is 1 now, and was null"),
        (
            "campaign.scoring.timeout_seconds=5",
            "scoring.timeout_seconds is 5 now, and was 60",
        ),
        ("methods.random.sampler=pool", 'sampler.name is "pool" now, and was "random"'),
    ],
)
def test_results_are_not_shown_under_a_changed_method(path: Path, change: str, said: str) -> None:
    comparison = load_comparison(path, [change])
    for look in (run_comparison, curves):
        with pytest.raises(LedgerError) as raised:
            look(comparison)
        assert raised.value.message == (
            f"{path}: methods.random: {said} in the rounds of random-0, random-1"
        )
        assert f"{comparison.folder}/" in raised.value.hint
    with pytest.raises(LedgerError, match="in the rounds of random-0, random-1"):
        compare_in_terminal(path, [change], run=False)


def test_a_budget_below_what_is_spent_is_refused(path: Path) -> None:
    comparison = load_comparison(path, ["campaign.budget.total=48"])
    for look in (run_comparison, curves):
        with pytest.raises(LedgerError) as raised:
            look(comparison)
        assert raised.value.message.splitlines() == [
            f"{path}: methods.random: budget.total is 48 now, and random-{seed} has spent 54"
            for seed in (0, 1)
        ]


@pytest.mark.parametrize(
    "change",
    [
        "campaign.budget.total=500",
        "campaign.stop.rounds=1",
        "campaign.scoring.workers=1",
        "campaign.lock.wait_seconds=1",
        "seeds=[1]",
    ],
)
def test_what_does_not_change_the_method_may_change(path: Path, change: str) -> None:
    assert not curves(load_comparison(path, [change])).empty


def test_a_new_name_begins_anew_beside_the_old(path: Path) -> None:
    method = "{surrogate: null, sampler: random, fidelities: [whole], batch.cost: 6}"
    comparison = load_comparison(path, [f"methods.other={method}"])
    assert set(curves(comparison)["method"]) == {"random"}
