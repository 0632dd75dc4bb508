"""Pools of queries that compete for a place in a batch."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mfal.sections import BatchConfig
from mfal.select import Pool
from mfal.types import Query

LOW, HIGH = "low", "high"


def pool(
    rows: Sequence[tuple[str, str, float, float]],
    covariance: Tensor | None = None,
    noise: float = 0.1,
) -> Pool:
    """A pool of (key, fidelity, value, cost), independent where nothing else is said."""
    prior = torch.eye(len(rows), dtype=torch.float64) if covariance is None else covariance
    return Pool(
        queries=tuple(Query(key, fidelity) for key, fidelity, _, _ in rows),
        value=torch.tensor([value for _, _, value, _ in rows], dtype=torch.float64),
        cost=tuple(cost for _, _, _, cost in rows),
        is_target=torch.tensor([at == HIGH for _, at, _, _ in rows], dtype=torch.bool),
        covariance=lambda picked: prior[picked][:, picked],
        noise=torch.full((len(rows),), noise, dtype=torch.float64),
    )


def limits(**changes: Any) -> BatchConfig:
    return BatchConfig(**{"cost": 100.0, "target_share": 0.0, "repulsion": 0.0} | changes)


def random_pool(n: int, seed: int, *, costs: tuple[float, float] = (1.0, 7.0)) -> Pool:
    """n candidates at both fidelities, with the covariance of random features."""
    generator = torch.Generator().manual_seed(seed)
    value = torch.rand(2 * n, generator=generator, dtype=torch.float64).tolist()
    features = torch.randn(n, 3, generator=generator, dtype=torch.float64).repeat(2, 1)
    covariance = torch.exp(-torch.cdist(features, features).square() / 4)
    across = torch.arange(2 * n) < n
    covariance = covariance * torch.where(across[:, None] == across, 1.0, 0.8)
    rows = [
        (f"k{i % n}", LOW if i < n else HIGH, value[i], costs[0] if i < n else costs[1])
        for i in range(2 * n)
    ]
    return pool(rows, covariance)
