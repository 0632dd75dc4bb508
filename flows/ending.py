"""What a run did, for its state on Prefect's page and for whoever is notified of it."""

from collections.abc import Sequence

from mfal.campaign import Campaign
from mfal.digits import amount
from mfal.resume import Resumed
from mfal.stopping import why_no_further
from mfal.waiting import waiting, waiting_text


def how_it_ended(campaign: Campaign, ended: Sequence[int], rounds: int | None) -> str:
    """Which rounds were finished, and why there was no more.

    Args:
        ended: Numbers of the rounds.
        rounds: How many were to be run; None for as many as there may be.
    """
    numbers = ", ".join(map(str, ended)) or "none"
    done = f"rounds finished: {numbers}; {_spent(campaign)}"
    if awaited := waiting(campaign):
        return f"{done}\n{waiting_text(awaited, campaign.config.name)}"
    return done if len(ended) == rounds else f"{done}; no further round: {why_no_further(campaign)}"


def how_resumed(campaign: Campaign, done: Resumed | None) -> str:
    """What was finished of a round that was begun."""
    if done is None:
        return "every round that was begun was finished"
    asked = f"round {done.round}: asked {done.asked} of {done.queries} queries"
    if awaited := waiting(campaign):
        return f"{asked}; {_spent(campaign)}\n{waiting_text(awaited, campaign.config.name)}"
    return f"{asked}; {_spent(campaign)}"


def _spent(campaign: Campaign) -> str:
    return f"spent {amount(campaign.store.spent())} of {amount(campaign.config.budget.total)}"
