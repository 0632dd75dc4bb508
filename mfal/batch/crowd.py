"""What is bought already, and the room that it leaves for candidates like it."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mfal.similarity import Similarity, are_alike, different

_OF_AN_ADDITION = 0.5  # gain of an improvement that is worth a query, of that of a new family


class Crowding:
    """How much a reward is lowered for candidates like the best that are known.

    Zero up to a similarity of `at_most`, and from there in proportion, up to `strength` for a
    candidate that differs in nothing. A candidate is not held against itself.
    """

    def __init__(
        self, similarity: Similarity, at_most: float, known: Sequence[str], strength: float
    ) -> None:
        self._similarity = similarity
        self._at_most = at_most
        self._known = list(known)
        self._place = {key: i for i, key in enumerate(self._known)}
        self._strength = strength

    def __call__(self, keys: Sequence[str]) -> NDArray[np.float64]:
        """Zero to `strength` for each of n keys, ``n``."""
        alike = self._similarity.matrix(keys, self._known).astype(np.float64)
        for row, key in enumerate(keys):
            if key in self._place:
                alike[row, self._place[key]] = 0.0
        nearest: NDArray[np.float64] = alike.max(axis=1, initial=0.0)
        excess = np.maximum(nearest - self._at_most, 0.0) / max(1 - self._at_most, 1e-9)
        return np.asarray(self._strength * excess, dtype=np.float64)


class Crowd:
    """The candidates that are bought, which leave little room for others like them.

    What counts in the end is how good the K best candidates are that differ from each other.
    A candidate that is like a better one has no place among them. One that is better than all
    that it is like would take the place of the best of those, if that has been measured and has
    one: it gains the difference of the two, where a candidate that is like none gains its
    distance to the last place. It is admitted if it gains half of that at least. So families
    are looked for until there are K good ones, and bettered from then on.

    Args:
        similarity: How alike two keys are.
        at_most: Similarity of two keys that still count as different.
        bought: Key -> how good it is, of every candidate of the ledger.
        merit: Key -> how good it is, of every candidate that may be asked about; on the same
            scale, higher is better.
        measured: Which of the bought were asked at the target.
        places: K. A place that nobody has is worth more than any improvement.
    """

    def __init__(
        self,
        similarity: Similarity,
        at_most: float,
        bought: Mapping[str, float],
        merit: Mapping[str, float],
        *,
        measured: Collection[str] = (),
        places: int = 1,
    ) -> None:
        self._similarity = similarity
        self._at_most = at_most
        self._merit = merit
        self._bought = sorted(bought.items(), key=lambda item: -item[1])
        best_measured = [key for key, _ in self._bought if key in measured]
        placed = different(best_measured, similarity, at_most, places)
        self._placed = {key: bought[key] for key in placed}
        self._last = bought[placed[-1]] if len(placed) == places else -math.inf

    def admits(self, key: str, chosen: Iterable[str]) -> bool:
        """Whether it differs from all that are chosen, and gains enough on all bought."""
        if any(self._alike(key, other) for other in chosen):
            return False
        merit = self._merit[key]
        for other, worth in self._bought:
            if worth < merit:
                break
            if other != key and self._alike(key, other):
                return False
        addition = merit - self._last
        return not any(
            worth < merit and merit - worth < _OF_AN_ADDITION * addition and self._alike(key, other)
            for other, worth in self._placed.items()
            if other != key
        )

    def _alike(self, key: str, other: str) -> bool:
        return are_alike(self._similarity(key, other), self._at_most)
