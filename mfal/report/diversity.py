"""How good and how different the best candidates of a campaign were, round by round."""

from collections.abc import Sequence
from dataclasses import dataclass

from mfal.metrics import diverse_best, mean_similarity, measured
from mfal.report.snapshot import Snapshot
from mfal.sections import DiversityConfig

DEFAULT = DiversityConfig(at_most=0.8)


@dataclass(frozen=True, slots=True)
class Diversity:
    """The strict reading after a round; definitions in `mfal.metrics`.

    Attributes:
        top_k: Mean of the K best, in the objective's unit.
        diverse: Mean of the K best different ones.
        n_diverse: How many of them there are, at most K.
        similarity: Mean similarity of the K best, in [0, 1]; None of fewer than two.
        n_target: How many were measured; `top_k` is the mean of all while they are fewer than K.
    """

    cost: float
    top_k: float
    diverse: float
    n_diverse: int
    similarity: float | None
    n_target: int


def rule(snapshot: Snapshot) -> DiversityConfig:
    """The campaign's own rule of what is different, or similarity up to .8."""
    return snapshot.config.diversity or DEFAULT


def rule_in_words(snapshot: Snapshot) -> str:
    """The rule, such as ``edit similarity at most 0.8``."""
    given = rule(snapshot)
    name = given.similarity.name if given.similarity else snapshot.problem.similarity
    return f"{name} similarity at most {given.at_most:g}"


def diversity_curve(snapshot: Snapshot) -> list[Diversity]:
    """A point per round, from the first on that has anything measured at the target."""
    similarity, at_most = snapshot.similarity, rule(snapshot).at_most
    points = []
    for point in snapshot.curve():
        until = [o for o in snapshot.observations if o.round <= point.round]
        scored = measured(until, snapshot.target.name, snapshot.objective)
        diverse = diverse_best(scored, snapshot.top_k, similarity, at_most)
        if point.top_k is None or (mean := diverse.mean()) is None:
            continue
        alike = mean_similarity(scored.top(snapshot.top_k).keys, similarity)
        points.append(Diversity(point.cost, point.top_k, mean, len(diverse), alike, point.n_target))
    return points


def gallery_keys(snapshot: Snapshot, most: int) -> Sequence[str]:
    """Keys of the best different candidates measured at the target, best first."""
    scored = measured(snapshot.observations, snapshot.target.name, snapshot.objective)
    return diverse_best(scored, most, snapshot.similarity, rule(snapshot).at_most).keys
