"""The process that runs served campaigns, and no code that Prefect's server names."""

import sys
from datetime import timedelta
from typing import cast
from uuid import UUID

from prefect import get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.runner import Runner
from prefect.schedules import Schedule
from prefect.utilities.annotations import freeze

from flows.campaigns import campaign_flow
from flows.resting import Resting, find_resting
from mfal.config import CampaignConfig
from mfal.sections import ScheduleConfig


class CampaignRunner(Runner):
    """Runs campaigns when they are due or asked for, each in a process of its own."""

    def __init__(self) -> None:
        super().__init__(limit=None, pause_on_shutdown=False)  # `flows.resting` does that

    def serve_campaign(self, config: CampaignConfig) -> Resting:
        """Have runs of a campaign started here: of the flow itself, and by its schedule.

        A deployment alone, without the flow, would have a run import whatever code the server
        names, and whoever reaches the API can change what it names. What somebody has paused
        stays so, and is returned.
        """
        resting, schedule = find_resting(config.name), config.schedule
        made = self.add_flow(
            campaign_flow,
            name=config.name,
            parameters={
                "campaign": freeze(config.name),
                "rounds": schedule.rounds if schedule else 1,
            },
            paused=resting.paused,
            schedule=_planned(schedule, not resting.schedule_off) if schedule else None,
            tags=[*resting.tags],
            description=f"{config.problem.name}, budget {config.budget.total:g}",
        )
        close_form(cast("UUID", made))  # outside of an event loop it is no coroutine
        return resting

    def handle_sigterm(self, *args: object, **kwargs: object) -> None:
        """Cancel the runs and end: on Ctrl-C, too; told again, or before it has begun, at once.

        Prefect's own handler only raises an exception where its event loop happens to be.
        """
        if self.stopping or not self.started:
            sys.exit(1)
        self.execute_in_background(self.astop)


def _planned(schedule: ScheduleConfig, active: bool) -> Schedule:
    minutes = schedule.interval_minutes
    interval = None if minutes is None else timedelta(minutes=minutes)
    return Schedule(cron=schedule.cron, interval=interval, active=active)


def close_form(deployment: UUID) -> None:
    """Have the server refuse parameters that the flow does not have.

    Prefect leaves that to the run, which then ends without its reason on the page.
    """
    with get_client(sync_client=True) as client:
        form = client.read_deployment(deployment).parameter_openapi_schema or {}
        closed = DeploymentUpdate(parameter_openapi_schema=form | {"additionalProperties": False})
        client.update_deployment(deployment, closed)
