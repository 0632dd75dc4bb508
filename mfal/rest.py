"""What the part of a batch that lies beyond the target's share is chosen by."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mfal.acquisition.reward import AcquisitionReward
from mfal.batch.improvement import improvement_on_asked
from mfal.campaign import Campaign
from mfal.learn import Fitted
from mfal.reference import attainable, best_rows
from mfal.surrogate.base import Surrogate, posterior_mean
from mfal.types import Query

SOUGHT = 500  # most promising candidates about whose order a round is to learn


def rest_by(campaign: Campaign) -> str:
    """What chooses a round's queries beyond the target's share."""
    batch = campaign.config.batch
    if batch.fidelity == "random" or len(campaign.ladder) == 1:
        return "acquisition"
    return batch.rest or ("acquisition" if campaign.pool is None else "knowledge")


def improvement(
    campaign: Campaign,
    fitted: Fitted,
    surrogate: Surrogate,
    reward: AcquisitionReward,
    queries: Sequence[Query],
) -> Tensor | None:
    """Logarithm of what queries are expected to add to the best that were asked, ``n``.

    At no more than the highest fidelity that its candidate was asked at, a query adds nothing:
    -inf; nor at the target, which has its share. None where a round is not chosen by that.
    """
    if rest_by(campaign) != "improvement":
        return None
    data, rung = fitted.data, {f.name: i for i, f in enumerate(campaign.ladder)}
    highest: dict[str, int] = {}
    for query in campaign.store.asked():
        highest[query.key] = max(rung[query.fidelity], highest.get(query.key, -1))
    keys = list(dict.fromkeys(q.key for q in queries))
    moments = surrogate.joint(campaign.features(keys), fitted.candidate(keys))
    possible = _possible(fitted)
    gain = improvement_on_asked(
        moments.mean[:, -1].double(),
        moments.variance[:, -1].double().sqrt(),
        posterior_mean(surrogate, data.features[possible], possible)[:, -1].double(),
        campaign.config.top_k,
    )
    gain += reward.probability(keys)[:, -1].log()
    row, target = {key: i for i, key in enumerate(keys)}, len(campaign.ladder) - 1
    climbs = torch.tensor([highest.get(q.key, -1) < rung[q.fidelity] < target for q in queries])
    return torch.where(climbs, gain[[row[q.key] for q in queries]], -torch.inf)


def _possible(fitted: Fitted) -> Tensor:
    """Rows of the candidates that probably have a value at the target, or may; else of all."""
    data = fitted.data
    keys = [key for key in data.keys if key not in data.failed] or data.keys
    return data.places(attainable(keys, fitted.feasibility))


def sought_keys(
    campaign: Campaign, fitted: Fitted, surrogate: Surrogate, keys: Sequence[str]
) -> list[str]:
    """The most promising candidates of the ledger and of some keys, whose order is to be learnt.

    Empty where a round is not chosen by what it teaches.
    """
    if rest_by(campaign) != "knowledge":
        return []
    known = attainable(list(dict.fromkeys([*fitted.data.keys, *keys])), fitted.feasibility)
    moments = surrogate.joint(campaign.features(known), fitted.candidate(known))
    bound = moments.mean[:, -1] + moments.variance[:, -1].sqrt()
    best = [known[i] for i in best_rows(bound, SOUGHT)]
    return best if len(best) > 1 else []
