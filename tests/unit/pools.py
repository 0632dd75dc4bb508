"""Pools of queries that compete for a place in a batch."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mfal.batch.knowledge import Sought
from mfal.batch.select import Pool
from mfal.sections import BatchConfig
from mfal.types import Query

LOW, HIGH = "low", "high"


def pool(
    rows: Sequence[tuple[str, str, float, float]],
    covariance: Tensor | None = None,
    noise: float = 0.1,
    sought: Sought | None = None,
    improvement: Sequence[float] | None = None,
) -> Pool:
    """A pool of (key, fidelity, value, cost), independent where nothing else is said.

    What is sought stands behind the rows in `covariance`.
    """
    prior = torch.eye(len(rows), dtype=torch.float64) if covariance is None else covariance
    behind = torch.arange(len(rows), len(prior))

    def among(picked: Tensor) -> Tensor:
        at = torch.cat([picked, behind])
        return prior[at][:, at]

    return Pool(
        queries=tuple(Query(key, fidelity) for key, fidelity, _, _ in rows),
        value=torch.tensor([value for _, _, value, _ in rows], dtype=torch.float64),
        cost=tuple(cost for _, _, _, cost in rows),
        is_target=torch.tensor([at == HIGH for _, at, _, _ in rows], dtype=torch.bool),
        covariance=among,
        noise=torch.full((len(rows),), noise, dtype=torch.float64),
        sought=sought,
        improvement=None
        if improvement is None
        else torch.tensor(improvement, dtype=torch.float64).log(),
    )


def learning_pool(rows: Sequence[tuple[str, str, float, float]], seed: int) -> Pool:
    """The same, with eight sought candidates about which every row tells something."""
    generator = torch.Generator().manual_seed(seed)
    n = len(rows)
    root = torch.randn(n + 8, 5, generator=generator, dtype=torch.float64)
    mean = torch.randn(8, generator=generator, dtype=torch.float64)
    sure = torch.ones(n, dtype=torch.float64)
    return pool(rows, root @ root.T, sought=Sought(mean, 3, torch.arange(n), sure))


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
