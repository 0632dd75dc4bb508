"""Every campaign of ``configs/`` as a Prefect deployment: ``python -m flows.serve``.

A run is started by the campaign's name. No path and nothing that could be imported is taken
from Prefect's API.
"""

import logging
import sys
from pathlib import Path

from prefect import flow, serve
from prefect.deployments.runner import RunnerDeployment

from flows.settings import api_url, is_healthy
from flows.tasks import STEPS
from mfal.campaign import open_campaign
from mfal.config import CampaignConfig, load_config
from mfal.errors import ConfigError, MfalError
from mfal.progress import Silent
from mfal.round import run_rounds

CONFIGS = Path("configs")

log = logging.getLogger("mfal.flows")


@flow(name="campaign", flow_run_name="{campaign}, rounds: {rounds}", persist_result=False)
def campaign_flow(campaign: str, rounds: int = 1) -> list[int]:
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


def main() -> None:
    """Serve until stopped."""
    url = api_url()
    if not is_healthy(url):
        raise MfalError(f"no Prefect server answers at {url}", "start it: make ui")
    serve(*(deployment(config) for config in named_campaigns().values()))


if __name__ == "__main__":
    try:
        main()
    except MfalError as error:
        sys.exit(f"error: {error}")
