"""The flow of a served campaign, and its deployments.

A run is started by the campaign's name. No path and nothing that could be imported is taken
from Prefect's API.
"""

import logging
from pathlib import Path
from typing import Annotated

from prefect import flow
from prefect.deployments.runner import RunnerDeployment
from pydantic import Field

from flows.tasks import STEPS
from mfal.campaign import open_campaign
from mfal.config import NAME_PATTERN, CampaignConfig, load_config
from mfal.errors import ConfigError
from mfal.progress import Silent
from mfal.round import run_rounds

CONFIGS = Path("configs")

log = logging.getLogger("mfal.flows")


@flow(name="campaign", flow_run_name="{campaign}, rounds: {rounds}", persist_result=False)
def campaign_flow(
    campaign: Annotated[str, Field(pattern=NAME_PATTERN, description="Name of the campaign.")],
    rounds: Annotated[int, Field(ge=1, description="Rounds to run.")] = 1,
) -> list[int]:
    """Run rounds of the campaign of this name; ends early where the budget is spent."""
    config = named_campaigns().get(campaign)
    if config is None:
        raise ConfigError(
            f"there is no campaign {campaign!r} in {CONFIGS}/",
            f"there are {', '.join(sorted(named_campaigns()))}",
        )
    with open_campaign(config, campaign) as opened:
        ended = run_rounds(opened, rounds, steps=STEPS, progress=Silent())
        log.info("%s: rounds %s, spent %g", campaign, ended, opened.store.spent())
    return ended


def named_campaigns(folder: Path = CONFIGS) -> dict[str, CampaignConfig]:
    """Every campaign configured in a folder, by name."""
    found: dict[str, CampaignConfig] = {}
    for path in sorted(folder.glob("*.yaml")):
        config = load_config(path)
        if config.name in found:
            raise ConfigError(
                f"{path}: the name {config.name!r} is taken by another file in {folder}/",
                "give every campaign a name of its own",
            )
        found[config.name] = config
    return found


def deployment(config: CampaignConfig) -> RunnerDeployment:
    """The deployment of a campaign, with its schedule if it has one."""
    schedule = config.schedule
    made = campaign_flow.to_deployment(
        name=config.name,
        parameters={
            "campaign": config.name,
            "rounds": schedule.rounds if schedule else 1,
        },
        cron=schedule.cron if schedule else None,
        description=f"{config.problem.name}, budget {config.budget.total:g}",
    )
    if not isinstance(made, RunnerDeployment):  # to_deployment is a coroutine in async code
        raise TypeError("deployments are made outside of an event loop")
    return made
