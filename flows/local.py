"""Campaigns from the shell under Prefect, with a server of their own or the one that runs."""

import logging
import os
from typing import TYPE_CHECKING

from flows.own import OwnServer
from flows.settings import refuse_other_version, refuse_silent, use_running_server

if TYPE_CHECKING:  # and with them torch, which loads while the server starts
    from mfal.campaign import Campaign
    from mfal.progress import Progress
    from mfal.resume import Resumed


class Flows:
    """Runs campaigns as flows, which are kept in Prefect's history.

    Raises:
        MfalError: if the server that the environment names does not answer.
    """

    def __init__(self) -> None:
        self._own: OwnServer | None = None
        if not use_running_server():
            refuse_silent()
            self._own = OwnServer()
            os.environ["PREFECT_API_URL"] = self._own.url
            # Killed, it does not come back: 14 seconds a request are enough, for Prefect's own 62.
            os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "3")

    def run(self, campaign: "Campaign", rounds: int | None, progress: "Progress") -> list[int]:
        """One flow run around `mfal.round.run_rounds`."""
        # Imported here: settings must stand before Prefect is first imported.
        from flows.rounds import rounds_flow

        self._get_ready()
        return rounds_flow(campaign, progress)(campaign.config.name, rounds)

    def resume(self, campaign: "Campaign", progress: "Progress") -> "Resumed | None":
        """One flow run around `mfal.resume.resume`."""
        from flows.rounds import resume_flow

        self._get_ready()
        return resume_flow(campaign, progress)(campaign.config.name)

    def _get_ready(self) -> None:
        if self._own is None:
            refuse_other_version()
        else:
            self._own.wait()
        for handler in logging.getLogger().handlers:  # Prefect's console; its page has its own
            handler.addFilter(is_news)


def is_news(record: logging.LogRecord) -> bool:
    """False for Prefect's account of a run that failed: the error goes on to whoever called."""
    of_a_run = record.name.startswith(("prefect.flow_runs", "prefect.task_runs"))
    return not of_a_run or record.levelno < logging.ERROR
