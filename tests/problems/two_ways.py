"""The motif problem on words that read the same either way: the key is the lesser spelling."""

from torch import Tensor

from mfal.envs.sequence import SequenceEnvironment
from mfal.types import Problem
from tests.problems.motif import problem as motif


class TwoWays(SequenceEnvironment):
    """Words that are the same candidate as their reverse."""

    def keys(self, states: Tensor) -> list[str]:
        """The lesser of the word and its reverse."""
        return [min(word, word[::-1]) for word in super().keys(states)]


def problem() -> Problem:
    """The problem; its oracle is that of `motif`."""
    return Problem("two ways", motif().oracle, lambda: TwoWays(alphabet="ACGT", length=8))
