"""What a round asks: the random design at the start, and a chosen batch from then on."""

import logging
import random
from collections.abc import Collection, Sequence
from itertools import count

import torch
from torch import Tensor

from mfal.acquisition.base import is_information
from mfal.acquisition.reward import AcquisitionReward
from mfal.batch.crowd import Crowd
from mfal.batch.knowledge import Sought
from mfal.batch.select import Pool, candidate_queries, select_batch
from mfal.budget import fits, total_cost
from mfal.campaign import Campaign, derive_seed
from mfal.dataset import Dataset
from mfal.design import missing_counts, nested_design
from mfal.envs.base import Environment
from mfal.failures import failed_candidates
from mfal.gfn.base import Proposals, no_reward
from mfal.gfn.baselines import RandomSampler
from mfal.learn import Fitted
from mfal.rest import improvement, rest_by, sought_keys
from mfal.surrogate.base import Surrogate, posterior_mean
from mfal.types import Fidelity, Query

log = logging.getLogger(__name__)

DRAWN = 256  # candidates drawn at once for a random design


def initial_design(campaign: Campaign, seed: int) -> list[Query]:
    """Random candidates, nested: those asked at a fidelity are also asked at those below it.

    What a surrogate learns of how fidelities differ, it learns from candidates that were
    asked at several. Where data were imported, only what they leave missing is asked, of
    imported candidates first, drawn at random. Of what has failed nothing more is asked; those
    of candidates outside the sampler's list teach, and none of these is bought.

    Raises:
        ConfigError: if the problem has fewer candidates than the design asks for.
    """
    observations = campaign.store.observations()
    asked = [o.query for o in observations if campaign.may_ask(o.query.key)]
    missing = missing_counts(
        campaign.initial_counts, [o.query for o in observations if o.outcome.values is not None]
    )
    known = {q.key for q in asked}
    fresh = random_keys(campaign, max(missing.values()), seed, without=known)
    random.Random(seed).shuffle(asked)  # a table of one's own is often sorted by value
    failed = failed_candidates(observations, campaign.ladder)
    among = "the problem's search space"
    if campaign.pool is not None:
        among = f"the sampler's list of {len(campaign.pool)} candidates"
    return nested_design(missing, campaign.ladder, asked, fresh, failed, among)


def random_keys(
    campaign: Campaign,
    n: int,
    seed: int,
    *,
    without: Collection[str] = frozenset(),
    tries: int = 20,
) -> list[str]:
    """At most n different candidates of a campaign; see `random_candidates`.

    Whichever fidelities the campaign uses, they are the same: campaigns that are compared
    begin from the same. Where it chooses from a fixed list, they are drawn from that.
    """
    if campaign.pool is not None:
        rest = [key for key in campaign.pool if key not in without]
        order = torch.randperm(len(rest), generator=torch.Generator().manual_seed(seed))
        return [rest[i] for i in order[:n].tolist()]
    ladder = campaign.problem.oracle.fidelities
    return random_candidates(campaign.environment, ladder, n, seed, without=without, tries=tries)


def random_candidates(
    environment: Environment,
    ladder: Sequence[Fidelity],
    n: int,
    seed: int,
    *,
    without: Collection[str] = frozenset(),
    tries: int = 20,
) -> list[str]:
    """At most n different candidates, as `RandomSampler` draws them.

    The same seed gives the same candidates in the same order, however many are wanted.

    Args:
        without: Candidates that are left out.
        tries: How many draws in a row have to find nothing new before fewer are taken for all
            there are.
    """
    sampler = RandomSampler(environment, ladder)
    found: dict[str, None] = {}
    barren = 0
    for i in count():
        if len(found) >= n or barren == tries:
            break
        # Draws of one size, so that the number wanted does not change the candidates.
        drawn = sampler.sample(no_reward, DRAWN, seed=derive_seed(seed, i))
        before = len(found)
        found |= dict.fromkeys(q.key for q in drawn.queries if q.key not in without)
        barren = barren + 1 if len(found) == before else 0
    return list(found)[:n]


def propose(campaign: Campaign, fitted: Fitted, proposals: Proposals, seed: int) -> list[Query]:
    """The batch: the best of the proposals and of promotions that the budget pays for."""
    surrogate, reward = fitted.surrogate, fitted.reward
    if surrogate is None or reward is None:
        return random_batch(campaign, proposals, seed)
    strangers = random_keys(
        campaign,
        round(campaign.config.batch.random_share * campaign.config.proposals),
        derive_seed(seed, "random"),
    )
    anywhere = [*strangers]
    if rest_by(campaign) == "improvement":
        anywhere += [q.key for q in proposals.queries]  # to have been asked at all is what counts
    queries = candidate_queries(
        [*proposals.queries, *(Query(key, f.name) for key in anywhere for f in campaign.ladder)],
        promotions(campaign, fitted.data, surrogate),
        [f.name for f in campaign.ladder],
        campaign.store.asked(),
    )
    if not queries:
        return []
    if campaign.config.batch.fidelity == "random":
        queries = at_random_fidelities(campaign, queries, derive_seed(seed, "fidelity"))
    pool = make_pool(campaign, fitted, surrogate, reward, queries)
    crowd = make_crowd(campaign, fitted.data, surrogate, queries)
    batch = select_batch(pool, campaign.config.batch, campaign.left, crowd)
    if batch or crowd is None:
        return batch
    log.warning("every proposal is like a better candidate: this round does without diversity")
    return select_batch(pool, campaign.config.batch, campaign.left)


