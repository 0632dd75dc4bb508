"""The flows around an open campaign that is run from the shell."""

from collections.abc import Callable

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.ending import how_it_ended, how_resumed
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
    def rounds(name: str, rounds: int | None) -> State[list[int]]:
        settle()
        with LivePage(campaign) as page:
            ended = run_rounds(campaign, rounds, steps=STEPS, progress=Both(progress, page))
        return Completed(message=how_it_ended(campaign, ended, rounds), data=ended)

    return rounds  # type: ignore[return-value]  # called, it gives what its state holds


def resume_flow(campaign: Campaign, progress: Progress) -> Callable[[str], Resumed | None]:
    """A flow that finishes what was begun."""

    @flow(name=RESUME, flow_run_name=open_name(campaign), persist_result=False)
    def resume(name: str) -> State[Resumed | None]:
        settle()
        with LivePage(campaign) as page:
            done = finish(campaign, Both(progress, page), STEPS)
        return Completed(message=how_resumed(campaign, done), data=done)

    return resume  # type: ignore[return-value]
