"""A policy that reads sequences token by token, with the same weights at every place."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor, nn

from mfal.envs.base import Buildable
from mfal.errors import ConfigError
from mfal.gfn.walk import ModuleWalk, Walk


class RecurrentPolicy(nn.Module):
    """A gated recurrent unit (Cho et al. 2014, arXiv 1406.1078) over the tokens so far.

    What it learns of a token at one place holds at all, which the perceptron over one-hot
    places has to learn place by place. A step costs several times as much.

    Args:
        shape: Places L and tokens A: the first L * A entries of an observation are the one-hot
            tokens by place, filled from the left.
        n_features: Width of the observation; what comes after the tokens joins at the end.
        n_outputs: Width of the output.
        generator: Draws the initial weights; the global one is left alone.
        hidden: Width of the unit.
    """

    narrow = 0

    def __init__(
        self,
        shape: tuple[int, int],
        n_features: int,
        n_outputs: int,
        *,
        generator: Generator,
        hidden: int = 256,
    ) -> None:
        super().__init__()
        self.shape = shape
        rest = n_features - shape[0] * shape[1]
        # Not drawn by torch first, which would move the global generator on.
        self.unit = nn.GRU(shape[1], hidden, batch_first=True, device="meta").to_empty(device="cpu")
        self.join = nn.Linear(hidden + rest, hidden, device="meta").to_empty(device="cpu")
        self.out = nn.Linear(hidden, n_outputs, device="meta").to_empty(device="cpu")
        for layer, fan_in in ((self.unit, hidden), (self.join, hidden + rest), (self.out, hidden)):
            for values in layer.parameters():
                values.data.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator)

    def forward(self, observation: Tensor) -> Tensor:
        """Outputs ``n x n_outputs`` of observations ``n x n_features``."""
        hidden, rest = self.read(observation)
        return self.decide(hidden, rest)

    def read(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """What the unit remembers of the tokens, ``n x hidden``, and the other features."""
        places, tokens = self.shape
        letters = observation[:, : places * tokens].view(-1, places, tokens)
        count = letters.sum(dim=(1, 2)).long()
        hidden = observation.new_zeros(len(observation), self.unit.hidden_size)
        longest = int(count.max()) if len(count) else 0
        if longest:
            memory, _ = self.unit(letters[:, :longest])
            last = (count - 1).clamp_min(0)[:, None, None].expand(-1, 1, memory.shape[2])
            hidden = torch.where(count[:, None] > 0, memory.gather(1, last)[:, 0], hidden)
        return hidden, observation[:, places * tokens :]

    def decide(self, hidden: Tensor, rest: Tensor) -> Tensor:
        """Outputs from what is remembered and the other features."""
        outputs: Tensor = self.out(self.join(torch.cat([hidden, rest], dim=1)).relu())
        return outputs

    def advance(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """What is remembered after one more token (``n``)."""
        letters = nn.functional.one_hot(tokens, self.shape[1]).to(hidden)
        return torch.gru_cell(letters, hidden, *self.unit.all_weights[0])

    def walk(self, observation: Tensor, capacity: int, *, follows: bool) -> Walk:
        """Follow a rollout token by token, or read all of them anew at each step."""
        return RecurrentWalk(self, observation) if follows else ModuleWalk(self, observation)


class RecurrentWalk:
    """The walk of a recurrent policy: remembers, and keeps the graph."""

    def __init__(self, policy: RecurrentPolicy, observation: Tensor) -> None:
        self._policy = policy
        self._hidden, self._rest = policy.read(observation)
        self._recorded: list[Tensor] = []

    def outputs(self) -> Tensor:
        """Outputs where the walk stands, detached."""
        self._recorded.append(self._policy.decide(self._hidden, self._rest))
        return self._recorded[-1].detach()

    def keep(self, rows: Tensor) -> None:
        """Only these rows go on."""
        self._hidden, self._rest = self._hidden[rows], self._rest[rows]

    def shift(self, columns: Tensor, changes: Tensor | None) -> None:
        """Read a token, where the change is one, or note another feature's change."""
        for column, change in _one_by_one(columns, changes):
            place, n_tokens = self._policy.shape
            reads = (column < place * n_tokens) & (change != 0)  # else the pair is unused
            if reads.any():
                after = self._policy.advance(self._hidden, column.where(reads, 0) % n_tokens)
                self._hidden = torch.where(reads[:, None], after, self._hidden)
            if not reads.all():
                at = (column - place * n_tokens).clamp_min(0)[:, None]
                amount = change.masked_fill(reads, 0.0)[:, None].to(self._rest)
                self._rest = self._rest.scatter_add(1, at, amount)

    def move(self, observation: Tensor) -> None:
        """Not for this walk: it follows changes."""
        raise TypeError("a recurrent policy's walk follows changes of the observation")

    def recorded(self) -> Tensor:
        """Outputs of all steps, with gradients."""
        return torch.cat(self._recorded)


def sequence_shape(environment: Buildable) -> tuple[int, int]:
    """Places and tokens of an environment, or of the one that it wraps.

    Raises:
        ConfigError: if it does not build sequences.
    """
    inner: object = environment
    while inner is not None:
        found: tuple[int, int] | None = getattr(inner, "sequence_shape", None)
        if found is not None:
            return found
        inner = getattr(inner, "environment", None)
    raise ConfigError(
        f"a recurrent policy reads sequences, and {type(environment).__name__} has no "
        "sequence_shape",
        "take the policy kind 'mlp'",
    )


def _one_by_one(columns: Tensor, changes: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Changes in pairs of ``n`` columns and ``n`` amounts."""
    if changes is None:
        yield columns, torch.ones_like(columns, dtype=torch.float32)
        return
    yield from zip(columns.unbind(1), changes.unbind(1), strict=True)
