"""How probable it is that a query has a value at all, learnt from those that failed."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mfal.dataset import Dataset, Featurise, success_dataset
from mfal.errors import SurrogateError
from mfal.failures import by_rung, failed_below, goes_on
from mfal.surrogate.base import Surrogate, posterior_mean
from mfal.types import Fidelity, Observation

log = logging.getLogger(__name__)

LEAST = 0.02  # of a probability: a surrogate's mean may lie below zero


@dataclass(frozen=True)
class _Learnt:
    """What one fidelity's answers and failures teach.

    Attributes:
        surrogate: Fitted to 1 for an answer and 0 for a failure.
        data: What it was fitted to.
    """

    surrogate: Surrogate
    data: Dataset


class Feasibility:
    """Probability that a candidate has a value, at each fidelity.

    Oracles fail on kinds of candidates rather than by chance, such as molecules that fall apart
    when they are relaxed. Least-squares classification (Rasmussen & Williams, Gaussian Processes
    for Machine Learning (2006), section 6.5): for each fidelity by itself a surrogate of the
    campaign's own kind is fitted to 1 for an answer and 0 for a failure, and its mean is taken
    for the probability. Where none failed, or all, it is Laplace's (successes + 1) / (n + 2).

    What fails at a fidelity is taken to fail at those above it, as long as no candidate did
    otherwise. Then each fidelity is learnt from candidates that did not fail below it, and the
    probability of an answer is the product up to there: the many cheap failures speak at the
    target, too. What became of a candidate where it was asked is known: nothing is predicted there.
    A round asks of the same candidates again and again, so that what was found is kept.

    Args:
        models: What was learnt of each fidelity, or the same probability for all candidates.
        featurise: Keys to ``n x p`` features.
        rate: Laplace's probability at the target, over all that was asked there.
        chained: Whether what fails at a fidelity fails above it.
        known: Key -> at each fidelity 1 where it had a value, 0 where it failed, and NaN where
            that is not known.
    """

    def __init__(
        self,
        models: Sequence[_Learnt | float],
        featurise: Featurise,
        rate: float,
        *,
        chained: bool,
        known: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        self._models = tuple(models)
        self._featurise = featurise
        self._rate = rate
        self._chained = chained
        self._place = {key: i for i, key in enumerate(known or {})}
        unknown = [[torch.nan] * len(models)]  # the last row, for all others
        self._known = torch.tensor([*(known or {}).values(), *unknown], dtype=torch.float64)
        self._found: dict[str, list[float]] = {}

    def __call__(self, keys: Sequence[str]) -> Tensor:
        """Probabilities of n candidates at M fidelities, ``n x M`` in [`LEAST`, 1]."""
        new = [key for key in dict.fromkeys(keys) if key not in self._found]
        if new:
            self._found |= zip(new, self._probabilities(new).tolist(), strict=True)
        rows = [self._found[key] for key in keys]
        return torch.tensor(rows, dtype=torch.float64).view(len(keys), len(self._models))

    def _probabilities(self, keys: Sequence[str]) -> Tensor:
        features = self._featurise(keys)
        each = torch.stack([_mean(m, keys, features) for m in self._models], dim=1)
        known = self._known[[self._place.get(key, -1) for key in keys]]
        each = torch.where(known.isnan(), each, known).clamp(LEAST, 1)
        return each.cumprod(dim=1).clamp_min(LEAST) if self._chained else each

    def is_probable(self, keys: Sequence[str]) -> list[bool]:
        """Whether each is more likely than not to have a value at the target, ``n``.

        Where most of what was asked there failed, whether it is at least as likely as that:
        nothing but what is known might be left otherwise.
        """
        probable: list[bool] = (self(keys)[:, -1] >= min(0.5, self._rate)).tolist()
        return probable


def learn_feasibility(
    observations: Sequence[Observation],
    ladder: Sequence[Fidelity],
    featurise: Featurise,
    surrogate: Surrogate,
    *,
    seed: int,
) -> Feasibility | None:
    """What the failures of a ledger teach; None where there are none.

    Args:
        observations: All there are, failures too.
        ladder: Fidelities by rising level.
        featurise: Keys to ``n x p`` features.
        surrogate: Of one fidelity, to be fitted; it is left as it is.
        seed: Of the fits.
    """
    if all(o.outcome.values is not None for o in observations):
        return None
    rungs = by_rung(observations, ladder)
    rate, chained = _rate(rungs[-1]), goes_on(rungs)
    if chained:
        rungs = [
            [o for o in asked if o.query.key not in below]
            for asked, below in zip(rungs, failed_below(rungs), strict=True)
        ]
    models = [
        _learn(asked, fidelity, featurise, surrogate, seed)
        for asked, fidelity in zip(rungs, ladder, strict=True)
    ]
    known = _known(observations, ladder, chained=chained)
    return Feasibility(models, featurise, rate, chained=chained, known=known)


def _learn(
    asked: Sequence[Observation],
    fidelity: Fidelity,
    featurise: Featurise,
    surrogate: Surrogate,
    seed: int,
) -> _Learnt | float:
    if not asked:
        return 1.0  # Nothing speaks against it.
    rate = _rate(asked)
    if len({o.outcome.values is None for o in asked}) < 2:
        return rate
    data = success_dataset(asked, fidelity, featurise)
    try:
        return _Learnt(surrogate.fit(data, seed=seed), data)
    except SurrogateError as error:
        log.warning("failures at %s tell no candidates apart: %s", fidelity.name, error.message)
        return rate


def _known(
    observations: Sequence[Observation], ladder: Sequence[Fidelity], *, chained: bool
) -> dict[str, list[float]]:
    """What became of each candidate; where failures go on above, a value speaks for those below."""
    rungs = {f.name: i for i, f in enumerate(ladder)}
    known: dict[str, list[float]] = {}
    for o in observations:
        row = known.setdefault(o.query.key, [torch.nan] * len(ladder))
        rung = rungs[o.query.fidelity]
        if o.outcome.values is None:
            row[rung] = 0.0
        else:
            first = 0 if chained else rung
            row[first : rung + 1] = [1.0] * (rung + 1 - first)
    return known


def _rate(asked: Sequence[Observation]) -> float:
    """Laplace's probability of an answer, (successes + 1) / (n + 2)."""
    return (sum(o.outcome.values is not None for o in asked) + 1) / (len(asked) + 2)


def _mean(model: _Learnt | float, keys: Sequence[str], features: Tensor) -> Tensor:
    if isinstance(model, float):
        return torch.full((len(keys),), model, dtype=torch.float64)
    return posterior_mean(model.surrogate, features, model.data.places(keys))[:, 0].double()
