"""The checks themselves: each broken environment fails the law that it breaks."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Generator, Tensor

from mfal.envs.base import Schedule
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


class PromisesAColumnTooFar(Dna):
    def observe_delta(self, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        columns, changes = super().observe_delta(states, actions)
        return columns + self.n_features, changes


class RetracesBackwards(Dna):
    def retrace(self, states: Tensor) -> Tensor:
        return states.T.flip(0)


class RetracesLate(Dna):
    def retrace(self, states: Tensor) -> Tensor:
        return torch.cat([torch.full_like(states.T[:1], -1), states.T])[: self.length]


class RetracesTooMany(Dna):
    def retrace(self, states: Tensor) -> Tensor:
        return states.repeat(2, 1).T


class SeesTwoWaysBack(Dna):
    def backward_mask(self, states: Tensor) -> Tensor:
        mask = super().backward_mask(states)
        return mask | mask.roll(1, dims=1)


class AllowsMoreThanScheduled(Dna):
    def schedule(self) -> Schedule:
        return replace(super().schedule(), choices=((0, 3),) * self.length)


class SchedulesTooShort(Dna):
    def schedule(self) -> Schedule:
        whole = super().schedule()
        return replace(whole, choices=whole.choices[:-1], columns=whole.columns[:-1])


class SchedulesOtherColumns(Dna):
    def schedule(self) -> Schedule:
        return replace(super().schedule(), columns=(4, 0, 8, 12))


class AssemblesBackwards(Dna):
    def schedule(self) -> Schedule:
        return replace(super().schedule(), assemble=lambda actions: actions.flip(0).T)


class SchedulesWithoutRetrace(Dna):
    retrace = None  # type: ignore[assignment]


class RetracesOneForNone(Dna):
    def retrace(self, states: Tensor) -> Tensor:
        return states.T if len(states) else torch.zeros(self.length, 1, dtype=torch.long)


class GoesInCircles(Dna):
    """Starts again where it should set the third letter."""

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        return super().step(states, actions).where(states[:, 1:2] < 0, -1)


class ChangesType(Dna):
    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        return super().step(states, actions).int()

    def undo(self, states: Tensor, actions: Tensor) -> Tensor:
        return super().undo(states, actions.int()).int()


class SeesOneForNone(Dna):
    def observe(self, states: Tensor) -> Tensor:
        return super().observe(states if len(states) else self.initial(1))


class DrawsGlobally(Dna):
    def observe(self, states: Tensor) -> Tensor:
        torch.rand(1)
        return super().observe(states)


class ShufflesGlobally(Dna):
    def keys(self, states: Tensor) -> list[str]:
        random.random()
        return super().keys(states)


class WritesIntoActions(Dna):
    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        after = super().step(states, actions)
        actions.zero_()
        return after


class NamesNeighbours(Dna):
    """Tells repeated candidates apart."""

    def keys(self, states: Tensor) -> list[str]:
        keys = super().keys(states)
        return [key if keys.index(key) == i else f"{key}'" for i, key in enumerate(keys)]


class SortsKeys(Dna):
    def states(self, keys: Sequence[str]) -> Tensor:
        return super().states(sorted(keys))


class LeavesOutTheLastLetter(Dna):
    def states(self, keys: Sequence[str]) -> Tensor:
        return super().states(keys).index_fill(1, torch.tensor([3]), -1)


class LeavesAGap(Dna):
    """The states of its keys look finished, and lead nowhere."""

    def states(self, keys: Sequence[str]) -> Tensor:
        return super().states(keys).index_fill(1, torch.tensor([0]), -1)


class SwapsKeys(Dna):
    def keys(self, states: Tensor) -> list[str]:
        return super().keys(states.flip(1))


class SortsInPlace(Dna):
    """A candidate is its letters in any order, which the states that are asked about lose."""

    def keys(self, states: Tensor) -> list[str]:
        return super().keys(states.sort(dim=1).values)

    def canonical(self, states: Tensor) -> Tensor:
        return states.copy_(states.sort(dim=1).values)


class TakesAnyKey(Dna):
    def states(self, keys: Sequence[str]) -> Tensor:
        return super().states([k if set(k) <= set("ACGT") else "AAAA" for k in keys])


class MutatesInPlace(Dna):
    def mutate(self, states: Tensor, generator: Generator) -> Tensor:
        return states.copy_(super().mutate(states, generator))


class MutatesAtRandom(Dna):
    def mutate(self, states: Tensor, generator: Generator) -> Tensor:
        return torch.randint(0, 4, states.shape)


class MutatesToAnotherType(Dna):
    def mutate(self, states: Tensor, generator: Generator) -> Tensor:
        return super().mutate(states, generator).int()


class BreedsFromNothing(Dna):
    def mutate(self, states: Tensor, generator: Generator) -> Tensor:
        return super().mutate(states if len(states) else self.states(["ACGT"]), generator)


class MatesIncompletely(Dna):
    def crossover(self, first: Tensor, second: Tensor, generator: Generator) -> Tensor:
        return super().crossover(first, second, generator).index_fill(1, torch.tensor([3]), -1)


class CountsPlaces(Dna):
    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        return (first[:, None] != second).sum(dim=2)


class TakesAllForOne(Dna):
    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.zeros(len(first), len(second))


class MeasuresRowByRow(Dna):
    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        return (first != second[: len(first)]).double().mean(dim=1)


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
    (PromisesAColumnTooFar, "test_observe_delta_names_columns_of_the_observation"),
    (RetracesBackwards, "test_retrace_leads_to_the_states"),
    (RetracesLate, "test_retrace_is_padded_after_the_end_only"),
    (RetracesTooMany, "test_retrace_is_padded_after_the_end_only"),
    (SeesTwoWaysBack, "test_retrace_is_the_only_way"),
    (SeesTwoWaysBack, "test_step_inverts_undo"),
    (AllowsMoreThanScheduled, "test_schedule_says_what_is_allowed"),
    (SchedulesTooShort, "test_schedule_says_what_is_allowed"),
    (SchedulesTooShort, "test_schedule_says_what_is_seen"),
    (SchedulesOtherColumns, "test_schedule_says_what_is_seen"),
    (AssemblesBackwards, "test_schedule_assembles_what_steps_build"),
    (SchedulesWithoutRetrace, "test_schedule_comes_with_retrace"),
    (RetracesOneForNone, "test_hooks_take_empty_batches"),
    (GoesInCircles, "test_no_trajectory_comes_back"),
    (ChangesType, "test_states_keep_their_type_and_device"),
    (SeesOneForNone, "test_empty_batches_stay_empty"),
    (DrawsGlobally, "test_nothing_draws_from_the_global_generators"),
    (ShufflesGlobally, "test_nothing_draws_from_the_global_generators"),
    (WritesIntoActions, "test_states_are_not_changed_in_place"),
    (NamesNeighbours, "test_there_is_a_key_for_every_finished_state"),
    (SortsKeys, "test_states_follow_the_order_of_keys"),
    (LeavesOutTheLastLetter, "test_states_of_keys_are_finished"),
    (LeavesAGap, "test_states_of_keys_can_be_taken_apart"),
    (SwapsKeys, "test_keys_survive_the_round_trip"),
    (SwapsKeys, "test_states_survive_the_round_trip"),
    (SortsInPlace, "test_states_survive_the_round_trip"),
    (TakesAnyKey, "test_bad_keys_are_refused_by_name"),
    (MutatesInPlace, "test_mutants_are_other_finished_states"),
    (MutatesAtRandom, "test_mutants_are_other_finished_states"),
    (MutatesToAnotherType, "test_mutants_are_other_finished_states"),
    (BreedsFromNothing, "test_nothing_breeds_nothing"),
    (MatesIncompletely, "test_crossovers_are_finished_states"),
    (CountsPlaces, "test_distance_tells_candidates_apart"),
    (TakesAllForOne, "test_distance_tells_candidates_apart"),
    (MeasuresRowByRow, "test_distance_tells_candidates_apart"),
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
    assert sum(name.startswith("test_") for name in dir(EnvironmentChecks)) >= 40
