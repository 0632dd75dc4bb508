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
    from flows.runner import CampaignRunner
    from flows.stale import keep_marking

    refuse_other_version()
    keep_marking()
    campaigns = [*usable(campaigns_in())]
    if not campaigns:
        raise ConfigError(f"there is no campaign to serve in {CONFIGS}/", "put its YAML file there")
    runner = CampaignRunner()
    for config in campaigns:
        runner.serve_campaign(config)
    page, names = os.environ["PREFECT_API_URL"].removesuffix("/api"), [c.name for c in campaigns]
    typer.echo(f"serving {', '.join(names)} on {page} until this is stopped")
    signal.signal(signal.SIGINT, runner.handle_sigterm)
    asyncio.run(runner.start())


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
