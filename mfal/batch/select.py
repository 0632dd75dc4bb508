"""From many proposals to the batch that is bought: unique, diverse, affordable."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mfal.batch.conditioning import Conditioned
from mfal.batch.crowd import Crowd
from mfal.batch.filling import Filling
from mfal.batch.floor import breaks_floor, cheapest_at_target, owed_to_target
from mfal.batch.improvement import BestImprovement, improvement_rate
from mfal.batch.knowledge import BestLesson, Knowledge, Sought
from mfal.budget import fits, minus, total_cost
from mfal.sections import BatchConfig
from mfal.types import Query

log = logging.getLogger(__name__)

Covariance = Callable[[Tensor], Tensor]
"""Rows of the pool -> posterior covariance among them and, behind them, the values at the target
of the r candidates that are sought, ``(n + r) x (n + r)``."""

# How many queries of each kind the greedy choice looks at: twice as many as it may choose, but
# within these bounds. The covariance among them is what a choice costs.
SHORTLIST = (500, 1000)

# Share of the target where the configuration leaves it open. What is chosen for what it teaches may
# be at the target, too.
FLOOR, FLOOR_IF_SOUGHT = 0.5, 0.3


@dataclass(frozen=True)
class Pool:
    """Distinct queries that compete for a place in the batch.

    Attributes:
        value: What each is worth before its cost, ``n``.
        cost: Campaign units, ``n``.
        is_target: Which are at the target fidelity, bool ``n``.
        covariance: Posterior covariance among rows, and with what is sought.
        noise: Noise variance of each row's observation, ``n``.
        nat: What a nat of diversity is worth, in the unit of `value`: 1 where that is
            information.
        per_cost: Whether value and diversity count per cost; else a query may cost what it will.
        sought: Among which candidates the best are looked for; None where that does not count.
        improvement: Logarithm of what each is expected to add to the best that were asked,
            ``n``; None where that does not count.
    """

    queries: tuple[Query, ...]
    value: Tensor
    cost: tuple[float, ...]
    is_target: Tensor
    covariance: Covariance
    noise: Tensor
    nat: float = 1.0
    per_cost: bool = True
    sought: Sought | None = None
    improvement: Tensor | None = None


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


def select_batch(
    pool: Pool, config: BatchConfig, left: float, crowd: Crowd | None = None
) -> list[Query]:
    """The batch, chosen one by one within the round's limits.

    Where something is sought, only the target's share of the cost is chosen by value, and the
    rest by what it teaches about that per cost (`mfal.batch.knowledge`); so it is where what
    improves on what was asked counts, as long as something does. Else all is chosen by (value +
    diversity) per cost.

    The diversity term is the gain of log determinant of the batch's posterior covariance,
    by a Cholesky factor that grows a row per pick (the batch form of GIBBON, Moss et al.
    2021, arXiv 2102.03324, with a weight), in nats; where the value is no information, a nat
    counts as much as the spread of the values. A query below the target is only taken if the
    target can still get its share of the cost, `config.target_share` or `FLOOR`, as long as
    queries at the target are to be had and affordable; and a candidate is taken at one fidelity
    only. Where queries below the target took so many candidates, or left so little room for
    others like them, that it did not get its share, that is chosen first. No query is taken that
    would leave more of the limit unspent than another choice would, as far as the floor allows.

    Args:
        left: Campaign units that the campaign may still spend.
        crowd: Which candidates there is no room for; None where there is for all. The batch
            is smaller where too few are left.
    """
    if not pool.queries:
        return []
    limit = left if config.cost is None else min(left, config.cost)
    most = min(config.queries or len(pool.queries), int(limit // min(pool.cost)) + 1)
    # Any number of candidates may be passed over where some are too much alike.
    rows = _shortlist(pool, most if crowd is None else len(pool.queries))
    chosen = rows[_greedy(pool, rows, limit, most, config, crowd)]
    if _lacks(pool, chosen, limit, config):
        other = rows[_greedy(pool, rows, limit, most, config, crowd, target_first=True)]
        if _at_target(pool, other) > _at_target(pool, chosen):
            chosen = other
    return [pool.queries[i] for i in chosen.tolist()]


def _at_target(pool: Pool, rows: Tensor) -> float:
    """What some rows cost at the target."""
    return total_cost(pool.cost[i] for i in rows[pool.is_target[rows]].tolist())


def _lacks(pool: Pool, chosen: Tensor, limit: float, config: BatchConfig) -> bool:
    """Whether a limit would have paid for more of the target's share of it."""
    spent = _at_target(pool, chosen)
    left = minus(limit, spent)
    prices = (pool.cost[i] for i in pool.is_target.nonzero()[:, 0].tolist())
    target_cost = min((price for price in prices if fits(price, left)), default=0.0)
    return owed_to_target(limit, spent, target_cost, _share(pool, config), config) > 0