def at_random_fidelities(campaign: Campaign, queries: Sequence[Query], seed: int) -> list[Query]:
    """Each candidate once, at a fidelity drawn uniformly from those it was not asked at."""
    asked, draw = campaign.store.asked(), random.Random(seed)
    open_queries = (
        [q for q in (Query(key, f.name) for f in campaign.ladder) if q not in asked]
        for key in dict.fromkeys(q.key for q in queries)
    )
    return [draw.choice(choices) for choices in open_queries]


def make_crowd(
    campaign: Campaign, data: Dataset, surrogate: Surrogate, queries: Sequence[Query]
) -> Crowd | None:
    """The ledger's candidates by posterior mean at the target; None without such a limit.

    What failed has no place that others like it would have to better.
    """
    config = campaign.config.diversity
    if config is None:
        return None
    keys = list(dict.fromkeys([*data.keys, *(q.key for q in queries)]))
    mean = posterior_mean(surrogate, campaign.features(keys), data.places(keys))
    merit = dict(zip(keys, mean[:, -1].tolist(), strict=True))
    return Crowd(
        campaign.similarity,
        config.at_most,
        {key: merit[key] for key in data.keys if key not in data.failed},
        merit,
        measured={data.keys[i] for i in data.at_target.tolist()},
        places=campaign.config.top_k,
    )


def promotions(campaign: Campaign, data: Dataset, surrogate: Surrogate) -> list[str]:
    """Candidates in the ledger that were not asked at the target, the most promising first.

    What failed is not among them, nor what the sampler's list does not hold.
    """
    rest = torch.tensor([key not in data.failed and campaign.may_ask(key) for key in data.keys])
    rest[data.at_target] = False
    rows = rest.nonzero()[:, 0]
    if not len(rows):
        return []
    mean = posterior_mean(surrogate, data.features[rows], rows)[:, -1]
    best = rows[mean.argsort(descending=True, stable=True)[: campaign.config.batch.promotions]]
    return [data.keys[i] for i in best.tolist()]


def make_pool(
    campaign: Campaign,
    fitted: Fitted,
    surrogate: Surrogate,
    reward: AcquisitionReward,
    queries: Sequence[Query],
) -> Pool:
    """The competing queries with their acquisition values, costs and covariance."""
    rung = {f.name: i for i, f in enumerate(campaign.ladder)}
    keys = list(dict.fromkeys(q.key for q in queries))
    index = {key: i for i, key in enumerate(keys)}
    row = torch.tensor([index[q.key] for q in queries])
    fidelity = torch.tensor([rung[q.fidelity] for q in queries])
    best = sought_keys(campaign, fitted, surrogate, keys)
    features, candidate = campaign.features([*keys, *best]), fitted.candidate([*keys, *best])
    behind = torch.arange(len(keys), len(keys) + len(best))
    target = torch.full((len(best),), len(campaign.ladder) - 1)
    # Where a lot has drawn the fidelity, neither what a query is worth there nor its cost may.
    by_lot = campaign.config.batch.fidelity == "random"
    judged = torch.full_like(fidelity, len(campaign.ladder) - 1) if by_lot else fidelity

    def covariance(rows: Tensor) -> Tensor:
        at = torch.cat([row[rows], behind])
        return surrogate.covariance(features[at], candidate[at], torch.cat([judged[rows], target]))

    value = reward.value(keys)[row, judged]
    sought = None
    if is_best := set(best):
        sought = Sought(
            mean=posterior_mean(surrogate, features[behind], candidate[behind])[:, -1].double(),
            k=min(campaign.config.top_k, max(1, len(best) // 5)),
            rows=torch.tensor([q.key in is_best for q in queries]).nonzero()[:, 0],
            probability=reward.probability(keys)[row, fidelity],
        )
    return Pool(
        queries=tuple(queries),
        value=value,
        cost=tuple(campaign.cost(q.fidelity) for q in queries),
        is_target=fidelity == len(campaign.ladder) - 1,
        covariance=covariance,
        noise=surrogate.joint(features[:1], candidate[:1]).noise[judged],
        nat=1.0 if is_information(reward.acquisition) else float(value.std(correction=0)),
        per_cost=not by_lot,
        sought=sought,
        improvement=improvement(campaign, fitted, surrogate, reward, queries),
    )


def random_batch(campaign: Campaign, proposals: Proposals, seed: int) -> list[Query]:
    """Random proposals until the round's limits, the fallback of a round."""
    limits = campaign.config.batch
    left = campaign.left if limits.cost is None else min(campaign.left, limits.cost)
    asked = campaign.store.asked()
    fresh = [q for q in dict.fromkeys(proposals.queries) if q not in asked]
    order = torch.randperm(len(fresh), generator=torch.Generator().manual_seed(seed))
    chosen: list[Query] = []
    spent = 0.0
    for i in order.tolist():
        cost = campaign.cost(fresh[i].fidelity)
        if len(chosen) == (limits.queries or len(fresh)):
            break
        if fits(total_cost([spent, cost]), left):
            chosen.append(fresh[i])
            spent = total_cost([spent, cost])
    return chosen
