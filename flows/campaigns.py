"""The flow of a served campaign, and its deployments.

A run is started by the campaign's name. No path and nothing that could be imported is taken
from Prefect's API.
"""

import logging
from datetime import timedelta
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.deployments.runner import RunnerDeployment
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.utilities.annotations import freeze
from prefect.utilities.callables import ParameterSchema
from pydantic import ConfigDict, Field

from flows.ending import how_it_ended
from flows.live import LivePage
from flows.names import CAMPAIGN, run_name
from flows.stale import settle
from flows.tasks import STEPS
from mfal.campaign import open_campaign
from mfal.config import NAME_PATTERN, CampaignConfig
from mfal.errors import MfalError
from mfal.folder import find_campaign
from mfal.round import run_rounds
from mfal.types import LARGEST

log = logging.getLogger("mfal.flows")


def served_run_name() -> str:
    """Name of a served run, such as ``dna-aptamers round 7``."""
    given = flow_run.parameters
    try:
        return run_name(find_campaign(given["campaign"]), given["rounds"])
    except MfalError:  # which the run itself will say
        return str(given["campaign"])


@flow(name=CAMPAIGN, flow_run_name=served_run_name, persist_result=False)
def campaign_flow(
    campaign: Annotated[str, Field(pattern=NAME_PATTERN)],
    rounds: Annotated[int | None, Field(ge=1)] = 1,
    budget: Annotated[float | None, Field(gt=0, le=LARGEST)] = None,
) -> State[list[int]]:
    """Run rounds of the campaign of this name, until one of its limits is reached.

    Args:
        campaign: Name of the campaign.
        rounds: Rounds to run; empty for as many as there may be.
        budget: Campaign units in all, for this run, instead of budget.total; empty to keep to
            the configuration.

    Raises:
        ConfigError: if there is no campaign of this name, or its configuration is wrong.
    """
    settle()
    config = find_campaign(campaign)  # a name: the pattern above lets no path through
    if budget is not None:
        limited = config.budget.model_copy(update={"total": budget})
        config = config.model_copy(update={"budget": limited})
    with open_campaign(config, campaign) as opened, LivePage(opened) as page:
        ended = run_rounds(opened, rounds, steps=STEPS, progress=page)
        message = how_it_ended(opened, ended, rounds)
    log.info("%s: %s", campaign, message)
    return Completed(message=message, data=ended)


def deployment(config: CampaignConfig) -> RunnerDeployment:
    """The deployment of a campaign, with its schedule if it has one."""
    schedule = config.schedule
    minutes = schedule.interval_minutes if schedule else None
    made = campaign_flow.to_deployment(
        name=config.name,
        parameters={"campaign": freeze(config.name), "rounds": schedule.rounds if schedule else 1},
        cron=schedule.cron if schedule else None,
        interval=None if minutes is None else timedelta(minutes=minutes),
        description=f"{config.problem.name}, budget {config.budget.total:g}",
    )
    if not isinstance(made, RunnerDeployment):  # to_deployment is a coroutine in async code
        raise TypeError("deployments are made outside of an event loop")
    made._parameter_openapi_schema = closed(made._parameter_openapi_schema)
    return made


class _OpenSchema(ParameterSchema):
    """Prefect's own schema, with whatever else JSON schema knows."""

    model_config = ConfigDict(extra="allow")


def closed(schema: ParameterSchema) -> ParameterSchema:
    """The same parameters and no others: the server refuses a name that is not among them.

    Prefect leaves that to the run, which then ends without its reason on the page.
    """
    told = schema.model_dump(exclude_unset=True)
    return _OpenSchema.model_validate(told | {"additionalProperties": False})
