"""Serve every campaign of ``configs/`` with its schedule: ``python -m flows.serve``."""

import asyncio
import os
import signal
import sys

import typer

from flows.settings import api_url, refuse_other_version, refuse_silent, use_running_server
from mfal.errors import MfalError


def main() -> None:
    """Serve until stopped."""
    if not use_running_server():
        refuse_silent()
        raise MfalError(f"no Prefect server answers at {api_url()}", "start one: make ui")
    # Imported here: settings must stand before Prefect is first imported.
    from flows.runner import CampaignRunner
    from flows.stale import keep_marking
    from mfal.folder import named_campaigns

    refuse_other_version()
    keep_marking()
    runner, campaigns = CampaignRunner(), named_campaigns()
    for config in campaigns.values():
        runner.serve_campaign(config)
    page = os.environ["PREFECT_API_URL"].removesuffix("/api")
    typer.echo(f"serving {', '.join(campaigns)} on {page} until this is stopped")
    signal.signal(signal.SIGINT, runner.handle_sigterm)
    asyncio.run(runner.start())


if __name__ == "__main__":
    try:
        main()
    except MfalError as error:
        sys.exit(f"error: {error}")
