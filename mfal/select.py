"""From many proposals to the batch that is bought: unique, diverse, affordable."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mfal.budget import fits, minus, total_cost
from mfal.config import BatchConfig
from mfal.types import Query

Covariance = Callable[[Tensor], Tensor]
"""Rows of the pool -> posterior covariance among them, ``n x n``."""

SHORTLIST = 1500  # how many queries of each kind the greedy choice looks at


@dataclass(frozen=True)
class Pool:
    """Distinct queries that compete for a place in the batch.

    Attributes:
        value: What each is worth before its cost, ``n``.
        cost: Campaign units, ``n``.
        is_target: Which are at the target fidelity, bool ``n``.
        covariance: Posterior covariance among rows, for the diversity term.
        noise: Noise variance of each row's observation, ``n``.
    """

    queries: tuple[Query, ...]
    value: Tensor
    cost: tuple[float, ...]
    is_target: Tensor
    covariance: Covariance
    noise: Tensor


def candidate_queries(
    proposed: Iterable[Query],
    promoted: Iterable[str],
    ladder: Sequence[str],
    asked: set[Query],
) -> list[Query]:
    """Distinct queries that were never asked: proposals, each also at the target, and promotions.

    Args:
        proposed: What the sampler offers.
        promoted: Keys that were asked before and may be asked at a higher fidelity.
        ladder: Names of the fidelities by rising level.
        asked: All queries in the ledger.
    """
    found: dict[Query, None] = {}
    for query in proposed:
        found[query] = None
        found[Query(query.key, ladder[-1])] = None
    for key in promoted:
        lowest = min(i for i, name in enumerate(ladder) if Query(key, name) in asked)
        for name in ladder[lowest + 1 :]:
            found[Query(key, name)] = None
    return [query for query in found if query not in asked]


def select_batch(pool: Pool, config: BatchConfig, left: float) -> list[Query]:
    """The batch: greedy by (value + diversity) per cost, within the round's limits.

    The diversity term is the gain of log determinant of the batch's posterior covariance,
    by a Cholesky factor that grows a row per pick (the batch form of GIBBON, Moss et al.
    2021, arXiv 2102.03324, with a weight). A query below the target is only taken if the
    target can still get its share of the cost, `config.target_share`, as long as queries at
    the target are to be had and affordable; and a candidate is taken at one fidelity only.

    Args:
        left: Campaign units that the campaign may still spend.
    """
    if not pool.queries:
        return []
    limit = left if config.cost is None else min(left, config.cost)
    most = config.queries or len(pool.queries)
    rows = _shortlist(pool)
    chosen = _greedy(pool, rows, limit, most, config)
    return [pool.queries[int(rows[i])] for i in chosen]


def _shortlist(pool: Pool) -> Tensor:
    """Rows with the best value per cost, at the target and overall, in the pool's order."""
    rate = pool.value / torch.tensor(pool.cost, dtype=pool.value.dtype)
    target = pool.is_target.nonzero()[:, 0]
    best = torch.cat(
        [
            rate.argsort(descending=True, stable=True)[:SHORTLIST],
            target[rate[target].argsort(descending=True, stable=True)[:SHORTLIST]],
        ]
    )
    rows: Tensor = torch.unique(best)
    return rows


def _greedy(pool: Pool, rows: Tensor, limit: float, most: int, config: BatchConfig) -> list[int]:
    """Indices into `rows`, in the order of choice."""
    value, noise, is_target = pool.value[rows], pool.noise[rows], pool.is_target[rows]
    cost = [pool.cost[i] for i in rows.tolist()]
    price = torch.tensor(cost, dtype=value.dtype)
    covariance = pool.covariance(rows)
    prior = covariance.diagonal() + noise
    posterior = prior.clone()
    factor = torch.zeros(0, len(rows), dtype=value.dtype)
    same_key = _same_key([pool.queries[i].key for i in rows.tolist()])
    alive = torch.ones(len(rows), dtype=torch.bool)
    weight = config.repulsion
    if weight is None:
        weight = 1.0 / max(1.0, min(most, limit / float(price.mean())))
    chosen: list[int] = []
    spent = target_spent = 0.0
    while len(chosen) < most:
        left = minus(limit, spent)
        affordable = torch.tensor([fits(c, left) for c in cost])
        open_rows = alive & affordable
        if not open_rows.any():
            break
        gain = value + weight * 0.5 * torch.log((posterior / prior).clamp_min(1e-12))
        breaks = ~is_target & _breaks_floor(
            price, limit, spent, target_spent, _target_cost(price, open_rows & is_target), config
        )
        preferred = open_rows & ~breaks
        eligible = preferred if preferred.any() else open_rows
        rows_left = eligible.nonzero()[:, 0]
        pick = int(rows_left[(gain / price)[rows_left].argmax()])
        chosen.append(pick)
        spent = total_cost([spent, cost[pick]])
        target_spent = total_cost([target_spent, cost[pick] if is_target[pick] else 0.0])
        alive[same_key[pick]] = False
        row = (covariance[pick] - factor[:, pick] @ factor) / posterior[pick].clamp_min(
            1e-12
        ).sqrt()
        factor = torch.cat([factor, row[None]])
        posterior = (posterior - row**2).clamp_min(1e-12)
    return chosen


def _target_cost(price: Tensor, at_target: Tensor) -> float:
    """What a query at the target costs; 0 where none is to be had."""
    return float(price[at_target].min()) if at_target.any() else 0.0


def _breaks_floor(
    price: Tensor,
    limit: float,
    spent: float,
    target_spent: float,
    target_cost: float,
    config: BatchConfig,
) -> Tensor:
    """Which prices would leave too little for the target's share, bool ``n``.

    Where the cost alone ends a round, enough whole target queries to make up the share of
    that limit are kept in reserve; where their number may end it, the share holds at every
    step.
    """
    if not target_cost:
        return torch.zeros_like(price, dtype=torch.bool)
    if config.queries is not None:
        return target_spent < config.target_share * (spent + price)
    owed = max(0.0, config.target_share * limit - target_spent)
    reserve = total_cost([target_cost] * math.ceil(owed / target_cost - 1e-9))
    return spent + price + reserve > limit + 1e-9


def _same_key(keys: Sequence[str]) -> list[list[int]]:
    rows: dict[str, list[int]] = {}
    for i, key in enumerate(keys):
        rows.setdefault(key, []).append(i)
    return [rows[key] for key in keys]
