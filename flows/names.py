"""What a flow run is called on Prefect's page."""

from mfal.config import CampaignConfig
from mfal.store import Store
from mfal.tables import sqlite_url


def run_name(config: CampaignConfig, rounds: int | None) -> str:
    """Name of a run of so many rounds, such as ``dna-aptamers round 7``."""
    first = next_number(config)
    if rounds == 1:
        return f"{config.name} round {first}"
    return f"{config.name} rounds {first} to {'the end' if rounds is None else first + rounds - 1}"


def next_number(config: CampaignConfig) -> int:
    """Number of the round that comes next: an unfinished one, or the one after the last."""
    if not (config.folder / "ledger.db").is_file():
        return 1
    store = Store(sqlite_url(config.folder), config.name, config.identity())
    try:
        known = store.rounds()
    finally:
        store.close()
    return next((r.number for r in known if not r.finished and r.number > 0), max(1, len(known)))
