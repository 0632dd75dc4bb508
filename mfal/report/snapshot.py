"""What is shown of a campaign, read off its ledger once."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mfal.campaign import Campaign
from mfal.config import CampaignConfig
from mfal.ledger.reading import RoundInfo
from mfal.metrics import CurvePoint, best, curve, failures, in_order, measured
from mfal.progress import round_name
from mfal.similarity import Remembered, similarity_of
from mfal.types import Fidelity, Objective, Observation, Problem
from mfal.waiting import Waiting, waiting


@dataclass(frozen=True)
class Snapshot:
    """A campaign at one moment.

    Attributes:
        ladder: The fidelities at the campaign's costs, by rising level.
        observations: Every answer, in the order of the ledger.
        promised: Campaign units set aside for what has no answer.
        waiting: What people have to measure; None where it does not wait.
    """

    config: CampaignConfig
    problem: Problem
    ladder: tuple[Fidelity, ...]
    rounds: tuple[RoundInfo, ...]
    observations: tuple[Observation, ...]
    spent: float
    promised: float
    waiting: Waiting | None

    @property
    def name(self) -> str:
        """Of the campaign."""
        return self.config.name

    @property
    def top_k(self) -> int:
        """K of the top-K mean."""
        return self.config.top_k

    @property
    def budget(self) -> float:
        """Campaign units in all."""
        return self.config.budget.total

    @property
    def objective(self) -> Objective:
        """What is optimised."""
        return self.problem.oracle.objectives[0]

    @property
    def target(self) -> Fidelity:
        """The last rung of the ladder."""
        return self.ladder[-1]

    @cached_property
    def similarity(self) -> Remembered:
        """How alike two candidates are, by the campaign's own rule or else the problem's."""
        rule = self.config.diversity
        return Remembered(similarity_of(self.problem, None if rule is None else rule.similarity))

    @property
    def diagnosed(self) -> list[RoundInfo]:
        """The rounds that a surrogate chose, with what was recorded of the choice."""
        return [r for r in self.rounds if r.record.get("batch")]

    @property
    def n_failed(self) -> int:
        """How many queries failed."""
        return failures(self.observations)

    def name_of(self, number: int) -> str:
        """What a round is called, such as ``initial design`` or ``round 3``."""
        return next(round_name(r.number, r.kind) for r in self.rounds if r.number == number)

    def of_round(self, number: int) -> list[Observation]:
        """What one round was answered."""
        return [o for o in self.observations if o.round == number]

    def in_order(self, number: int) -> list[Observation]:
        """What one round was answered: the target first, then the best value first."""
        return in_order(self.of_round(number), self.ladder, self.objective)

    def by_fidelity(self, info: RoundInfo, part: str) -> list[tuple[str, Any]]:
        """What a part of a round's record says of each fidelity that it has, the target first."""
        found = info.record.get(part, {})
        return [(f.name, found[f.name]) for f in reversed(self.ladder) if f.name in found]

    def best(self, k: int) -> list[Observation]:
        """The k best measured at the target, best first."""
        return best(self.observations, self.target.name, self.objective, k)

    @property
    def mean(self) -> float | None:
        """The mean of the top-K measured at the target; None before the first."""
        return measured(self.observations, self.target.name, self.objective).top(self.top_k).mean()

    def curve(self) -> list[CurvePoint]:
        """The top-K mean against cost, a point per round."""
        return curve(self.observations, self.target.name, self.objective, self.top_k)


def take(campaign: Campaign) -> Snapshot:
    """The campaign as its ledger is now, whoever works on it meanwhile."""
    # In this order: a round that is begun and answered between the two has no answers here, where
    # the other way round it would have answers and no name.
    observations = tuple(campaign.store.observations())
    rounds = tuple(campaign.store.rounds())
    return Snapshot(
        config=campaign.config,
        problem=campaign.problem,
        ladder=campaign.ladder,
        rounds=rounds,
        observations=observations,
        spent=campaign.store.spent(),
        promised=campaign.store.promised(),
        waiting=waiting(campaign),
    )
