"""The floor on what a batch spends at the target."""

import math

import torch
from torch import Tensor

from mfal.budget import total_of_counted
from mfal.sections import BatchConfig


def cheapest_at_target(price: Tensor, at_target: Tensor) -> float:
    """What a query at the target costs; 0 where none is to be had."""
    return float(price[at_target].min()) if at_target.any() else 0.0


def owed_to_target(
    limit: float, target_spent: float, target_cost: float, share: float, config: BatchConfig
) -> float:
    """What is kept in reserve for whole queries at the target, to make up its share of a limit.

    Only where the cost alone ends a round, and where a query at the target is to be had.
    """
    if not target_cost or config.queries is not None:
        return 0.0
    owed = max(0.0, share * limit - target_spent)
    return total_of_counted([(target_cost, math.ceil(owed / target_cost - 1e-9))])


def breaks_floor(
    price: Tensor,
    limit: float,
    spent: float,
    target_spent: float,
    target_cost: float,
    owed: float,
    share: float,
    config: BatchConfig,
) -> Tensor:
    """Which prices would leave too little for the target's share, bool ``n``.

    Where the cost alone ends a round, that is too little for what is owed to the target; where
    their number may end it, the share holds at every step.
    """
    if not target_cost:
        return torch.zeros_like(price, dtype=torch.bool)
    if config.queries is not None:
        return target_spent < share * (spent + price) - 1e-9
    return spent + price + owed > limit + 1e-9
