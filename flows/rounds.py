"""The flows around an open campaign that is run from the shell."""

from collections.abc import Callable

from prefect import flow
from prefect.runtime import flow_run

from flows.live import LivePage
from flows.names import RESUME, ROUNDS, open_name, run_name
from flows.stale import settle
from flows.tasks import STEPS
from mfal.campaign import Campaign
from mfal.progress import Both, Progress
from mfal.resume import Resumed
from mfal.resume import resume as finish
from mfal.round import run_rounds


def rounds_flow(campaign: Campaign, progress: Progress) -> Callable[[str, int | None], list[int]]:
    """A flow that runs rounds; its parameters are what Prefect's page shows."""

    def name_of_run() -> str:
        return run_name(campaign.config, flow_run.parameters["rounds"])

    @flow(name=ROUNDS, flow_run_name=name_of_run, persist_result=False)
    def rounds(name: str, rounds: int | None) -> list[int]:
        settle()
        with LivePage(campaign) as page:
            return run_rounds(campaign, rounds, steps=STEPS, progress=Both(progress, page))

    return rounds


def resume_flow(campaign: Campaign, progress: Progress) -> Callable[[str], Resumed | None]:
    """A flow that finishes what was begun."""

    @flow(name=RESUME, flow_run_name=open_name(campaign), persist_result=False)
    def resume(name: str) -> Resumed | None:
        settle()
        with LivePage(campaign) as page:
            return finish(campaign, Both(progress, page), STEPS)

    return resume
