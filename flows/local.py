"""Campaigns from the shell under Prefect, with a server of their own or the one that runs."""

import logging

from flows.settings import use_running_server
from mfal.campaign import Campaign
from mfal.progress import Progress
from mfal.resume import Resumed


class Flows:
    """Runs campaigns as flows, which are kept in Prefect's history."""

    def __init__(self) -> None:
        use_running_server()

    def run(self, campaign: Campaign, rounds: int | None, progress: Progress) -> list[int]:
        """One flow run around `mfal.round.run_rounds`."""
        # Imported here: settings must stand before Prefect is first imported.
        from flows.rounds import rounds_flow

        _quieten()
        return rounds_flow(campaign, progress)(campaign.config.name, rounds)

    def resume(self, campaign: Campaign, progress: Progress) -> Resumed | None:
        """One flow run around `mfal.resume.resume`."""
        from flows.rounds import resume_flow

        _quieten()
        return resume_flow(campaign, progress)(campaign.config.name)


def _quieten() -> None:
    for handler in logging.getLogger().handlers:  # Prefect's console; its page has one of its own
        handler.addFilter(is_news)


def is_news(record: logging.LogRecord) -> bool:
    """False for Prefect's account of a run that failed: the error goes on to whoever called."""
    of_a_run = record.name.startswith(("prefect.flow_runs", "prefect.task_runs"))
    return not of_a_run or record.levelno < logging.ERROR
