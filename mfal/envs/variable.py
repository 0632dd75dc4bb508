"""Texts of varying length over an alphabet of tokens, such as peptides, built token by token."""

import re
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor

from mfal.envs.draws import rand
from mfal.envs.sequence import EMPTY, filled
from mfal.errors import ConfigError, InvalidKeyError

TOKEN = re.compile(r"\[[^\[\]]*\]|.", re.DOTALL)


class VariableSequenceEnvironment:
    """Sequences of `min_length` to `max_length` tokens, built by appending until they end.

    A state is a row of token indices, filled from the left, then once the index A of the end,
    -1 where still empty: ``n x (max_length + 1)``. Action a appends token a; action A ends the
    sequence, from `min_length` tokens on, and is the only one at `max_length`. Every state has
    one way back, so the states form a tree.

    Args:
        alphabet: The A tokens, each once: single characters, as a text or a list, or tokens in
            square brackets such as ``[C]``, as a list.
        min_length: Fewest tokens of a finished sequence.
        max_length: Most tokens of a finished sequence.

    Attributes:
        tokens: The alphabet, token by token.
        sequence_shape: ``(max_length, A)``: the first ``max_length * A`` columns of an
            observation are the one-hot tokens by place.
    """

    def __init__(
        self,
        *,
        alphabet: str | Sequence[str],
        min_length: Annotated[int, Field(ge=1)] = 1,
        max_length: Annotated[int, Field(ge=1)],
    ) -> None:
        _check_alphabet(alphabet)
        if not 1 <= min_length <= max_length:
            raise ConfigError(
                f"the lengths go from {min_length} to {max_length}",
                "a sequence has at least one token; max_length is not below min_length",
            )
        self.tokens = tuple(alphabet)
        self.min_length = min_length
        self.max_length = max_length
        self.sequence_shape = (max_length, len(self.tokens))
        self.n_actions = len(self.tokens) + 1
        self.n_features = max_length * len(self.tokens) + 1
        self.max_steps = max_length + 1
        self._end = len(self.tokens)
        self._indices = {token: index for index, token in enumerate(self.tokens)}
        # Allowed actions by number of tokens; the last row is that of finished sequences.
        length = torch.arange(max_length + 2)[:, None]
        appending = (length < max_length).expand(-1, self._end)
        ending = (length >= min_length) & (length <= max_length)
        self._allowed = torch.cat([appending, ending], dim=1)

    def initial(self, n: int) -> Tensor:
        """N empty sequences, ``n x (max_length + 1)``."""
        return torch.full((n, self.max_length + 1), EMPTY)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        """Append token `actions` (``n``), or the end, to each row."""
        return states.scatter(1, filled(states), actions[:, None])

    def undo(self, states: Tensor, actions: Tensor) -> Tensor:
        """Take the last token or the end, which `actions` (``n``) names, off each row."""
        return states.scatter(1, filled(states) - 1, EMPTY)

    def forward_mask(self, states: Tensor) -> Tensor:
        """Tokens while there is room, the end from `min_length` on, bool ``n x n_actions``."""
        ended = states.amax(dim=1) == self._end
        row = filled(states)[:, 0].masked_fill(ended, self.max_length + 1)
        return self._allowed.to(states.device).index_select(0, row)

    def backward_mask(self, states: Tensor) -> Tensor:
        """The last token, or the end where there is one, bool ``n x n_actions``."""
        last = states.gather(1, (filled(states) - 1).clamp_min(0))
        return last == torch.arange(self.n_actions, device=states.device)

    def observe(self, states: Tensor) -> Tensor:
        """One-hot prefix, zeros where empty, and whether ended, ``n x n_features``."""
        place = torch.arange(self.max_length + 1, device=states.device)
        columns = torch.add(states, place, alpha=self._end).clamp_min(0)
        columns = columns.masked_fill(states == self._end, self.n_features - 1)
        seen = torch.zeros(len(states), self.n_features, device=states.device)
        # Empty places add a zero somewhere: far less work than comparing with every token.
        return seen.scatter_add_(1, columns, (states != EMPTY).to(torch.float32))

    def observe_delta(self, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """The one entry of the observation that a step sets.

        Returns:
            Its column and its change, both ``n x 1``.
        """
        appended = actions[:, None]
        columns = torch.add(appended, filled(states), alpha=self._end)
        columns = columns.masked_fill(appended == self._end, self.n_features - 1)
        return columns, torch.ones_like(columns, dtype=torch.float32)

    def retrace(self, states: Tensor) -> Tensor:
        """The tokens in order, the end, then -1, ``max_steps x n``."""
        return states.T

    def keys(self, states: Tensor) -> list[str]:
        """The sequences as text."""
        texts = (*self.tokens, "", "")  # Neither the end nor an empty place is spelt.
        return ["".join([texts[index] for index in row]) for row in states.tolist()]

    def states(self, keys: Sequence[str]) -> Tensor:
        """Finished states of sequences, ``n x (max_length + 1)``.

        Raises:
            InvalidKeyError: for a sequence too short, too long or with a foreign token.
        """
        rows = [self._parse(key) for key in keys]
        return torch.tensor(rows, dtype=torch.int64).view(len(rows), self.max_length + 1)

    def mutate(self, states: Tensor, generator: Generator) -> Tensor:
        """One to three substitutions, or an insertion, a deletion or a shift (each a sixth).

        A shift takes one token out and puts a random one in elsewhere; it stands in for an
        insertion into a sequence of the greatest length and a deletion from the least.
        """
        kind = (rand(len(states), generator) * 6).long()[:, None]
        length = filled(states) - 1
        inserts = (kind == 0) | (kind == 2) | ((kind == 1) & (length == self.min_length))
        removes = (kind == 1) | (kind == 2) | ((kind == 0) & (length == self.max_length))
        edited = self._edit(states, inserts, removes, generator)
        return torch.where(kind < 3, edited, self._substitute(states, generator))

    def crossover(self, first: Tensor, second: Tensor, generator: Generator) -> Tensor:
        """One- or two-point crossover of equal rows of two parents, ``n x (max_length + 1)``.

        Both are cut at the same places, within the shorter, so that a child is as long as the
        parent that it ends with.
        """
        shorter = torch.minimum(filled(first), filled(second)) - 1
        cuts = _below(shorter + 1, generator, 2).sort(dim=1).values
        one_point = rand(len(first), generator)[:, None] < 0.5
        place = torch.arange(self.max_length + 1, device=first.device)
        swapped = (place >= cuts[:, :1]) & ((place < cuts[:, 1:]) | one_point)
        return torch.where(swapped, second, first)

    def _substitute(self, states: Tensor, generator: Generator) -> Tensor:
        if self._end == 1:
            return states.clone()
        n, length = len(states), filled(states) - 1
        inside = torch.arange(self.max_length + 1, device=states.device) < length
        most = min(3, self.max_length)
        weights = rand(n, generator, self.max_length + 1) * inside
        places = weights.topk(most, dim=1).indices
        count = (rand(n, generator)[:, None] * 3).long() + 1
        chosen = (torch.arange(most, device=states.device) < count) & (places < length)
        tokens = states.gather(1, places)
        # Adding 1..A-1 modulo A always lands on another token.
        change = (rand(n, generator, most) * (self._end - 1)).long() + 1
        return states.scatter(1, places, torch.where(chosen, (tokens + change) % self._end, tokens))

    def _edit(
        self, states: Tensor, inserts: Tensor, removes: Tensor, generator: Generator
    ) -> Tensor:
        """Rows with a random token out (where `removes`) and one in (`inserts`), ``n x 1`` each."""
        length = filled(states) - 1
        source = _below(length, generator)
        target = _below(length + 1 - removes.long(), generator)
        place = torch.arange(self.max_length + 1, device=states.device)
        # Where each place reads: one back past what comes in, one on past what goes out.
        order = place - (inserts & (place > target)).long()
        order = order + (removes & (order >= source)).long()
        moved = torch.nn.functional.pad(states, (0, 1), value=EMPTY).gather(1, order)
        tokens = (rand(len(states), generator)[:, None] * self._end).long()
        return torch.where(inserts & (place == target), tokens, moved)

    def _parse(self, key: str) -> list[int]:
        found = TOKEN.findall(key)
        indices = [self._indices.get(token, EMPTY) for token in found]
        if EMPTY in indices:
            position = indices.index(EMPTY)
            raise InvalidKeyError(
                f"sequence {key!r} has the token {found[position]!r} at position {position + 1}",
                f"the alphabet is {' '.join(self.tokens)}",
            )
        if not self.min_length <= len(found) <= self.max_length:
            raise InvalidKeyError(
                f"sequence {key!r} has {len(found)} tokens",
                f"this environment holds sequences of {self.min_length} to {self.max_length}",
            )
        return [*indices, self._end, *[EMPTY] * (self.max_length - len(found))]


def _check_alphabet(alphabet: Sequence[str]) -> None:
    """Raise ConfigError unless texts over `alphabet` can be cut into tokens in one way only."""
    if not alphabet or len(set(alphabet)) != len(alphabet):
        raise ConfigError(f"the alphabet is {alphabet!r}", "list each token once")
    for token in alphabet:
        if token in ("[", "]") or not TOKEN.fullmatch(token):
            raise ConfigError(
                f"the alphabet has the token {token!r}",
                "a token is a single character, or a text in square brackets such as [C]",
            )


def _below(limits: Tensor, generator: Generator, columns: int = 1) -> Tensor:
    """Random whole numbers from 0 to below `limits` (``n x 1``), ``n x columns``."""
    return (rand(len(limits), generator, columns) * limits).long()
