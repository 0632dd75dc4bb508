"""Strings of a fixed length in which not every letter may follow every other."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor

from mfal.envs.sequence import LetterEnvironment, filled
from mfal.errors import ConfigError, InvalidKeyError

_TRIES = 8


class ChainEnvironment(LetterEnvironment):
    """`LetterEnvironment` without forbidden neighbours.

    Only letters that may follow the last one can be appended.

    Args:
        alphabet: The letters, each once; ASCII.
        length: Number of letters of a finished sequence.
        followers: For each letter of `alphabet` the letters that may follow it, at least one,
            so that no sequence gets stuck.
    """

    def __init__(
        self, *, alphabet: str, length: Annotated[int, Field(gt=0)], followers: Sequence[str]
    ) -> None:
        super().__init__(alphabet=alphabet, length=length)
        _check_followers(alphabet, followers)
        self.followers = tuple(followers)
        rows = [[letter in after for letter in alphabet] for after in followers]
        # The row of the empty place (-1) is the last: anything may come first.
        self._allowed = torch.tensor([*rows, [True] * len(alphabet)])

    def forward_mask(self, states: Tensor) -> Tensor:
        """Letters that may follow the last, until the sequence is full, bool ``n x n_actions``."""
        last = states.gather(1, (filled(states) - 1).clamp_min(0))[:, 0]
        return self._allowed.to(states.device)[last] & super().forward_mask(states)

    def states(self, keys: Sequence[str]) -> Tensor:
        """Finished states of sequences, ``n x length``.

        Raises:
            InvalidKeyError: for a sequence of another length, with a foreign letter or with
                neighbours that are forbidden.
        """
        states = super().states(keys)
        for row in (~self._holds(states)).nonzero()[:, 0].tolist():
            raise InvalidKeyError(*_first_fault(keys[row], self.alphabet, self.followers))
        return states

    def mutate(self, states: Tensor, generator: Generator) -> Tensor:
        """The changes of `LetterEnvironment.mutate` that forbid nothing.

        Each row has a few tries; one that fails in all stays as it was.
        """
        return self._kept(states, partial(super().mutate, states, generator))

    def crossover(self, first: Tensor, second: Tensor, generator: Generator) -> Tensor:
        """The crossings of `LetterEnvironment.crossover` that forbid nothing, in a few tries."""
        return self._kept(first, partial(super().crossover, first, second, generator))

    def _kept(self, states: Tensor, change: Callable[[], Tensor]) -> Tensor:
        found = states
        waiting = torch.ones(len(states), dtype=torch.bool, device=states.device)
        for _ in range(_TRIES):
            tried = change()
            good = waiting & self._holds(tried)
            found = torch.where(good[:, None], tried, found)
            waiting = waiting & ~good
        return found

    def _holds(self, states: Tensor) -> Tensor:
        """Whether finished rows have no forbidden neighbours, bool ``n``."""
        allowed = self._allowed.to(states.device)
        return allowed[states[:, :-1], states[:, 1:]].all(dim=1)


def _check_followers(alphabet: str, followers: Sequence[str]) -> None:
    if len(followers) != len(alphabet):
        raise ConfigError(
            f"there are {len(followers)} sets of followers for {len(alphabet)} letters",
            "name for each letter of the alphabet those that may follow it",
        )
    for letter, after in zip(alphabet, followers, strict=True):
        if not after or not set(after) <= set(alphabet):
            raise ConfigError(
                f"letter {letter!r} may be followed by {after!r}",
                f"name at least one of the letters {alphabet!r}",
            )


def _first_fault(key: str, alphabet: str, followers: Sequence[str]) -> tuple[str, str]:
    """Message and hint for the first pair of neighbours of `key` that is forbidden."""
    after = dict(zip(alphabet, followers, strict=True))
    for position, (first, second) in enumerate(pairwise(key), start=2):
        if second not in after[first]:
            return (
                f"sequence {key!r} has {second!r} after {first!r} at position {position}",
                f"{first!r} may be followed by {after[first]}",
            )
    raise ValueError(f"{key!r} has no forbidden neighbours")
