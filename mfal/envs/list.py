"""A list of candidates, one of which is chosen: for problems in which nothing is built."""

from collections.abc import Iterable, Sequence

import torch
from torch import Generator, Tensor

from mfal.errors import ConfigError, InvalidKeyError

UNCHOSEN = -1


class ListEnvironment:
    """Candidates that are given one by one, such as the molecules that a laboratory has.

    A state is the place of the chosen candidate, -1 while there is none, ``n x 1``; action a
    chooses candidate a, which is the only step. Nothing is known of how candidates are alike:
    what to choose is for the sampler `pool`, which looks at all of them.

    Args:
        keys: The N candidates, each once.

    Attributes:
        listed: The candidates, in their order.
    """

    max_steps = 1

    def __init__(self, *, keys: Iterable[str]) -> None:
        self.listed = tuple(keys)
        self._place = {key: place for place, key in enumerate(self.listed)}
        odd = [key for key in self.listed if not isinstance(key, str)]
        if odd:
            raise ConfigError(f"the list holds {odd[0]!r}, which is no text", "list texts only")
        if not self.listed:
            raise ConfigError("the list holds no candidate", "list one at least")
        if len(self._place) < len(self.listed):
            twice = next(k for i, k in enumerate(self.listed) if self._place[k] != i)
            raise ConfigError(f"the list holds {twice!r} twice", "list every candidate once")
        self.n_actions = self.n_features = len(self.listed)

    def initial(self, n: int) -> Tensor:
        """N states without a choice, ``n x 1``."""
        return torch.full((n, 1), UNCHOSEN)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        """Choose candidate `actions` (``n``)."""
        return actions[:, None].to(states)

    def undo(self, states: Tensor, actions: Tensor) -> Tensor:
        """Take the choice, which `actions` (``n``) names, back."""
        return torch.full_like(states, UNCHOSEN)

    def forward_mask(self, states: Tensor) -> Tensor:
        """Any candidate until one is chosen, bool ``n x N``."""
        return (states == UNCHOSEN).expand(-1, self.n_actions)

    def backward_mask(self, states: Tensor) -> Tensor:
        """The chosen candidate, bool ``n x N``."""
        return states == torch.arange(self.n_actions, device=states.device)

    def observe(self, states: Tensor) -> Tensor:
        """One-hot choice, zeros where there is none, ``n x N``."""
        return self.backward_mask(states).to(torch.float32)

    def uniform(self, n: int, generator: Generator) -> Tensor:
        """N choices, all candidates equally likely."""
        return torch.randint(self.n_actions, (n, 1), generator=generator, device=generator.device)

    def keys(self, states: Tensor) -> list[str]:
        """The chosen candidates."""
        return [self.listed[place] for place in states[:, 0].tolist()]

    def states(self, keys: Sequence[str]) -> Tensor:
        """Finished states of candidates, ``n x 1``.

        Raises:
            InvalidKeyError: for a text that is not in the list.
        """
        for key in keys:
            if key not in self._place:
                raise InvalidKeyError(
                    f"{key!r} is not in the list of {len(self.listed)} candidates",
                    f"candidates are written as they are there, such as {self.listed[0]!r}",
                )
        return torch.tensor([self._place[key] for key in keys], dtype=torch.int64).view(-1, 1)
