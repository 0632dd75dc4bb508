"""A bounded memory of distinct queries to learn from again."""

from collections.abc import Hashable, Sequence

import torch
from torch import Generator, Tensor


class ReplayBuffer:
    """Finished states with their log rewards, each query once.

    When full it forgets the oldest quarter, but none of the tenth with the highest reward.

    Args:
        capacity: Most queries to hold, at least 8.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._names: dict[Hashable, None] = {}
        self._states: Tensor | None = None
        self._log_rewards = torch.empty(0)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: Hashable) -> bool:
        return name in self._names

    @property
    def states(self) -> Tensor:
        """All states held, oldest first, ``n x d``."""
        if self._states is None:
            raise IndexError("the replay buffer is empty")
        return self._states[: len(self)]

    @property
    def log_rewards(self) -> Tensor:
        """Their log rewards, ``n``."""
        return self._log_rewards[: len(self)]

    def add(self, names: Sequence[Hashable], states: Tensor, log_rewards: Tensor) -> int:
        """Remember queries that are not yet held.

        Args:
            names: What tells queries apart, such as key and fidelity.
            states: Their finished states, ``n x d``.
            log_rewards: ``n``.

        Returns:
            How many were new.
        """
        first = {name: row for row, name in reversed(list(enumerate(names)))}
        rows = sorted(row for name, row in first.items() if name not in self._names)
        room = max(1, self.capacity // 4)
        for i in range(0, len(rows), room):
            self._append(rows[i : i + room], names, states, log_rewards)
        return len(rows)

    def uniform(self, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """N queries drawn uniformly with replacement: states ``n x d``, log rewards ``n``."""
        rows = torch.randint(len(self), (n,), generator=generator, device=self.states.device)
        return self.states[rows], self.log_rewards[rows]

    def best(self, n: int) -> tuple[Tensor, Tensor]:
        """The n queries with the highest log reward, best first: states, log rewards."""
        rows = self.log_rewards.sort(descending=True, stable=True).indices[:n]
        return self.states[rows], self.log_rewards[rows]

    def _append(
        self, rows: list[int], names: Sequence[Hashable], states: Tensor, log_rewards: Tensor
    ) -> None:
        if self._states is None:
            self._states = states.new_empty(self.capacity, states.shape[1])
            self._log_rewards = log_rewards.new_empty(self.capacity)
        if len(self) + len(rows) > self.capacity:
            self._forget()
        place = slice(len(self), len(self) + len(rows))
        self._states[place] = states[rows]
        self._log_rewards[place] = log_rewards[rows]
        self._names.update(dict.fromkeys(names[row] for row in rows))

    def _forget(self) -> None:
        """Make room for a quarter of the capacity."""
        forgettable = torch.ones(len(self), dtype=torch.bool)
        best = self.log_rewards.sort(descending=True, stable=True).indices
        forgettable[best[: self.capacity // 10].cpu()] = False
        oldest = forgettable.nonzero()[: max(1, self.capacity // 4), 0]
        kept = torch.ones(len(self), dtype=torch.bool)
        kept[oldest] = False
        names = [name for name, keep in zip(self._names, kept.tolist(), strict=True) if keep]
        index = kept.nonzero()[:, 0].to(self.states.device)
        states, log_rewards = self.states[index], self.log_rewards[index]
        self._names = dict.fromkeys(names)
        self.states[:] = states
        self.log_rewards[:] = log_rewards
