"""The process that runs served campaigns, and no code that Prefect's server names."""

import sys
from typing import cast
from uuid import UUID

from prefect.runner import Runner

from flows.campaigns import campaign_flow, deployment
from mfal.config import CampaignConfig


class CampaignRunner(Runner):
    """Runs campaigns when they are due or asked for, each in a process of its own."""

    def __init__(self) -> None:
        super().__init__(limit=None)

    def serve_campaign(self, config: CampaignConfig) -> None:
        """Have runs of a campaign started here."""
        made = cast("UUID", self.add_deployment(deployment(config)))  # outside of an event loop
        # Without the flow itself, a run would import whatever code the server names, and whoever
        # reaches the API can change what it names.
        self._deployment_registry.register_flow(made, campaign_flow)

    def handle_sigterm(self, *args: object, **kwargs: object) -> None:
        """Cancel the runs, pause the deployments and end: on Ctrl-C, too; told again, at once.

        Prefect's own handler only raises an exception where its event loop happens to be.
        """
        if self.stopping or not self.started:
            sys.exit(1)
        self.execute_in_background(self.astop)
