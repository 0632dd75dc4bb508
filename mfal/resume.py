"""Finishing what an earlier process began: the same queries, only the missing answers bought."""

from dataclasses import dataclass

from mfal.answered import Patience
from mfal.budget import minus
from mfal.campaign import Campaign
from mfal.progress import Progress
from mfal.round import Steps, asking, finish_round


@dataclass(frozen=True, slots=True)
class Resumed:
    """What was done to a round.

    Attributes:
        queries: How many it has.
        asked: How many of them had no answer, and have one now.
        cost: Campaign units charged for those.
        finished: Whether the round is; False where people have to measure what is left.
    """

    round: int
    queries: int
    asked: int
    cost: float
    finished: bool


def resume(campaign: Campaign, progress: Progress, steps: Steps | None = None) -> Resumed | None:
    """Finish the round that was begun and not finished; None if there is none.

    Raises:
        BudgetError: if the budget was lowered meanwhile and does not pay for the rest of it.
        OracleError: if query after query fails.
    """
    store = campaign.store
    found = store.open_round()
    if found is None:
        return None
    before, pending = store.spent(), store.pending(found.number)
    progress.begin_round(found.number, found.kind)
    progress.spent(before, campaign.config.budget.total)
    with asking(campaign) as asker:
        finished = finish_round(
            campaign, found.number, asker, steps or Steps(), progress, Patience()
        )
    return Resumed(
        round=found.number,
        queries=store.count(found.number),
        asked=len(pending) - len(store.pending(found.number)),
        cost=minus(store.spent(), before),
        finished=finished,
    )
