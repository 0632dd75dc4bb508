"""The laws that every environment obeys, as a class of tests to inherit."""

import torch

from mfal.envs.base import Environment
from mfal.testing.generators import left_alone
from mfal.testing.hooks import HookChecks
from mfal.testing.walks import branches, branches_back, finished, same, steps, steps_back


class EnvironmentChecks(HookChecks):
    """Checks an environment on random trajectories; each law is one test.

    In a test module::

        class TestMine(EnvironmentChecks):
            def environment(self):
                return MyEnvironment(size=5)

    A failing law says in its message what broke. Override `bad_keys` to name keys that must be
    refused, `restore` where `keys` leaves out part of a state.
    """

    def test_satisfies_the_protocol(self) -> None:
        """Every method and attribute of `Environment` is there."""
        environment = self.environment()
        assert isinstance(environment, Environment), "a method or attribute is missing"
        for name in ("n_actions", "n_features", "max_steps"):
            assert getattr(environment, name) > 0, f"{name} is not above zero"

    def test_initial_states_are_copies_of_one_source(self) -> None:
        """`initial` gives equal rows of integers."""
        states = self.environment().initial(self.n)
        assert states.ndim == 2 and len(states) == self.n, f"shape {tuple(states.shape)}"
        assert not states.is_floating_point(), f"states are {states.dtype}, not integers"
        assert (states == states[0]).all(), "rows of `initial` differ"

    def test_source_has_no_way_back(self) -> None:
        """No action leads to the source."""
        environment = self.environment()
        mask = environment.backward_mask(environment.initial(2))
        assert not mask.any(), "the source has an action that leads to it"

    def test_source_is_not_finished(self) -> None:
        """There is a first step."""
        environment = self.environment()
        assert environment.forward_mask(environment.initial(1)).any(), "no action at the source"

    def test_only_the_source_has_no_way_back(self) -> None:
        """Every other state can be undone: backward probabilities exist."""
        environment, source = self.environment(), self.environment().initial(1)
        for _, _, after in steps(environment, self.n, self.seed):
            stuck = after[~environment.backward_mask(after).any(dim=1)]
            assert (stuck == source).all(), f"no way back from {stuck[:1].tolist()}"

    def test_masks_are_bool_with_a_column_per_action(self) -> None:
        """Masks are bool, ``n x n_actions``."""
        environment = self.environment()
        for before, _, after in steps(environment, self.n, self.seed):
            for mask in (environment.forward_mask(before), environment.backward_mask(after)):
                assert mask.dtype == torch.bool, f"a mask is {mask.dtype}"
                assert mask.shape == (len(before), environment.n_actions), tuple(mask.shape)

    def test_undo_inverts_step(self) -> None:
        """Undoing any allowed step gives the state before."""
        environment = self.environment()
        for before, actions, after in branches(environment, self.n, self.seed):
            same(environment.undo(after, actions), before, "undo after step")

    def test_step_inverts_undo(self) -> None:
        """Taking any step that may have led to a state gives that state."""
        environment = self.environment()
        for before, actions, after in branches_back(environment, self.n, self.seed):
            same(environment.step(before, actions), after, "step after undo")

    def test_a_step_can_be_undone(self) -> None:
        """`backward_mask` allows whatever `forward_mask` allows."""
        environment = self.environment()
        for _, actions, after in branches(environment, self.n, self.seed):
            allowed = environment.backward_mask(after).gather(1, actions[:, None])
            assert allowed.all(), "backward_mask forbids the action that led here"

    def test_an_undone_step_can_be_taken(self) -> None:
        """`forward_mask` allows whatever `backward_mask` allows."""
        environment = self.environment()
        for before, actions, _ in branches_back(environment, self.n, self.seed):
            allowed = environment.forward_mask(before).gather(1, actions[:, None])
            assert allowed.all(), "forward_mask forbids the action that was undone"

    def test_every_step_moves(self) -> None:
        """No step leads to the state that it left."""
        environment = self.environment()
        for before, _, after in branches(environment, self.n, self.seed):
            assert (before != after).any(dim=1).all(), "a step led to the state it left"

    def test_no_trajectory_comes_back(self) -> None:
        """The states form no circle."""
        environment = self.environment()
        for seed in range(self.seed, self.seed + 4):
            path = torch.cat([after for _, _, after in steps(environment, 1, seed)])
            visited = [tuple(state) for state in [*environment.initial(1).tolist(), *path.tolist()]]
            assert len({*visited}) == len(visited), f"a trajectory goes in circles: {visited}"

    def test_trajectories_end_within_max_steps(self) -> None:
        """The longest trajectory has at most `max_steps` steps."""
        environment = self.environment()
        taken = list(steps(environment, self.n, self.seed))
        assert len(taken) <= environment.max_steps, f"more than {environment.max_steps} steps"

    def test_ways_back_reach_the_source_within_max_steps(self) -> None:
        """Undoing anything for long enough ends at the source."""
        environment = self.environment()
        source, reached = environment.initial(1), 0
        states = finished(environment, self.n, self.seed)
        for time, (before, _, _) in enumerate(steps_back(environment, states, self.seed)):
            assert time < environment.max_steps, f"more than {environment.max_steps} steps back"
            reached += int((before == source).all(dim=1).sum())
        assert reached == self.n, f"{self.n - reached} of {self.n} ways back miss the source"

    def test_states_are_not_changed_in_place(self) -> None:
        """Nothing writes into the states and actions that it is given."""
        environment = self.environment()
        for before, actions, after in steps(environment, self.n, self.seed):
            kept_before, kept_after, kept_actions = before.clone(), after.clone(), actions.clone()
            environment.step(before, actions)
            environment.undo(after, actions)
            for look in (environment.forward_mask, environment.backward_mask, environment.observe):
                look(before)
                look(after)
            same(before, kept_before, "the states before a step")
            same(after, kept_after, "the states after a step")
            same(actions, kept_actions, "the actions")

    def test_batches_equal_single_rows(self) -> None:
        """A row's result does not depend on the rest of the batch."""
        environment = self.environment()
        for before, actions, after in steps(environment, self.n, self.seed):
            for row in range(min(3, len(before))):
                one = slice(row, row + 1)
                same(environment.step(before[one], actions[one]), after[one], "step")
                same(environment.undo(after[one], actions[one]), before[one], "undo")
                for look in (
                    environment.forward_mask,
                    environment.backward_mask,
                    environment.observe,
                ):
                    name = getattr(look, "__name__", "look")
                    same(look(after[one]), look(after)[one], name)

    def test_results_are_reproducible(self) -> None:
        """Two environments made alike behave alike."""
        environment, again = self.environment(), self.environment()
        for before, actions, after in steps(environment, self.n, self.seed):
            same(again.step(before, actions), after, "step")
            same(again.undo(after, actions), environment.undo(after, actions), "undo")
            same(again.observe(after), environment.observe(after), "observe")

    def test_states_keep_their_type_and_device(self) -> None:
        """Results are where the states are, on every device that this machine has."""
        environment = self.environment()
        source, found = environment.initial(1), ["cpu", *["cuda"] * torch.cuda.is_available()]
        for device in found:
            for before, actions, after in steps(environment, self.n, self.seed):
                here = before.to(device), actions.to(device)
                stepped = environment.step(*here)
                undone = environment.undo(stepped, here[1])
                for got, expected in ((stepped, after), (undone, before)):
                    assert got.dtype == source.dtype, f"{got.dtype}, but {source.dtype} at first"
                    assert got.device.type == device, f"on {got.device}, given {device}"
                    same(got.cpu(), expected, f"states on {device}")
                for look in (
                    environment.forward_mask,
                    environment.backward_mask,
                    environment.observe,
                ):
                    seen = look(stepped)
                    assert seen.device.type == device, f"seen on {seen.device}, given {device}"
                    same(seen.cpu(), look(after), f"seen on {device}")
        restored = self.restore(environment, finished(environment, self.n, self.seed))
        assert restored.dtype == source.dtype, f"states of keys are {restored.dtype}"

    def test_empty_batches_stay_empty(self) -> None:
        """Every method takes no states and gives none."""
        environment = self.environment()
        none, actions = environment.initial(0), torch.zeros(0, dtype=torch.int64)
        assert none.shape == (0, environment.initial(1).shape[1]), tuple(none.shape)
        same(environment.step(none, actions), none, "step")
        same(environment.undo(none, actions), none, "undo")
        for look, width in (
            (environment.forward_mask, environment.n_actions),
            (environment.backward_mask, environment.n_actions),
            (environment.observe, environment.n_features),
        ):
            assert look(none).shape == (0, width), f"{tuple(look(none).shape)}, not (0, {width})"

    def test_nothing_draws_from_the_global_generators(self) -> None:
        """Building and reading candidates leaves the generators of torch and Python alone."""
        environment = self.environment()
        looks = environment.forward_mask, environment.backward_mask, environment.observe
        with left_alone():
            for _, _, after in steps(environment, self.n, self.seed):
                for look in looks:
                    look(after)
            environment.states(environment.keys(finished(environment, self.n, self.seed)))

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
