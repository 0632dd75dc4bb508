"""The reward of queries, asked for once per distinct candidate."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mfal.envs.fidelity import FidelityEnvironment
from mfal.errors import MfalError
from mfal.gfn.base import LogReward
from mfal.gfn.modes import apart

LOOKED_AT = 10  # times as many as are wanted are looked at, to find as many that differ


class RewardError(MfalError):
    """A reward that a sampler cannot learn from."""


class Rewards:
    """Remembers the log reward of every candidate it was ever asked for.

    Args:
        environment: Says which candidate and fidelity a state stands for.
        log_reward: Keys of n distinct candidates -> ``n x M``.
        device: Where log rewards are wanted.
    """

    def __init__(
        self, environment: FidelityEnvironment, log_reward: LogReward, device: str = "cpu"
    ) -> None:
        self._environment = environment
        self._log_reward = log_reward
        self._device = device
        self._rows: dict[str, int] = {}
        self._chunks: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._rows)

    def ladder(self, keys: Sequence[str]) -> Tensor:
        """Log reward of candidates at each fidelity, ``n x M``."""
        new = [key for key in dict.fromkeys(keys) if key not in self._rows]
        if new:
            self._chunks.append(self._ask(new))
            self._rows.update({key: row for row, key in enumerate(new, start=len(self._rows))})
        return self._table()[[self._rows[key] for key in keys]].to(self._device)

    def __call__(self, states: Tensor, context: Tensor | None = None) -> Tensor:
        """Log reward of finished states, ``n``; the same in every context."""
        ladder = self.ladder(self._environment.keys(states))
        return ladder.gather(1, self._environment.fidelities(states)[:, None])[:, 0]

    def best(self, n: int) -> list[tuple[str, int]]:
        """The n best queries ever scored, best first, as key and fidelity index."""
        if not self._rows:
            return []
        flat = self._table().flatten()
        order = flat.sort(descending=True, stable=True).indices[:n].tolist()
        keys = list(self._rows)
        width = self._environment.n_fidelities
        return [(keys[place // width], place % width) for place in order]

    def best_apart(self, n: int, least: float) -> list[tuple[str, int]]:
        """The best query of each of n candidates that differ, best first.

        Args:
            least: How far a candidate is from all better ones (`mfal.gfn.modes.apart`).
        """
        if not self._rows:
            return []
        best, fidelity = self._table().max(dim=1)
        order = best.sort(descending=True, stable=True).indices[: LOOKED_AT * n].tolist()
        all_keys = list(self._rows)
        keys = [all_keys[row] for row in order]
        candidates = self._environment.environment
        rows = apart(candidates, candidates.states(keys), least, n)
        return [(keys[i], int(fidelity[order[i]])) for i in rows]

    def _table(self) -> Tensor:
        if len(self._chunks) > 1:
            self._chunks = [torch.cat(self._chunks)]
        return self._chunks[0]

    def _ask(self, keys: list[str]) -> Tensor:
        answer = self._log_reward(keys).detach().to("cpu", torch.float32)
        expected = (len(keys), self._environment.n_fidelities)
        if answer.shape != expected:
            raise RewardError(
                f"the log reward of {expected[0]} candidates at {expected[1]} fidelities "
                f"has the shape {tuple(answer.shape)}",
                "return one row per candidate and one column per fidelity",
            )
        bad = (~answer.isfinite()).any(dim=1).nonzero()[:, 0].tolist()
        if bad:
            raise RewardError(
                f"the log reward of candidate {keys[bad[0]]!r} is {answer[bad[0]].tolist()}",
                "a log reward is a finite number at every fidelity",
            )
        return answer
