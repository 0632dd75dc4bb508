"""Strings of a fixed length over a small alphabet, such as DNA, built letter by letter."""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor

from mfal.envs.base import Schedule
from mfal.envs.draws import rand
from mfal.errors import ConfigError, InvalidKeyError

EMPTY = -1


class LetterEnvironment:
    """Fixed-length sequences, built by appending one letter at a time.

    A state is a row of letter indices, filled from the left, -1 where still empty; action a
    appends letter a. Every state has one way back, so the states form a tree.

    Args:
        alphabet: The letters, each once; ASCII.
        length: Number of letters of a finished sequence.

    Attributes:
        sequence_shape: Places and letters, the shape of an observation before it is flattened.
    """

    def __init__(self, *, alphabet: str, length: Annotated[int, Field(gt=0)]) -> None:
        if not isinstance(alphabet, str):
            raise ConfigError(
                f"the alphabet is {alphabet!r}, which is no text",
                'write the letters as one text, such as alphabet="ACGT"',
            )
        if not alphabet or len(set(alphabet)) != len(alphabet) or not alphabet.isascii():
            raise ConfigError(
                f"the alphabet is {alphabet!r}", "list each letter once, ASCII letters only"
            )
        if length < 1:
            raise ConfigError(f"the length is {length}", "a sequence has at least one letter")
        self.alphabet = alphabet
        self.length = length
        self.n_actions = len(alphabet)
        self.n_features = length * len(alphabet)
        self.max_steps = length
        self.sequence_shape = (length, len(alphabet))
        self._letters = {letter: index for index, letter in enumerate(alphabet)}
        self._codes = torch.tensor([ord(letter) for letter in alphabet], dtype=torch.uint8)

    def initial(self, n: int) -> Tensor:
        """N empty sequences, ``n x length``."""
        return torch.full((n, self.length), EMPTY)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        """Append letter `actions` (``n``) to each row."""
        return states.scatter(1, filled(states), actions[:, None])

    def undo(self, states: Tensor, actions: Tensor) -> Tensor:
        """Take the last letter, which `actions` (``n``) names, off each row."""
        return states.scatter(1, filled(states) - 1, EMPTY)

    def forward_mask(self, states: Tensor) -> Tensor:
        """Every letter until the sequence is full, bool ``n x n_actions``."""
        return (states[:, -1:] == EMPTY).expand(-1, self.n_actions)

    def backward_mask(self, states: Tensor) -> Tensor:
        """The last letter, bool ``n x n_actions``."""
        last = states.gather(1, (filled(states) - 1).clamp_min(0))
        return last == torch.arange(self.n_actions, device=states.device)

    def observe(self, states: Tensor) -> Tensor:
        """One-hot prefix, zeros where still empty, ``n x (length * n_actions)``."""
        letters = torch.arange(self.n_actions, device=states.device)
        return (states[:, :, None] == letters).flatten(1).to(torch.float32)

    def observe_delta(self, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """The one entry of the observation that a step sets.

        Returns:
            Its column and its change, both ``n x 1``.
        """
        columns = filled(states) * self.n_actions + actions[:, None]
        return columns, torch.ones_like(columns, dtype=torch.float32)

    def retrace(self, states: Tensor) -> Tensor:
        """The letters in order, ``length x n``."""
        return states.T

    def keys(self, states: Tensor) -> list[str]:
        """The sequences as text."""
        text = self._codes[states.cpu()].numpy().tobytes().decode("ascii")
        return [text[i : i + self.length] for i in range(0, len(text), self.length)]

    def states(self, keys: Sequence[str]) -> Tensor:
        """Finished states of sequences, ``n x length``.

        Raises:
            InvalidKeyError: for a sequence of another length or with a foreign letter.
        """
        rows = [self._parse(key) for key in keys]
        return torch.tensor(rows, dtype=torch.int64).view(len(rows), self.length)

    def mutate(self, states: Tensor, generator: Generator) -> Tensor:
        """One to three substitutions, or for a quarter of the rows a shift.

        A shift takes one letter out and puts a random one in elsewhere, which moves what
        lies between by one place; substitutions alone cannot cross to such neighbours.
        """
        shifted = rand(len(states), generator) < 0.25
        return torch.where(
            shifted[:, None], self._shift(states, generator), self._substitute(states, generator)
        )

    def crossover(self, first: Tensor, second: Tensor, generator: Generator) -> Tensor:
        """One- or two-point crossover of equal rows of two parents, ``n x length``."""
        n, device = len(first), first.device
        cuts = torch.randint(0, self.length + 1, (n, 2), generator=generator, device=device).sort(
            dim=1
        )
        low, high = cuts.values[:, :1], cuts.values[:, 1:]
        one_point = (rand(n, generator) < 0.5)[:, None]
        place = torch.arange(self.length, device=device)
        swapped = (place >= low) & ((place < high) | one_point)
        return torch.where(swapped, second, first)

    def _substitute(self, states: Tensor, generator: Generator) -> Tensor:
        n, device = len(states), states.device
        if self.n_actions == 1:
            return states.clone()
        count = torch.randint(1, 4, (n, 1), generator=generator, device=device)
        rank = rand(n, generator, self.length).argsort(dim=1).argsort(dim=1)
        # Adding 1..A-1 modulo A always lands on another letter.
        change = torch.randint(1, self.n_actions, states.shape, generator=generator, device=device)
        return torch.where(rank < count, (states + change) % self.n_actions, states)

    def _shift(self, states: Tensor, generator: Generator) -> Tensor:
        n, device = len(states), states.device
        ends = torch.randint(0, self.length, (n, 2), generator=generator, device=device)
        source, target = ends[:, :1], ends[:, 1:]
        place = torch.arange(self.length, device=device).expand(n, -1)
        # Reading order after the removal: places between the ends look one further on.
        order = place + ((place >= source) & (place < target)).long()
        order = order - ((place > target) & (place <= source)).long()
        letters = torch.randint(0, self.n_actions, (n, 1), generator=generator, device=device)
        return states.gather(1, order).scatter(1, target, letters)

    def _parse(self, key: str) -> list[int]:
        if len(key) != self.length:
            raise InvalidKeyError(
                f"sequence {key!r} has {len(key)} letters",
                f"this environment holds sequences of {self.length} letters",
            )
        for position, letter in enumerate(key, start=1):
            if letter not in self._letters:
                raise InvalidKeyError(
                    f"sequence {key!r} has the letter {letter!r} at position {position}",
                    f"the alphabet is {self.alphabet!r}",
                )
        return [self._letters[letter] for letter in key]


class SequenceEnvironment(LetterEnvironment):
    """Fixed-length sequences of any letters, with the arguments of `LetterEnvironment`."""

    def schedule(self) -> Schedule:
        """Any letter at any time; its entry of the observation is that of its place."""
        return Schedule(
            choices=((0, self.n_actions),) * self.length,
            columns=tuple(range(0, self.n_features, self.n_actions)),
            assemble=lambda actions: actions.T.contiguous(),
        )


def filled(states: Tensor) -> Tensor:
    """How many places are filled, ``n x 1``."""
    return (states != EMPTY).sum(dim=1, keepdim=True)
