"""The checks themselves: each broken environment fails the law that it breaks."""

from collections.abc import Sequence

import pytest
import torch
from torch import Generator, Tensor

from mfal.envs.sequence import SequenceEnvironment
from mfal.testing import EnvironmentChecks


class Dna(SequenceEnvironment):
    def __init__(self) -> None:
        super().__init__(alphabet="ACGT", length=4)


class StepsInPlace(Dna):
    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        place = (states >= 0).sum(dim=1, keepdim=True).clamp_max(3)
        return states.scatter_(1, place, actions[:, None])


class UndoesTooMuch(Dna):
    def undo(self, states: Tensor, actions: Tensor) -> Tensor:
        return super().undo(states, actions).index_fill(1, torch.tensor([2]), -1)


class ForgetsWaysBack(Dna):
    def backward_mask(self, states: Tensor) -> Tensor:
        mask = super().backward_mask(states)
        mask[:, 0] = False
        return mask


class LeavesTheSourceBackwards(Dna):
    def backward_mask(self, states: Tensor) -> Tensor:
        return super().backward_mask(states) | (states[:, :1] < 0)


class NeverFinishes(Dna):
    def forward_mask(self, states: Tensor) -> Tensor:
        return torch.ones(len(states), 4, dtype=torch.bool)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        return super().step(states.where(states[:, -1:] < 0, -1), actions)


class UnderstatesItsLength(Dna):
    def __init__(self) -> None:
        super().__init__()
        self.max_steps = 3


class SeesNaN(Dna):
    def observe(self, states: Tensor) -> Tensor:
        return super().observe(states) / 0.0


class SeesTooMuch(Dna):
    def observe(self, states: Tensor) -> Tensor:
        return torch.cat([super().observe(states)] * 2, dim=1)


class SeesTheBatch(Dna):
    def observe(self, states: Tensor) -> Tensor:
        return super().observe(states) * len(states)


class SeesTheLastLetterOnly(Dna):
    def observe(self, states: Tensor) -> Tensor:
        seen = super().observe(states)
        seen[:, :8] = 0
        return seen


class PromisesAWrongDelta(Dna):
    def observe_delta(self, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        columns, changes = super().observe_delta(states, actions)
        return columns, 2 * changes


class UnrollsBackwards(Dna):
    def unroll(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        before, actions, rows = super().unroll(states)
        return before.flip(0), actions.flip(0), rows.flip(0)


class SwapsKeys(Dna):
    def keys(self, states: Tensor) -> list[str]:
        return super().keys(states.flip(1))


class TakesAnyKey(Dna):
    def states(self, keys: Sequence[str]) -> Tensor:
        return super().states([k if set(k) <= set("ACGT") else "AAAA" for k in keys])


class MutatesInPlace(Dna):
    def mutate(self, states: Tensor, generator: Generator) -> Tensor:
        return states.copy_(super().mutate(states, generator))


class MutatesAtRandom(Dna):
    def mutate(self, states: Tensor, generator: Generator) -> Tensor:
        return torch.randint(0, 4, states.shape)


class MatesIncompletely(Dna):
    def crossover(self, first: Tensor, second: Tensor, generator: Generator) -> Tensor:
        return super().crossover(first, second, generator).index_fill(1, torch.tensor([3]), -1)


BROKEN = [
    (StepsInPlace, "test_states_are_not_changed_in_place"),
    (UndoesTooMuch, "test_undo_inverts_step"),
    (ForgetsWaysBack, "test_a_step_can_be_undone"),
    (ForgetsWaysBack, "test_only_the_source_has_no_way_back"),
    (ForgetsWaysBack, "test_ways_back_reach_the_source_within_max_steps"),
    (LeavesTheSourceBackwards, "test_source_has_no_way_back"),
    (NeverFinishes, "test_trajectories_end_within_max_steps"),
    (UnderstatesItsLength, "test_trajectories_end_within_max_steps"),
    (SeesNaN, "test_observations_are_finite_and_of_the_promised_width"),
    (SeesTooMuch, "test_observations_are_finite_and_of_the_promised_width"),
    (SeesTheBatch, "test_batches_equal_single_rows"),
    (SeesTheLastLetterOnly, "test_observations_tell_states_apart"),
    (PromisesAWrongDelta, "test_observe_delta_agrees_with_observe"),
    (UnrollsBackwards, "test_unroll_retraces_trajectories"),
    (SwapsKeys, "test_keys_survive_the_round_trip"),
    (SwapsKeys, "test_states_survive_the_round_trip"),
    (TakesAnyKey, "test_bad_keys_are_refused_by_name"),
    (MutatesInPlace, "test_mutants_are_other_finished_states"),
    (MutatesAtRandom, "test_mutants_are_other_finished_states"),
    (MatesIncompletely, "test_crossovers_are_finished_states"),
]


def _checks(kind: type[SequenceEnvironment]) -> EnvironmentChecks:
    checks = EnvironmentChecks()
    checks.environment = kind  # type: ignore[method-assign]
    return checks


@pytest.mark.parametrize(("kind", "law"), BROKEN)
def test_a_broken_environment_fails(kind: type[SequenceEnvironment], law: str) -> None:
    getattr(_checks(Dna), law)()
    with pytest.raises(AssertionError):
        getattr(_checks(kind), law)()


def test_there_are_many_laws() -> None:
    assert sum(name.startswith("test_") for name in dir(EnvironmentChecks)) >= 15
