"""Serve every campaign of ``configs/`` with its schedule: ``python -m flows.serve``."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable, Iterator

import typer

from flows.settings import api_url, refuse_other_version, refuse_silent, use_running_server
from mfal.config import CampaignConfig
from mfal.errors import ConfigError, MfalError
from mfal.folder import CONFIGS, Broken, campaigns_in


def main() -> None:
    """Serve until stopped.

    Raises:
        MfalError: if no server answers, or there is no campaign.
    """
    if not use_running_server():
        refuse_silent()
        raise MfalError(f"no Prefect server answers at {api_url()}", "start one: make ui")
    # Imported here: settings must stand before Prefect is first imported.
    from flows.resting import rest
    from flows.runner import CampaignRunner
    from flows.stale import keep_marking

    refuse_other_version()
    keep_marking()
    campaigns = [*usable(campaigns_in())]
    if not campaigns:
        raise ConfigError(f"there is no campaign to serve in {CONFIGS}/", "put its YAML file there")
    page = os.environ["PREFECT_API_URL"].removesuffix("/api")
    runner = CampaignRunner()
    for told_to_stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(told_to_stop, runner.handle_sigterm)
    try:
        resting = {config.name: runner.serve_campaign(config) for config in campaigns}
        typer.echo(f"serving {', '.join(resting)} on {page} until this is stopped")
        if off := [name for name, found in resting.items() if found.paused or found.schedule_off]:
            typer.echo(f"paused, and left so until it is resumed on the page: {', '.join(off)}")
        asyncio.run(runner.start())
    finally:
        if use_running_server():
            rest(config.name for config in campaigns)
        else:
            typer.echo(f"{page} does not answer: no campaign could be paused there", err=True)


def usable(found: Iterable[CampaignConfig | Broken]) -> Iterator[CampaignConfig]:
    """The campaigns that can be served; what is wrong with others is said, and stops none."""
    for config in found:
        if isinstance(config, Broken):
            typer.echo(f"not served: {config.error}\n  hint: {config.hint}", err=True)
        else:
            yield config


if __name__ == "__main__":
    try:
        main()
    except MfalError as error:
        sys.exit(f"error: {error}")
