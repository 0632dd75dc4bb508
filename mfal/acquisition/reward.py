"""From the worth of a query to the logarithm of a sampler's reward."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from mfal.acquisition.base import Acquisition, is_information
from mfal.errors import ConfigError, SurrogateError
from mfal.user_code import user_code

MOST_SPREAD = 15.0  # nats of log(worth / cost) between y = 0 and y = -1
FLAT_SPREAD = 0.05  # nats below which the acquisition is flat
FLAT_WORTH = 1e-9  # best worth, in nats, below which one that is information is flat, too


@dataclass(frozen=True)
class RewardScale:
    """What a round's rewards are measured against.

    Attributes:
        maximum: Highest log(worth / cost) in the reference set.
        median: Median over the reference candidates of their best fidelity's log(worth / cost).
        spread: Nats of log(worth / cost) that stand for one unit of temperature.
        temperature: log reward lost per spread.
        is_flat: Whether the acquisition does not tell candidates apart.
    """

    maximum: float
    median: float
    spread: float
    temperature: float
    is_flat: bool


class AcquisitionReward:
    """log R = T y with y = (log(worth / cost) - max) / spread, for every query of a candidate.

    max and median are those of the round's own reference set and spread is max - median, so
    that no setting depends on the scale of the acquisition, which changes by orders of
    magnitude from round to round. Three bounds keep the reward useful when the process is sharp:

    - spread is at most `MOST_SPREAD`, so that down to y = -1 the reward is never flatter than
      (worth / cost)^(T / 15), which by default is worth / cost itself; otherwise a median that
      lies hundreds of nats down would make all good candidates, and all fidelities, equal.
    - It is at least `FLAT_SPREAD`: where failures level what the acquisition tells apart, the rest
      would be told apart by rounding errors.
    - Below y = -1 the reward falls as -1 - log(-y): hundreds of nats would drown the training
      signal of everything else, and a clip would give no direction at all.

    Above the reference's maximum y goes on linearly. The order of queries is always kept.

    Args:
        acquisition: Worth of queries.
        featurise: Keys to ``n x p`` features.
        index: Key -> its place in the surrogate's training data. What is known about those
            candidates at one fidelity counts at the others.
        costs: Cost of each fidelity, ``M``.
        reference: Keys of the round's reference set; SurrogateError where the worth of one
            of them is not finite, or that of any candidates is not ``n x M``.
        crowding: How many temperatures of log reward n candidates lose for being like others
            that are known, ``n``; None for none.
        feasibility: Probability that n candidates have a value at M fidelities, ``n x M`` above
            zero; None where all have one. Worth is multiplied by it (Gelbart, Snoek & Adams,
            Bayesian optimization with unknown constraints, arXiv 1403.5607), and below the
            target by no more than the target's: what has no value there is of no use.
        temperature: T, log reward lost from the best of the reference to its median.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        featurise: Callable[[Sequence[str]], Tensor],
        index: Mapping[str, int],
        costs: Sequence[float],
        reference: Sequence[str],
        crowding: Callable[[Sequence[str]], NDArray[np.float64]] | None = None,
        feasibility: Callable[[Sequence[str]], Tensor] | None = None,
        *,
        temperature: Annotated[float, Field(gt=0)] = 15.0,
    ) -> None:
        if not reference:
            raise ConfigError(
                "the reward has no reference set", "give the ledger's keys or a pool of candidates"
            )
        self.acquisition = acquisition
        self.featurise = featurise
        self.index = index
        self.crowding = crowding
        self.feasibility = feasibility
        self.log_costs = torch.tensor(costs, dtype=torch.float64).log()
        worth = self._worth(reference)
        if not bool(worth.isfinite().all()):
            raise SurrogateError(
                f"{type(acquisition).__name__}: the logarithm of the worth of some of the "
                f"{len(reference)} reference candidates is not a finite number",
                "an acquisition's log() is finite wherever the surrogate's moments are",
            )
        # Differences in feasibility alone are nothing to follow.
        maximum, median = self._best_and_median(worth)
        nothing_to_learn = is_information(acquisition) and float(worth.exp().max()) < FLAT_WORTH
        is_flat = maximum - median < FLAT_SPREAD or nothing_to_learn
        self._reference = worth + self.probability(reference).log()
        self._reference_row = {key: i for i, key in enumerate(reference)}
        maximum, median = self._best_and_median(self._reference)
        self.scale = RewardScale(
            maximum=maximum,
            median=median,
            spread=min(max(maximum - median, FLAT_SPREAD), MOST_SPREAD),
            temperature=temperature,
            is_flat=is_flat,
        )

    @property
    def is_flat(self) -> bool:
        """Whether the acquisition does not tell candidates apart; a fallback may do better."""
        return self.scale.is_flat

    def statistics(self) -> dict[str, float]:
        """What the rewards are measured against, for the round's record."""
        return {name: float(value) for name, value in asdict(self.scale).items()}

    def value(self, keys: Sequence[str]) -> Tensor:
        """Expected worth of n candidates at M fidelities, before cost, ``n x M``."""
        return self.log_worth(keys).exp()

    def log_worth(self, keys: Sequence[str]) -> Tensor:
        """Logarithm of `value`, ``n x M``, finite where the worth underflows.

        That of the reference is known already: a fixed pool is asked about once a round.
        """
        row = [self._reference_row.get(key, -1) for key in keys]
        worth = self._reference[row]
        new = [i for i, at in enumerate(row) if at < 0]
        if new:
            fresh = [keys[i] for i in new]
            worth[new] = self._worth(fresh) + self.probability(fresh).log()
        return worth

    def _worth(self, keys: Sequence[str]) -> Tensor:
        """Logarithm of what answers are worth, ``n x M``."""
        place = torch.tensor([self.index.get(key, -1) for key in keys], dtype=torch.long)
        features, name = self.featurise(keys), type(self.acquisition).__name__
        with user_code(f"acquisition {name}", "mend its log()", self.acquisition):
            worth: object = self.acquisition.log(features, place)
        wanted = (len(keys), len(self.log_costs))
        # Of another shape it would be spread over candidates and fidelities without a word.
        if not isinstance(worth, Tensor) or tuple(worth.shape) != wanted:
            shape = tuple(worth.shape) if isinstance(worth, Tensor) else type(worth).__name__
            raise SurrogateError(
                f"{name}: log() of {wanted[0]} candidates at {wanted[1]} fidelities gives {shape}",
                f"an acquisition's log() gives a tensor of the shape {wanted}, a column a fidelity",
            )
        return worth

    def probability(self, keys: Sequence[str]) -> Tensor:
        """How probable an answer of use is of n candidates at M fidelities, ``n x M``."""
        if self.feasibility is None:
            return torch.ones(len(keys), len(self.log_costs), dtype=torch.float64)
        probability = self.feasibility(keys).double()
        return torch.minimum(probability, probability[:, -1:])

    def _best_and_median(self, worth: Tensor) -> tuple[float, float]:
        """Of the best fidelity's log(worth / cost), over ``n x M`` candidates."""
        best = (worth - self.log_costs).max(dim=1).values
        return float(best.max()), float(best.quantile(0.5))

    def __call__(self, keys: Sequence[str]) -> Tensor:
        """Log reward of n candidates at M fidelities, ``n x M``."""
        s = self.scale
        y = (self.log_worth(keys) - self.log_costs - s.maximum) / s.spread
        y = torch.where(y < -1, -1 - (-y).clamp(min=1).log(), y)
        if self.crowding is not None:
            y = y - torch.from_numpy(self.crowding(keys))[:, None]
        return s.temperature * y
