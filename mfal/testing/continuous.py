"""The laws that every continuous environment obeys, as a class of tests to inherit."""

import torch
from torch import Tensor

from mfal.envs.base import ContinuousEnvironment
from mfal.errors import InvalidKeyError
from mfal.testing.densities import DensityChecks, finished, steps, steps_back
from mfal.testing.distances import check_distance
from mfal.testing.generators import left_alone
from mfal.testing.walks import same


class ContinuousEnvironmentChecks(DensityChecks):
    """Checks a continuous environment on random trajectories; each law is one test.

    In a test module::

        class TestMine(ContinuousEnvironmentChecks):
            def environment(self):
                return MyEnvironment(steps=5)

    Override `difference` where coordinates are periodic, `bad_keys` to name keys that must be
    refused.
    """

    tolerance = 1e-5

    def difference(self, first: Tensor, second: Tensor) -> Tensor:
        """How far apart states are, coordinate by coordinate, ``n x d``."""
        return (first - second).abs()

    def bad_keys(self) -> list[str]:
        """Keys outside the search space."""
        return ["\N{SNOWMAN} is no candidate"]

    def test_satisfies_the_protocol(self) -> None:
        """Every method and attribute of `ContinuousEnvironment` is there."""
        environment = self.environment()
        assert isinstance(environment, ContinuousEnvironment), "a method or attribute is missing"
        for name in ("n_forward", "n_features", "max_steps"):
            assert getattr(environment, name) > 0, f"{name} is not above zero"
        assert environment.n_backward >= 0, "n_backward is below zero"

    def test_initial_states_are_copies_of_one_source(self) -> None:
        """`initial` gives equal rows of float32."""
        states = self.environment().initial(self.n)
        assert states.ndim == 2 and len(states) == self.n, f"shape {tuple(states.shape)}"
        assert states.dtype == torch.float32, f"states are {states.dtype}, not float32"
        assert (states == states[0]).all(), "rows of `initial` differ"

    def test_the_source_is_at_the_source_and_not_finished(self) -> None:
        """There is a first step, and no way back."""
        environment = self.environment()
        source = environment.initial(2)
        assert environment.at_source(source).all(), "`at_source` does not know the source"
        assert not environment.finished(source).any(), "the source is finished"

    def test_no_step_leads_to_the_source(self) -> None:
        """Every other state can be undone."""
        environment = self.environment()
        for _, _, after in steps(environment, self.n, self.seed):
            assert not environment.at_source(after).any(), "a step led to the source"

    def test_undo_inverts_step(self) -> None:
        """Undoing a step gives the state before, up to rounding."""
        environment = self.environment()
        for before, actions, after in steps(environment, self.n, self.seed):
            self._close(environment.undo(after, actions), before, "undo after step")

    def test_step_inverts_undo(self) -> None:
        """Taking an undone step gives the state after, up to rounding."""
        environment = self.environment()
        for before, actions, after in steps_back(environment, self.n, self.seed):
            self._close(environment.step(before, actions), after, "step after undo")

    def test_trajectories_end_within_max_steps(self) -> None:
        """The longest trajectory has at most `max_steps` steps."""
        environment = self.environment()
        taken = list(steps(environment, self.n, self.seed))
        assert len(taken) <= environment.max_steps, f"more than {environment.max_steps} steps"

    def test_ways_back_reach_the_source_within_max_steps(self) -> None:
        """The fixed way back ends at the source, exactly."""
        environment = self.environment()
        source, reached = environment.initial(1), 0
        for time, (before, _, _) in enumerate(steps_back(environment, self.n, self.seed)):
            assert time < environment.max_steps, f"more than {environment.max_steps} steps back"
            reached += int((before == source).all(dim=1).sum())
        assert reached == self.n, f"{self.n - reached} of {self.n} ways back miss the source"

    def test_states_are_not_changed_in_place(self) -> None:
        """Nothing writes into the states or actions that it is given."""
        environment = self.environment()
        for before, actions, after in steps(environment, self.n, self.seed):
            given = (before, actions, after)
            kept = [tensor.clone() for tensor in given]
            environment.step(before, actions)
            environment.undo(after, actions)
            for states in (before, after):
                environment.observe(states)
                environment.finished(states)
                environment.at_source(states)
            self._forward(environment, before).log_prob(actions)
            environment.backward_actions(after, None).log_prob(actions)
            for tensor, old in zip(given, kept, strict=True):
                same(tensor, old, "states or actions given to a method")

    def test_batches_equal_single_rows(self) -> None:
        """A row's result does not depend on the rest of the batch."""
        environment = self.environment()
        for before, actions, after in steps(environment, self.n, self.seed):
            density = self._forward(environment, before).log_prob(actions)
            for row in range(min(3, len(before))):
                one = slice(row, row + 1)
                self._close(environment.step(before[one], actions[one]), after[one], "step")
                seen = environment.observe(after)[one]
                assert torch.allclose(environment.observe(after[one]), seen), "observe"
                outputs = self._outputs(len(before), environment.n_forward)[one]
                alone = environment.forward_actions(before[one], outputs).log_prob(actions[one])
                assert torch.allclose(alone, density[one], atol=1e-4), "log_prob of a row alone"

    def test_draws_are_reproducible(self) -> None:
        """Equal generators give equal actions, in two environments made alike."""
        ways = [list(steps(self.environment(), self.n, self.seed)) for _ in range(2)]
        for first, again in zip(*ways, strict=True):
            same(again[1], first[1], "actions drawn with the same seed")
            same(again[2], first[2], "states after them")

    def test_the_global_generator_is_left_alone(self) -> None:
        """Draws use the generator that they are given."""
        environment = self.environment()
        with left_alone():
            list(steps(environment, self.n, self.seed))
            list(steps_back(environment, self.n, self.seed))

    def test_observations_are_finite_and_of_the_promised_width(self) -> None:
        """`observe` gives finite float32, ``n x n_features``."""
        environment = self.environment()
        for before, _, after in steps(environment, self.n, self.seed):
            for states in (before, after):
                seen = environment.observe(states)
                assert seen.dtype == torch.float32, f"observe gives {seen.dtype}"
                assert seen.shape == (len(states), environment.n_features), tuple(seen.shape)
                assert seen.isfinite().all(), "an observation is not finite"

    def test_observations_tell_states_apart(self) -> None:
        """Different states look different to the policy."""
        environment = self.environment()
        for before, _, after in steps(environment, self.n, self.seed):
            states = torch.cat([before, after])
            n, seen = (
                len({*map(tuple, x.tolist())}) for x in (states, environment.observe(states))
            )
            assert seen == n, f"{n} states look like {seen}"

    def test_distance_tells_candidates_apart(self) -> None:
        """`distance`, where there is one, is symmetric, in [0, 1], and 0 for equal keys only."""
        environment = self.environment()
        check_distance(environment, finished(environment, self.n, self.seed))

    def test_keys_survive_the_round_trip(self) -> None:
        """States -> keys -> states -> keys, exactly."""
        environment = self.environment()
        states = finished(environment, self.n, self.seed)
        keys = environment.keys(states)
        assert len(keys) == len(states) and all(isinstance(key, str) for key in keys), keys
        again = environment.states(keys)
        same(again, states, "states -> keys -> states")
        assert environment.keys(again) == keys, "keys -> states -> keys"
        assert environment.keys(states.flip(0)) == keys[::-1], "a key depends on its neighbours"

    def test_states_of_keys_are_finished(self) -> None:
        """`states` gives complete candidates, and an empty batch of no keys."""
        environment = self.environment()
        states = environment.states(environment.keys(finished(environment, 3, self.seed)))
        assert environment.finished(states).all(), "`states` gave an unfinished state"
        nothing = environment.states([])
        assert nothing.shape == (0, states.shape[1]), tuple(nothing.shape)
        assert environment.keys(nothing) == []

    def test_bad_keys_are_refused_by_name(self) -> None:
        """`states` raises InvalidKeyError that names the key."""
        environment = self.environment()
        for key in self.bad_keys():
            try:
                environment.states([key])
            except InvalidKeyError as error:
                assert key in str(error), f"the error does not name {key!r}: {error}"
            else:
                raise AssertionError(f"{key!r} was accepted")

    def _close(self, got: Tensor, expected: Tensor, what: str) -> None:
        assert got.shape == expected.shape, f"{what}: {tuple(got.shape)}"
        apart = self.difference(got, expected)
        assert (apart <= self.tolerance).all(), f"{what} is off by {float(apart.max()):.2e}"
