"""Every law of continuous environments is broken by some torus, and found out."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Generator, Tensor

from mfal.envs.torus import TorusActions, TorusEnvironment
from mfal.testing.continuous import ContinuousEnvironmentChecks
from tests.unit.envs.angles import TorusChecks


class Circle(TorusEnvironment):
    def __init__(self) -> None:
        super().__init__(steps=3, dimensions=1)


class StepsInPlace(Circle):
    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        return states.copy_(super().step(states, actions))


class UndoesTooLittle(Circle):
    def undo(self, states: Tensor, actions: Tensor) -> Tensor:
        return super().undo(states, 0.9 * actions)


class MissesTheSource(Circle):
    def undo(self, states: Tensor, actions: Tensor) -> Tensor:
        return super().undo(states, actions) + torch.tensor([1e-6, 0.0])


class StartsAnywhere(Circle):
    def initial(self, n: int) -> Tensor:
        return torch.linspace(0, 1, n)[:, None] * torch.tensor([1.0, 0.0])


class StartsFinished(Circle):
    def finished(self, states: Tensor) -> Tensor:
        return torch.ones(len(states), dtype=torch.bool)


class SeesTheSourceEverywhere(Circle):
    def at_source(self, states: Tensor) -> Tensor:
        return states[:, -1] < 2


class UnderstatesItsLength(Circle):
    def __init__(self) -> None:
        super().__init__()
        self.max_steps = 2


class SeesNaN(Circle):
    def observe(self, states: Tensor) -> Tensor:
        return super().observe(states) / 0.0


class SeesTheBatch(Circle):
    def observe(self, states: Tensor) -> Tensor:
        return super().observe(states) * len(states)


class SeesTheCountOnly(Circle):
    def observe(self, states: Tensor) -> Tensor:
        return super().observe(states) * (torch.arange(self.n_features) >= 2 * self.harmonics)


class LacksDistributions(Circle):
    backward_actions = None  # type: ignore[assignment]


class DrawsGlobally(TorusActions):
    def draw(self, generator: Generator, *, epsilon: float = 0.0) -> Tensor:
        return super().draw(Generator().manual_seed(int(torch.randint(9**9, ()))), epsilon=epsilon)


class IgnoresOutputs(TorusActions):
    def log_prob(self, actions: Tensor) -> Tensor:
        return super().log_prob(actions).detach()


class DrawsUniformly(TorusActions):
    def draw(self, generator: Generator, *, epsilon: float = 0.0) -> Tensor:
        return super().draw(generator, epsilon=1.0)


class SquaresTheDensity(TorusActions):
    def log_prob(self, actions: Tensor) -> Tensor:
        return 2 * super().log_prob(actions)


class ForbidsFarTurns(TorusActions):
    def log_prob(self, actions: Tensor) -> Tensor:
        far = (actions.abs() > 2).any(dim=1)
        return super().log_prob(actions).masked_fill(far, -math.inf)


def acts(kind: type[TorusActions], *, backward: bool = False) -> type[Circle]:
    """A circle whose next or last actions are of another kind."""

    class Broken(Circle):
        def forward_actions(self, states: Tensor, outputs: Tensor) -> TorusActions:
            actions = super().forward_actions(states, outputs)
            return actions if backward else kind(actions.mixture, actions.own, actions.certain)

        def backward_actions(self, states: Tensor, outputs: Tensor | None) -> TorusActions:
            actions = super().backward_actions(states, outputs)
            return kind(actions.mixture, actions.own, actions.certain) if backward else actions

    return Broken


class RoundsKeys(Circle):
    def keys(self, states: Tensor) -> list[str]:
        return super().keys(torch.cat([states[:, :-1].round(decimals=2), states[:, -1:]], dim=1))


class ForgetsToFinish(Circle):
    def states(self, keys: Sequence[str]) -> Tensor:
        return super().states(keys) - torch.tensor([0.0, 1.0])


class TakesAnyKey(Circle):
    def states(self, keys: Sequence[str]) -> Tensor:
        return super().states([key if key[-1:].isdigit() else "0.0" for key in keys])


class MeasuresOneWayRound(Circle):
    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        return (first[:, None, :-1] - second[None, :, :-1]).amax(dim=2).clamp(0, 1)


BROKEN = [
    (LacksDistributions, "test_satisfies_the_protocol"),
    (StartsAnywhere, "test_initial_states_are_copies_of_one_source"),
    (StartsFinished, "test_the_source_is_at_the_source_and_not_finished"),
    (SeesTheSourceEverywhere, "test_no_step_leads_to_the_source"),
    (UndoesTooLittle, "test_undo_inverts_step"),
    (UndoesTooLittle, "test_step_inverts_undo"),
    (MissesTheSource, "test_ways_back_reach_the_source_within_max_steps"),
    (UnderstatesItsLength, "test_trajectories_end_within_max_steps"),
    (UnderstatesItsLength, "test_ways_back_reach_the_source_within_max_steps"),
    (StepsInPlace, "test_states_are_not_changed_in_place"),
    (SeesTheBatch, "test_batches_equal_single_rows"),
    (acts(DrawsGlobally), "test_draws_are_reproducible"),
    (acts(DrawsGlobally), "test_the_global_generator_is_left_alone"),
    (acts(DrawsGlobally, backward=True), "test_the_global_generator_is_left_alone"),
    (SeesNaN, "test_observations_are_finite_and_of_the_promised_width"),
    (SeesTheCountOnly, "test_observations_tell_states_apart"),
    (acts(ForbidsFarTurns), "test_drawn_actions_have_a_density"),
    (acts(ForbidsFarTurns), "test_a_step_back_has_a_positive_density_of_its_way_forward"),
    (acts(ForbidsFarTurns, backward=True), "test_a_step_has_a_positive_density_of_its_way_back"),
    (acts(IgnoresOutputs), "test_forward_densities_are_differentiable"),
    (acts(IgnoresOutputs, backward=True), "test_backward_densities_are_differentiable"),
    (acts(DrawsUniformly), "test_draws_follow_the_density"),
    (acts(SquaresTheDensity), "test_draws_follow_the_density"),
    (acts(DrawsUniformly, backward=True), "test_learnt_draws_back_follow_the_density"),
    (acts(SquaresTheDensity, backward=True), "test_learnt_draws_back_follow_the_density"),
    (RoundsKeys, "test_keys_survive_the_round_trip"),
    (ForgetsToFinish, "test_states_of_keys_are_finished"),
    (TakesAnyKey, "test_bad_keys_are_refused_by_name"),
    (MeasuresOneWayRound, "test_distance_tells_candidates_apart"),
]


def _checks(kind: type[TorusEnvironment]) -> ContinuousEnvironmentChecks:
    checks = TorusChecks()
    checks.environment = kind  # type: ignore[method-assign]
    return checks


@pytest.mark.parametrize(("kind", "law"), BROKEN)
def test_a_broken_environment_fails(kind: type[TorusEnvironment], law: str) -> None:
    getattr(_checks(Circle), law)()
    with pytest.raises(AssertionError):
        getattr(_checks(kind), law)()


def test_every_law_is_broken_by_some_environment() -> None:
    laws = {name for name in dir(ContinuousEnvironmentChecks) if name.startswith("test_")}
    assert laws == {law for _, law in BROKEN}
