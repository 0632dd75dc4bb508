"""Serve every campaign of ``configs/`` with its schedule: ``python -m flows.serve``."""

import sys

from flows.settings import api_url, use_running_server
from mfal.errors import MfalError


def main() -> None:
    """Serve until stopped."""
    if not use_running_server():
        raise MfalError(f"no Prefect server answers at {api_url()}", "start one: make ui")
    # Imported here: settings must stand before Prefect is first imported.
    from prefect import serve

    from flows.campaigns import deployment
    from flows.stale import keep_marking
    from mfal.folder import named_campaigns

    keep_marking()
    serve(*(deployment(config) for config in named_campaigns().values()))


if __name__ == "__main__":
    try:
        main()
    except MfalError as error:
        sys.exit(f"error: {error}")
