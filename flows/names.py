"""What flows and their runs are called on Prefect's page."""

from mfal.campaign import Campaign
from mfal.config import CampaignConfig
from mfal.errors import NoLedgerError
from mfal.ledger.reading import read_ledger
from mfal.progress import round_name

CAMPAIGN, ROUNDS, RESUME = "campaign", "rounds", "resume"
"""Flows: of a served campaign, and of `mfal round` and `mfal resume` in a shell."""


def run_name(config: CampaignConfig, rounds: int | None) -> str:
    """Name of a run of so many rounds, such as ``dna-aptamers round 7``."""
    first = next_number(config)
    if rounds == 1:
        return f"{config.name} round {first}"
    return f"{config.name} rounds {first} to {'the end' if rounds is None else first + rounds - 1}"


def open_name(campaign: Campaign) -> str:
    """Name of a run that finishes what was begun."""
    begun = next((r for r in campaign.store.outline() if not r.finished), None)
    if begun is None:
        return f"{campaign.config.name}, nothing to finish"
    return f"{campaign.config.name} {round_name(begun.number, begun.kind)}"


def next_number(config: CampaignConfig) -> int:
    """Number of the round that comes next: an unfinished one, or the one after the last."""
    try:
        with read_ledger(config.ledger_url, config.name, config.identity()) as ledger:
            known = ledger.outline()
    except NoLedgerError:
        return 1
    return next((r.number for r in known if not r.finished and r.number > 0), max(1, len(known)))
