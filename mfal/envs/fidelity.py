"""Any environment plus one last choice: the fidelity at which to ask."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from mfal.envs.base import Environment, Schedule, hook
from mfal.errors import ConfigError, InvalidKeyError

UNCHOSEN = -1


class FidelityEnvironment:
    """Builds a candidate with another environment, then chooses one of M fidelities.

    The fidelity is the last action, so the policy sees the complete candidate when it
    chooses. Candidates and fidelities are sampled jointly, as in MF-GFN (Hernandez-Garcia et
    al. 2023, arXiv 2306.11715).

    A state is the candidate's state and one more column: the index of the fidelity, -1
    while not chosen. The actions n_actions..n_actions+M-1 of this environment choose it.

    Args:
        environment: Builds the candidates.
        n_fidelities: Number M of rungs of the ladder.
    """

    def __init__(self, environment: Environment, n_fidelities: int) -> None:
        if n_fidelities < 1:
            raise ConfigError(
                f"the ladder has {n_fidelities} fidelities", "name at least one fidelity"
            )
        self.environment = environment
        self.n_fidelities = n_fidelities
        self.n_actions = environment.n_actions + n_fidelities
        self.n_features = environment.n_features + n_fidelities
        self.max_steps = environment.max_steps + 1

    def initial(self, n: int) -> Tensor:
        """N source states of the candidate, fidelity not chosen, ``n x (d + 1)``."""
        return self.join(self.environment.initial(n), torch.full((n,), UNCHOSEN))

    def join(self, candidates: Tensor, fidelities: Tensor) -> Tensor:
        """States (``n x (d + 1)``) of candidates (``n x d``) and fidelity indices (``n``)."""
        return torch.cat([candidates, fidelities[:, None].to(candidates)], dim=1)

    def candidates(self, states: Tensor) -> Tensor:
        """The candidates' own states, ``n x d``."""
        return states[:, :-1]

    def fidelities(self, states: Tensor) -> Tensor:
        """Index of the fidelity chosen, -1 where none is yet, int64 ``n``."""
        return states[:, -1].long()

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        """States after `actions` (``n``): one more step of the candidate, or its fidelity."""
        own = self._own(actions)
        if not own.any():  # All but the last steps of a batch of equal lengths.
            return torch.cat([self.environment.step(states[:, :-1], actions), states[:, -1:]], 1)
        after, inner = states.clone(), ~own
        after[own, -1] = (actions[own] - self.environment.n_actions).to(states)
        after[inner, :-1] = self.environment.step(states[inner, :-1], actions[inner])
        return after

    def undo(self, states: Tensor, actions: Tensor) -> Tensor:
        """States before `actions` (``n``)."""
        own = self._own(actions)
        if not own.any():
            return torch.cat([self.environment.undo(states[:, :-1], actions), states[:, -1:]], 1)
        before, inner = states.clone(), ~own
        before[own, -1] = UNCHOSEN
        before[inner, :-1] = self.environment.undo(states[inner, :-1], actions[inner])
        return before

    def forward_mask(self, states: Tensor) -> Tensor:
        """The candidate's actions until it is complete, then the fidelities."""
        inner = self.environment.forward_mask(states[:, :-1])
        choosing = ~inner.any(dim=1) & (states[:, -1] == UNCHOSEN)
        return torch.cat([inner, choosing[:, None].expand(-1, self.n_fidelities)], dim=1)

    def backward_mask(self, states: Tensor) -> Tensor:
        """The fidelity where one is chosen, else the candidate's last actions."""
        chosen = states[:, -1:]
        inner = self.environment.backward_mask(states[:, :-1]) & (chosen == UNCHOSEN)
        own = chosen == torch.arange(self.n_fidelities, device=states.device)
        return torch.cat([inner, own], dim=1)

    def observe(self, states: Tensor) -> Tensor:
        """The candidate's observation and a one-hot fidelity, ``n x (p + M)``."""
        own = states[:, -1:] == torch.arange(self.n_fidelities, device=states.device)
        inner = self.environment.observe(states[:, :-1])
        return torch.cat([inner, own.to(inner)], dim=1)

    def observe_delta(self, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Entries of the observation that a step changes: columns and changes, ``n x k``."""
        observe_delta = self._hook("observe_delta")
        own = self._own(actions)
        if not own.any():
            delta: tuple[Tensor, Tensor] = observe_delta(states[:, :-1], actions)
            return delta
        inner = ~own
        inner_columns, inner_changes = observe_delta(states[inner, :-1], actions[inner])
        columns = actions.new_zeros(len(actions), inner_columns.shape[1])
        changes = inner_changes.new_zeros(columns.shape)
        columns[inner], changes[inner] = inner_columns, inner_changes
        first = actions[own] - self.environment.n_actions + self.environment.n_features
        columns[own, 0], changes[own, 0] = first, 1.0
        return columns, changes

    def retrace(self, states: Tensor) -> Tensor:
        """The candidate's own steps, then its fidelity, ``T x n``."""
        inner = self._hook("retrace")(self.candidates(states))
        actions = torch.cat([inner, torch.full_like(inner[:1], -1)])
        own = (self.fidelities(states) + self.environment.n_actions).to(actions)
        return actions.scatter(0, (inner >= 0).sum(dim=0, keepdim=True), own[None])

    def schedule(self) -> Schedule:
        """The candidate's schedule and one more time."""
        inner: Schedule = self._hook("schedule")()
        letters = self.environment.n_actions

        def assemble(actions: Tensor) -> Tensor:
            return self.join(inner.assemble(actions[:-1]), actions[-1] - letters)

        return Schedule(
            choices=(*inner.choices, (letters, self.n_actions)),
            columns=(*inner.columns, self.environment.n_features - letters),
            assemble=assemble,
        )

    def uniform(self, n: int, generator: Generator) -> Tensor:
        """N candidates, all equally likely, each at a fidelity drawn uniformly."""
        device = generator.device
        rungs = torch.randint(self.n_fidelities, (n,), generator=generator, device=device)
        return self.join(self._hook("uniform")(n, generator), rungs)

    def mutate(self, states: Tensor, generator: Generator) -> Tensor:
        """Mutants of the candidates; a quarter of the rows draw their fidelity anew."""
        candidates = self._hook("mutate")(self.candidates(states), generator)
        n, device = len(states), generator.device
        other = torch.randint(self.n_fidelities, (n,), generator=generator, device=device)
        redrawn = torch.rand(n, generator=generator, device=device) < 0.25
        return self.join(candidates, torch.where(redrawn, other, self.fidelities(states)))

    def crossover(self, first: Tensor, second: Tensor, generator: Generator) -> Tensor:
        """Crossings of the candidates, each at the fidelity of either parent."""
        candidates = self._hook("crossover")(
            self.candidates(first), self.candidates(second), generator
        )
        taken = torch.rand(len(first), generator=generator, device=generator.device) < 0.5
        fidelities = torch.where(taken, self.fidelities(second), self.fidelities(first))
        return self.join(candidates, fidelities)

    def canonical(self, states: Tensor) -> Tensor:
        """The states that stand for the candidates, at the same fidelities."""
        candidates = self._hook("canonical")(self.candidates(states))
        return self.join(candidates, self.fidelities(states))

    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        """Between the candidates, ``k x n``."""
        found: Tensor = self._hook("distance")(self.candidates(first), self.candidates(second))
        return found

    def keys(self, states: Tensor) -> list[str]:
        """Keys of the candidates, without their fidelities."""
        return self.environment.keys(states[:, :-1])

    def queries(self, states: Tensor) -> list[tuple[str, int]]:
        """Key and index of the fidelity of finished states."""
        return list(zip(self.keys(states), self.fidelities(states).tolist(), strict=True))

    def states(self, keys: Sequence[str], fidelities: Sequence[int] | None = None) -> Tensor:
        """Finished states of candidates at fidelity indices, by default the last, the target.

        Raises:
            InvalidKeyError: for a key outside the search space or a fidelity off the ladder.
        """
        indices = [self.n_fidelities - 1] * len(keys) if fidelities is None else list(fidelities)
        for key, index in zip(keys, indices, strict=True):
            if not 0 <= index < self.n_fidelities:
                raise InvalidKeyError(
                    f"candidate {key!r} is asked for at fidelity index {index}",
                    f"the ladder has the indices 0 to {self.n_fidelities - 1}",
                )
        return self.join(self.environment.states(keys), torch.tensor(indices, dtype=torch.int64))

    def _hook(self, name: str) -> Callable[..., Any]:
        found = hook(self.environment, name)
        if found is None:
            raise TypeError(f"{type(self.environment).__name__} has no {name}")
        return found

    def _own(self, actions: Tensor) -> Tensor:
        return actions >= self.environment.n_actions
