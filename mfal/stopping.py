"""When a campaign is over: its budget, its rounds, or a value that is good enough."""

from mfal.budget import fits
from mfal.campaign import Campaign
from mfal.digits import amount, number
from mfal.metrics import measured


def stop_reason(campaign: Campaign) -> str | None:
    """Why no new round may begin, in words for a log; None where one may."""
    return _budget_spent(campaign) or _rounds_done(campaign) or _value_reached(campaign)


def why_no_further(campaign: Campaign) -> str:
    """Why no further round followed on those that were run, where none waits for measurements.

    And what to do about it: in a comparison, which says only the reason, the field is another.
    """
    if spent := _budget_spent(campaign):
        return f"{spent}; raise budget.total to go on"
    return stop_reason(campaign) or "all that was proposed was asked before, or costs too much"


def _budget_spent(campaign: Campaign) -> str | None:
    left = campaign.left
    if any(fits(f.cost, left) for f in campaign.ladder):
        return None
    return (
        f"the budget is spent: {amount(left)} of {amount(campaign.config.budget.total)} is left, "
        "which buys no further query"
    )


def _rounds_done(campaign: Campaign) -> str | None:
    limit = campaign.config.stop.rounds
    if limit is None:
        return None
    done = len(campaign.store.batches())
    if done < limit:
        return None
    return f"{done} round{' is' if done == 1 else 's are'} done, and stop.rounds is {limit}"


def _value_reached(campaign: Campaign) -> str | None:
    wanted, objective, k = campaign.config.stop.value, campaign.objective, campaign.config.top_k
    if wanted is None:
        return None
    at_target = measured(campaign.store.observations(), campaign.target.name, objective)
    reached = at_target.top(k).mean()
    if reached is None or len(at_target) < k or reached * objective.sign < wanted * objective.sign:
        return None
    return f"the top-{k} mean is {number(reached)}{objective.suffix}, and stop.value is {wanted:g}"