def _shortlist(pool: Pool, most: int) -> Tensor:
    """Rows with the best value per cost, at the target and overall, in the pool's order."""
    n = min(max(2 * most, SHORTLIST[0]), SHORTLIST[1])
    cost = torch.tensor(pool.cost, dtype=torch.float64)
    rate = pool.value / cost if pool.per_cost else pool.value
    # Where nothing counts per cost, that would give the target more rows than it has by lot.
    target = (pool.is_target & pool.per_cost).nonzero()[:, 0]
    best = torch.cat(
        [
            rate.argsort(descending=True, stable=True)[:n],
            target[rate[target].argsort(descending=True, stable=True)[:n]],
        ]
    )
    if pool.sought is not None:
        best = torch.cat([best, pool.sought.rows])
    if pool.improvement is not None:
        most_added = improvement_rate(pool.improvement, cost)
        best = torch.cat([best, most_added.argsort(descending=True, stable=True)[:n]])
    rows: Tensor = torch.unique(best)
    return rows


def _greedy(
    pool: Pool,
    rows: Tensor,
    limit: float,
    most: int,
    config: BatchConfig,
    crowd: Crowd | None,
    *,
    target_first: bool = False,
) -> list[int]:
    """Indices into `rows`, in the order of choice.

    Args:
        target_first: Choose the target's share of the cost before anything below it.
    """
    value, noise, is_target = pool.value[rows], pool.noise[rows], pool.is_target[rows]
    price = torch.tensor([pool.cost[i] for i in rows.tolist()], dtype=torch.float64)
    levels, level = torch.unique(price, return_inverse=True)
    prices: list[float] = levels.tolist()
    filling = Filling(prices, limit)
    if not filling.is_exact:
        log.info("the costs have no common unit: the batch may leave more unspent than it must")
    most = min(most, len(rows))
    n_sought = 0 if pool.sought is None else len(pool.sought.mean)
    noise = torch.cat([noise, noise.new_zeros(n_sought)])
    conditioned = Conditioned(pool.covariance(rows), noise, most)
    weight = pool.nat * _repulsion(config, min(most, limit / float(price.mean())))
    counted = price if pool.per_cost else torch.ones_like(price)
    by_value = _ByValue(value, counted, weight, conditioned)
    rest = _rest(pool, rows, price, limit, config, conditioned)
    share = _share(pool, config)
    keys = [pool.queries[i].key for i in rows.tolist()]
    same_key = _same_key(keys)
    alive = torch.ones(len(rows), dtype=torch.bool)
    chosen: list[int] = []
    spent = target_spent = 0.0
    while len(chosen) < most:
        left = minus(limit, spent)
        open_rows = alive & torch.tensor([fits(c, left) for c in prices])[level]
        if not open_rows.any():
            break
        target_cost = cheapest_at_target(price, open_rows & is_target)
        owed = owed_to_target(limit, target_spent, target_cost, share, config)
        keeps_floor = is_target | ~breaks_floor(
            price, limit, spent, target_spent, target_cost, owed, share, config
        )
        still = [prices[i] for i in level[open_rows].unique().tolist()]
        fills = torch.where(
            is_target & (owed > 0),
            torch.ones_like(alive),  # it is one of those that are in reserve
            _fills(filling, prices, max(0.0, minus(left, owed)), still)[level],
        )
        eligible = _first_that_is_any(open_rows, keeps_floor, fills)
        pick = None
        if rest is not None and _beyond_floor(eligible, is_target, owed, config):
            pick = rest.among(eligible.nonzero()[:, 0])
        if pick is None:
            first = eligible
            if rest is not None or (target_first and owed > 0):
                first = eligible & is_target
            pick = by_value.among((first if first.any() else eligible).nonzero()[:, 0])
        alive[same_key[pick]] = False
        if crowd is not None and not crowd.admits(keys[pick], (keys[i] for i in chosen)):
            continue
        chosen.append(pick)
        cost = prices[int(level[pick])]
        spent = total_cost([spent, cost])
        target_spent = total_cost([target_spent, cost if is_target[pick] else 0.0])
        conditioned.observe(pick)
    return chosen


