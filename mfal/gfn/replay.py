"""A bounded memory of distinct queries to learn from again."""

from typing import Any, Literal

import torch
from torch import Generator, Tensor

ReplayName = Literal["uniform", "prioritised"]

TOP = 0.1
"""Share of the buffer that prioritised replay prefers."""


class ReplayBuffer:
    """Finished states with their log rewards, each state once.

    When full it forgets the oldest quarter, but none of the tenth with the highest reward.

    Args:
        capacity: Most queries to hold, at least 8.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._known: dict[bytes, None] = {}
        self._states: Tensor | None = None
        self._log_rewards = torch.empty(0)

    def __len__(self) -> int:
        return len(self._known)

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

    def add(self, states: Tensor, log_rewards: Tensor) -> int:
        """Remember finished states (``n x d``) that are not yet held.

        Args:
            log_rewards: ``n``; of a state that comes again, the first counts.

        Returns:
            How many were new.
        """
        first: dict[bytes, int] = {}
        for row, name in enumerate(_names(states)):
            if name not in self._known and name not in first:
                first[name] = row
        new, room = list(first.items()), max(1, self.capacity // 4)
        for i in range(0, len(new), room):
            self._append(dict(new[i : i + room]), states, log_rewards)
        return len(new)

    def draw(self, name: ReplayName, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """N states drawn with replacement, ``n x d``, and their log rewards, ``n``.

        Uniformly, or prioritised: half of them from the tenth with the highest reward and half
        from the rest (Shen et al. 2023, arXiv 2305.07170, prioritised replay training).
        """
        device = self.states.device
        rows = torch.randint(len(self), (n,), generator=generator, device=device)
        n_best = max(1, int(len(self) * TOP))
        if name == "prioritised" and n_best < len(self):
            order = self.log_rewards.sort(descending=True, stable=True).indices
            place = torch.rand(n, generator=generator, device=device)
            from_best = torch.arange(n, device=device) < n // 2
            low = torch.where(from_best, 0, n_best)
            width = torch.where(from_best, n_best, len(self) - n_best)
            rows = order[low + (place * width).long()]
        return self.states[rows], self.log_rewards[rows]

    def best(self, n: int) -> tuple[Tensor, Tensor]:
        """The n states with the highest log reward, best first: states, log rewards."""
        rows = self.log_rewards.sort(descending=True, stable=True).indices[:n]
        return self.states[rows], self.log_rewards[rows]

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        if self._states is None:
            return {}
        return {"states": self.states.clone(), "log_rewards": self.log_rewards.clone()}

    def restore(self, state: dict[str, Any], device: str) -> None:
        """Hold what `state` kept, and nothing else."""
        self._known, self._states = {}, None
        if state:
            self._append(
                {name: row for row, name in enumerate(_names(state["states"]))},
                state["states"].to(device),
                state["log_rewards"].to(device),
            )

    def _append(self, rows: dict[bytes, int], states: Tensor, log_rewards: Tensor) -> None:
        if self._states is None:
            self._states = states.new_empty(self.capacity, states.shape[1])
            self._log_rewards = log_rewards.new_empty(self.capacity)
        if len(self) + len(rows) > self.capacity:
            self._forget()
        place, index = slice(len(self), len(self) + len(rows)), list(rows.values())
        self._states[place] = states[index]
        self._log_rewards[place] = log_rewards[index]
        self._known.update(dict.fromkeys(rows))

    def _forget(self) -> None:
        """Make room for a quarter of the capacity."""
        forgettable = torch.ones(len(self), dtype=torch.bool)
        best = self.log_rewards.sort(descending=True, stable=True).indices
        forgettable[best[: self.capacity // 10].cpu()] = False
        oldest = forgettable.nonzero()[: max(1, self.capacity // 4), 0]
        kept = torch.ones(len(self), dtype=torch.bool)
        kept[oldest] = False
        names = [name for name, keep in zip(self._known, kept.tolist(), strict=True) if keep]
        index = kept.nonzero()[:, 0].to(self.states.device)
        states, log_rewards = self.states[index], self.log_rewards[index]
        self._known = dict.fromkeys(names)
        self.states[:] = states
        self.log_rewards[:] = log_rewards


def _names(states: Tensor) -> list[bytes]:
    """What tells states (``n x d``) apart: the bytes of each row."""
    if not len(states):
        return []
    text = states.cpu().contiguous().numpy().tobytes()
    width = len(text) // len(states)
    return [text[i : i + width] for i in range(0, len(text), width)]
