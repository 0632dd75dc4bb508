"""How different the best candidates are from each other and from what was there at first."""

from collections.abc import Sequence

from mfal.metrics.values import Scored
from mfal.similarity import Similarity, different, mean_similarity
from mfal.types import Objective

__all__ = ["diverse_best", "mean_similarity", "modes_found", "novelty"]


def diverse_best(scored: Scored, k: int, similarity: Similarity, at_most: float) -> Scored:
    """The k best different candidates: greedy from the best on, at most so similar to any taken."""
    taken = set(different(scored.keys, similarity, at_most, k))
    rows = [(key, v) for key, v in zip(scored.keys, scored.values, strict=True) if key in taken]
    return Scored(tuple(key for key, _ in rows), tuple(value for _, value in rows))


def novelty(keys: Sequence[str], initial: Sequence[str], similarity: Similarity) -> float | None:
    """Mean over `keys` of 1 - the highest similarity to any of `initial`; None without either."""
    if not keys or not initial:
        return None
    nearest = (max(similarity(key, other) for other in initial) for key in keys)
    return sum(1 - value for value in nearest) / len(keys)


def modes_found(
    scored: Scored, value: float, objective: Objective, similarity: Similarity, at_most: float
) -> int:
    """How many different candidates are at least as good as `value`, in the objective's unit."""
    n = sum(v * objective.sign >= value * objective.sign for v in scored.values)
    return len(different(scored.keys[:n], similarity, at_most))
