"""Ledger rows as tensors, with one index per distinct candidate."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from mfal.failures import failed_candidates
from mfal.types import Fidelity, Objective, Observation, Query

Featurise = Callable[[Sequence[str]], Tensor]


@dataclass(frozen=True)
class Dataset:
    """N successful observations of n distinct candidates.

    Attributes:
        keys: The n distinct candidates in order of first appearance.
        features: Their features, ``n x p``, float64.
        candidate: Index into `keys` of each observation, ``N``, int64.
        fidelity: Rung of each observation, 0 the lowest, ``N``, int64.
        utility: Value of the objective times its sign (so higher is better), ``N``,
            float64, in the objective's unit.
        n_fidelities: Length of the ladder; the target is ``n_fidelities - 1``.
        failed: Candidates that are known to have no value at the target; `keys` has those of them
            that had one below it.
    """

    keys: tuple[str, ...]
    features: Tensor
    candidate: Tensor
    fidelity: Tensor
    utility: Tensor
    n_fidelities: int
    failed: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.utility)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Key -> its place in `keys`."""
        return {key: i for i, key in enumerate(self.keys)}

    def places(self, keys: Sequence[str]) -> Tensor:
        """Place of each of n keys in `keys`, -1 for a new one, ``n``."""
        return torch.tensor([self.index.get(key, -1) for key in keys], dtype=torch.long)

    @property
    def at_target(self) -> Tensor:
        """Index into `keys` of each observation at the target, int64."""
        return self.candidate[self.fidelity == self.n_fidelities - 1]

    def rows(self, rows: Tensor) -> "Dataset":
        """The observations at `rows` (indices or a mask over N), with candidates where they are."""
        return replace(
            self,
            candidate=self.candidate[rows],
            fidelity=self.fidelity[rows],
            utility=self.utility[rows],
        )

    def subset(self, rows: Tensor) -> "Dataset":
        """The observations at `rows` (indices or a mask over N), with candidates renumbered."""
        chosen = self.rows(rows)
        kept, renumbered = torch.unique(chosen.candidate, return_inverse=True)
        return replace(
            chosen,
            keys=tuple(self.keys[i] for i in kept.tolist()),
            features=self.features[kept],
            candidate=renumbered,
        )


def build_dataset(
    observations: Sequence[Observation],
    ladder: Sequence[Fidelity],
    objective: Objective,
    featurise: Featurise,
) -> Dataset:
    """The successful ones among `observations`; what failures teach is `success_dataset`."""
    values = [
        (o.query, o.outcome.value * objective.sign)
        for o in observations
        if o.outcome.value is not None
    ]
    data = _dataset(values, ladder, featurise)
    return replace(data, failed=failed_candidates(observations, ladder))


def success_dataset(
    observations: Sequence[Observation], fidelity: Fidelity, featurise: Featurise
) -> Dataset:
    """All `observations` at one fidelity, with utilities of 1 for answers and 0 for failures."""
    values = [(o.query, float(o.outcome.values is not None)) for o in observations]
    return _dataset(values, [fidelity], featurise)


def _dataset(
    values: Sequence[tuple[Query, float]], ladder: Sequence[Fidelity], featurise: Featurise
) -> Dataset:
    rung = {f.name: i for i, f in enumerate(ladder)}
    keys = tuple(dict.fromkeys(query.key for query, _ in values))
    index = {key: i for i, key in enumerate(keys)}
    return Dataset(
        keys=keys,
        features=featurise(keys).to(torch.float64),
        candidate=torch.tensor([index[query.key] for query, _ in values], dtype=torch.long),
        fidelity=torch.tensor([rung[query.fidelity] for query, _ in values], dtype=torch.long),
        utility=torch.tensor([value for _, value in values], dtype=torch.float64),
        n_fidelities=len(ladder),
    )


def split_by_candidate(data: Dataset, share: float, *, seed: int) -> tuple[Dataset, Dataset]:
    """Train and held-out parts that share no candidate.

    Args:
        share: Share of the distinct candidates that is held out, in (0, 1).
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data.keys), generator=generator)
    held_out = torch.zeros(len(data.keys), dtype=torch.bool)
    held_out[order[: max(1, round(share * len(data.keys)))]] = True
    mask = held_out[data.candidate]
    return data.subset(~mask), data.subset(mask)


def folds_by_candidate(data: Dataset, k: int, *, seed: int) -> list[Tensor]:
    """At most k masks over the N observations, bool ``N`` each, that part them all.

    No candidate is in two of them, and none is empty: fewer than k where there are fewer
    candidates.
    """
    generator = torch.Generator().manual_seed(seed)
    fold = torch.empty(len(data.keys), dtype=torch.long)
    fold[torch.randperm(len(data.keys), generator=generator)] = torch.arange(len(data.keys)) % k
    return [fold[data.candidate] == i for i in range(min(k, len(data.keys)))]
