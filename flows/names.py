"""What flows and their runs are called on Prefect's page."""

from mfal.campaign import Campaign, open_campaign
from mfal.config import CampaignConfig
from mfal.errors import NoLedgerError
from mfal.ledger.reading import read_ledger
from mfal.progress import round_name
from mfal.round import next_kind

CAMPAIGN, ROUNDS, RESUME = "campaign", "rounds", "resume"
"""Flows: of a served campaign, and of `mfal round` and `mfal resume` in a shell."""


def run_name(config: CampaignConfig, rounds: int | None) -> str:
    """Name of a run of so many rounds, such as ``dna-aptamers round 7``."""
    first = next_batch(config)
    if rounds == 1:
        return f"{config.name} round {first}"
    return f"{config.name} rounds {first} to {'the end' if rounds is None else first + rounds - 1}"


def open_name(campaign: Campaign) -> str:
    """Name of a run that finishes what was begun."""
    begun = campaign.store.open_round()
    if begun is None:
        return f"{campaign.config.name}, nothing to finish"
    return f"{campaign.config.name} {round_name(begun.number, begun.kind)}"


def next_batch(config: CampaignConfig) -> int:
    """Number of the batch that comes next: an unfinished one, or the first that is not begun."""
    try:
        with read_ledger(config.ledger_url, config.name, config.identity()) as ledger:
            begun = ledger.open_round()
            known, has_asked = len(ledger.outline()), ledger.has_asked()
    except NoLedgerError:
        return 1
    if begun is not None and begun.kind == "batch":
        return begun.number
    return known if has_asked else known + _asks_design(config)


def _asks_design(config: CampaignConfig) -> bool:
    """Whether a campaign that has begun no round of its own has a design to ask before a batch."""
    with open_campaign(config, config.name, to_read=True) as campaign:
        return next_kind(campaign) == "initial"
