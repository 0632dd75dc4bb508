"""How many queries to ask in a call, and how many calls at a time: from measured seconds."""

import math
from collections.abc import Mapping

from mfal.sections import ScoringConfig

GROWTH = 10
"""A call has at most so many times the queries of the one before: the first ones may mislead."""

SHORT = 0.05
"""Seconds below which sharing work out among workers costs more than it saves."""

START = 2.0
"""Seconds of work for which another worker is worth its start."""


class Pace:
    """Seconds per query of each fidelity, and what follows from them."""

    def __init__(self, config: ScoringConfig) -> None:
        # A call of several is given up after the time of one: stay well below it.
        self._target = min(config.chunk_seconds, config.timeout_seconds / 4)
        self._cap = config.chunk_size
        self._seconds: dict[str, float] = {}
        self._waited: dict[str, float] = {}
        self._largest: dict[str, int] = {}

    def learn(self, fidelity: str, n: int, seconds: float) -> None:
        """A call for n candidates took so long."""
        new = seconds / n
        before = self._seconds.get(fidelity)
        self._seconds[fidelity] = new if before is None else (before + new) / 2
        self._largest[fidelity] = max(n, self._largest.get(fidelity, 1))

    def starts_over(self, fidelity: str) -> None:
        """A call brought no answer: the oracle may be broken, and the next asks one candidate."""
        self._largest.pop(fidelity, None)

    def waits(self, fidelity: str, n: int, seconds: float) -> None:
        """A call for n candidates goes on for so long already: so it counts until one ends."""
        self._waited[fidelity] = seconds / n

    def size(self, fidelity: str, left: int, slots: int) -> int:
        """How many queries the next call should ask, of `left` that are left.

        One where nothing has been answered. With several slots the last ones are shared out,
        so that all end at about the same time.
        """
        if fidelity not in self._largest:
            return 1
        seconds = max(self._seconds[fidelity], 1e-9)
        wanted = self._target / seconds
        if slots > 1:
            wanted = min(wanted, max(left / (2 * slots), SHORT / seconds))
        most = min(left, self._cap, GROWTH * self._largest[fidelity])
        return max(1, min(math.ceil(wanted), most))

    def calls(self, left: Mapping[str, int], slots: int) -> int:
        """How many calls are worth making at the same time, given the queries per fidelity."""
        known = self._waited | self._seconds
        work = sum(n * known.get(fidelity, 0.0) for fidelity, n in left.items())
        return max(1, min(slots, math.ceil(work / START)))
