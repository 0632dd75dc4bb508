"""The kill matrix: rounds from the shell, on Dask, and served ones."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mfal.campaign import open_campaign
from mfal.config import parse_config
from mfal.round import run_rounds
from tests.reliability.harness import (
    OCCURRENCES,
    STAGES,
    TARGETS,
    Campaign,
    Shell,
    compare,
    run_cell,
)
from tests.reliability.served import Served

OPTIONS = {
    "round": [],
    "library": ["--no-prefect"],
    "dask": ["--no-prefect", "--set", "scoring.runner=dask"],
}
QUICK = {("library", "flow", "score", 1), ("library", "flow", "append", 2)}
"""Cells of the default tests."""

LIBRARY = QUICK | {("library", "worker", "score", 2)}
"""Cells without what Prefect and Dask cost; the table leaves them out."""


def cells() -> list[Any]:
    return [
        pytest.param(
            way,
            target,
            stage,
            repetition,
            marks=[] if (way, target, stage, repetition) in QUICK else [pytest.mark.slow],
            id=f"{way}-{target}-{stage}-{repetition}",
        )
        for way in OPTIONS
        for target in TARGETS[way]
        for stage in STAGES
        for repetition in (1, 2, 3)
        if way != "library" or (way, target, stage, repetition) in LIBRARY
    ]


def served_campaigns(folder: Path) -> dict[tuple[str, str, int], Campaign]:
    """A campaign for every cell, so that one server can serve them all."""
    return {
        (target, stage, i): Campaign(
            name := f"{target}-{stage}-{i}".replace(" ", "-"), folder / name
        )
        for target in TARGETS["served"]
        for stage in STAGES
        for i in (1, 2, 3)
    }


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Served, dict[tuple[str, str, int], Campaign]]]:
    folder = tmp_path_factory.mktemp("served")
    campaigns = served_campaigns(folder)
    way = Served(folder, list(campaigns.values()))
    yield way, campaigns
    way.close()


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("repetition", [1, 2, 3])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("target", TARGETS["served"])
def test_a_kill_of_a_served_run_loses_nothing_and_pays_nothing_twice(
    served: tuple[Served, dict[tuple[str, str, int], Campaign]],
    undisturbed: list[tuple[Any, ...]],
    record_property: Callable[[str, object], None],
    target: str,
    stage: str,
    repetition: int,
) -> None:
    way, campaigns = served
    campaign = campaigns[target, stage, repetition]
    cell = ["served", target, stage, repetition, "failed"]
    record_property("cell", cell)
    cell[-1] = run_cell(way, campaign, stage, target, OCCURRENCES[stage][repetition - 1])
    compare(campaign, undisturbed)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    """The ledger of the same campaign when nothing happens to it."""
    campaign = Campaign("undisturbed", tmp_path_factory.mktemp("undisturbed"))
    with open_campaign(parse_config(campaign.settings())) as opened:
        run_rounds(opened, 1)
    assert len(set(campaign.calls())) == len(campaign.calls()) == len(campaign.ledger())
    return campaign.ledger()


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("way", "target", "stage", "repetition"), cells())
def test_a_kill_loses_nothing_and_pays_nothing_twice(
    tmp_path: Path,
    undisturbed: list[tuple[Any, ...]],
    record_property: Callable[[str, object], None],
    way: str,
    target: str,
    stage: str,
    repetition: int,
) -> None:
    shell = Shell(tmp_path, *OPTIONS[way])
    campaign = Campaign("killed", tmp_path / "campaign")
    cell = [way, target, stage, repetition, "failed"]
    if way != "library":
        record_property("cell", cell)
    try:
        cell[-1] = run_cell(shell, campaign, stage, target, OCCURRENCES[stage][repetition - 1])
    finally:
        shell.close()
    compare(campaign, undisturbed)
