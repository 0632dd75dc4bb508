"""Rounds from the shell under Prefect, with a server of their own or the one that runs."""

import logging

from flows.settings import use_running_server
from mfal.campaign import Campaign
from mfal.config import CampaignConfig
from mfal.progress import Progress
from mfal.session import run_in_terminal


def run(config: CampaignConfig, rounds: int | None, source: str) -> None:
    """Run rounds as a flow, shown in the terminal and kept in Prefect's history."""
    use_running_server()
    run_in_terminal(config, rounds, source, run_as_flow)


def run_as_flow(campaign: Campaign, rounds: int | None, progress: Progress) -> list[int]:
    """One flow run around `run_rounds`."""
    # Imported here: settings must stand before Prefect is first imported.
    from flows.rounds import rounds_flow

    for handler in logging.getLogger().handlers:  # Prefect's console; its page has one of its own
        handler.addFilter(is_news)
    return rounds_flow(campaign, progress)(campaign.config.name, rounds)


def is_news(record: logging.LogRecord) -> bool:
    """False for Prefect's account of a run that failed: the error goes on to whoever called."""
    of_a_run = record.name.startswith(("prefect.flow_runs", "prefect.task_runs"))
    return not of_a_run or record.levelno < logging.ERROR