class _ByValue:
    """Finds the query with the best (value + diversity) per cost."""

    def __init__(
        self, value: Tensor, price: Tensor, weight: float, conditioned: Conditioned
    ) -> None:
        self._value = value
        self._price = price
        self._weight = weight
        self._conditioned = conditioned

    def among(self, rows: Tensor) -> int:
        """The best of some rows, of which there is one at least."""
        gain = self._value[rows] + self._weight * self._conditioned.loss()[rows]
        return int(rows[_rate(gain, self._price[rows]).argmax()])


def _rest(
    pool: Pool,
    rows: Tensor,
    price: Tensor,
    limit: float,
    config: BatchConfig,
    conditioned: Conditioned,
) -> BestLesson | BestImprovement | None:
    """What chooses beyond the target's share; None where that is the value, too.

    Where a round has room for so many and no more, a query that is to teach costs its share of
    that, too.
    """
    if pool.improvement is not None:
        return BestImprovement(pool.improvement[rows], price)
    if pool.sought is None:
        return None
    columns = len(rows) + torch.arange(len(pool.sought.mean))
    knowledge = Knowledge(pool.sought.mean, pool.sought.k, conditioned, columns)
    place = limit / config.queries if config.cost and config.queries else 0.0
    return BestLesson(knowledge, (price + place) / pool.sought.probability[rows], conditioned)


def _share(pool: Pool, config: BatchConfig) -> float:
    """The target's share of the cost, at least."""
    if config.target_share is not None:
        return config.target_share
    return FLOOR if pool.sought is None else FLOOR_IF_SOUGHT


def _repulsion(config: BatchConfig, expected: float) -> float:
    """Weight of the diversity term in nats, for a batch of about so many."""
    return 1.0 / max(1.0, expected) if config.repulsion is None else config.repulsion


def _beyond_floor(eligible: Tensor, is_target: Tensor, owed: float, config: BatchConfig) -> bool:
    """Whether the target has its share so far."""
    if config.queries is None:
        return owed == 0
    return bool((eligible & ~is_target).any())


def _rate(gain: Tensor, price: Tensor) -> Tensor:
    """What orders queries of a gain and a price: gain per price, a loss times its price.

    A loss divided by its price would prefer the dearer of two queries that lose the same.
    """
    return torch.where(gain >= 0, gain / price, gain * price)


def _fills(filling: Filling, prices: list[float], free: float, still: list[float]) -> Tensor:
    """Which prices leave no more of the limit unspent than must be, bool per price.

    Args:
        free: What is left of the limit without the reserve for the target.
        still: The prices that can still be paid.
    """
    least = filling.leftover(free, still)
    return torch.tensor(
        [fits(c, free) and filling.leftover(minus(free, c), still) <= least for c in prices]
    )


def _first_that_is_any(open_rows: Tensor, keeps_floor: Tensor, fills: Tensor) -> Tensor:
    """The rows that keep the floor and fill the limit; else that keep the floor; else fill it."""
    for wanted in (keeps_floor & fills, keeps_floor, fills):
        rows = open_rows & wanted
        if rows.any():
            return rows
    return open_rows


def _same_key(keys: Sequence[str]) -> list[list[int]]:
    rows: dict[str, list[int]] = {}
    for i, key in enumerate(keys):
        rows.setdefault(key, []).append(i)
    return [rows[key] for key in keys]
