"""The flow around rounds that are started from the shell."""

from collections.abc import Callable

from prefect import flow
from prefect.runtime import flow_run

from flows.live import LivePage
from flows.names import run_name
from flows.stale import settle
from flows.tasks import STEPS
from flows.tie import tie
from mfal.campaign import Campaign
from mfal.progress import Both, Progress
from mfal.round import run_rounds


def rounds_flow(campaign: Campaign, progress: Progress) -> Callable[[str, int | None], list[int]]:
    """A flow around an open campaign; its parameters are what Prefect's page shows."""

    def name_of_run() -> str:
        return run_name(campaign.config, flow_run.parameters["rounds"])

    @flow(name="rounds", flow_run_name=name_of_run, persist_result=False)
    def rounds(name: str, rounds: int | None) -> list[int]:
        tie()
        settle()
        watch = Both(progress, LivePage(campaign))
        return run_rounds(campaign, rounds, steps=STEPS, progress=watch)

    return rounds
