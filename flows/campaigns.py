"""The flow of a served campaign.

A run is started by the campaign's name. No path and nothing that could be imported is taken
from Prefect's API.
"""

import logging
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import Field

from flows.ending import how_it_ended
from flows.live import LivePage
from flows.names import CAMPAIGN, run_name
from flows.stale import settle
from flows.tasks import STEPS
from mfal.campaign import open_campaign
from mfal.config import NAME_PATTERN
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
