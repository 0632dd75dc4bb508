"""The flow: rounds of one campaign, each step a task."""

from collections.abc import Callable

from prefect import flow
from prefect.runtime import flow_run

from flows.tasks import STEPS
from mfal.campaign import Campaign
from mfal.progress import Progress
from mfal.round import run_rounds


def rounds_flow(campaign: Campaign, progress: Progress) -> Callable[[str, int | None], list[int]]:
    """A flow around an open campaign; its parameters are what Prefect's page shows."""
    first = next_number(campaign)

    @flow(name="rounds", flow_run_name=lambda: run_name(first), persist_result=False)
    def rounds(name: str, rounds: int | None) -> list[int]:
        return run_rounds(campaign, rounds, steps=STEPS, progress=progress)

    return rounds


def next_number(campaign: Campaign) -> int:
    """Number of the round that comes next: an unfinished one, or the one after the last."""
    known = campaign.store.rounds()
    return next((r.number for r in known if not r.finished and r.number > 0), max(1, len(known)))


def run_name(first: int) -> str:
    """Name of the flow run, such as ``dna-aptamers round 7``."""
    given = flow_run.parameters
    n = given["rounds"]
    if n == 1:
        return f"{given['name']} round {first}"
    return f"{given['name']} rounds {first} to {'the end' if n is None else first + n - 1}"
