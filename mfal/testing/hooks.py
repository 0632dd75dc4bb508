"""The laws of what an environment may offer beyond the contract, to be trained on faster."""

import torch
from torch import Tensor

from mfal.envs.base import Environment, Schedule, hook
from mfal.testing.candidates import CandidateChecks
from mfal.testing.walks import finished, same, steps


class HookChecks(CandidateChecks):
    """The part of `EnvironmentChecks` about `observe_delta`, `retrace` and `schedule`.

    A law holds for an environment that lacks its method.
    """

    def test_observe_delta_agrees_with_observe(self) -> None:
        """`observe_delta`, where there is one, is the change of `observe`."""
        environment = self.environment()
        for before, actions, after in steps(environment, self.n, self.seed):
            kept = before.clone()
            delta = _delta(environment, before, actions)
            if delta is not None:
                seen = environment.observe(before).scatter_add(1, *delta)
                assert torch.allclose(seen, environment.observe(after)), "observe_delta is wrong"
                same(before, kept, "the states given to observe_delta")

    def test_observe_delta_names_columns_of_the_observation(self) -> None:
        """`observe_delta` gives int64 columns in range and float32 changes, both ``n x k``."""
        environment = self.environment()
        for before, actions, _ in steps(environment, self.n, self.seed):
            delta = _delta(environment, before, actions)
            if delta is not None:
                columns, changes = delta
                assert columns.dtype == torch.int64, f"columns are {columns.dtype}"
                assert changes.dtype == torch.float32, f"changes are {changes.dtype}"
                assert columns.shape == changes.shape, f"{columns.shape} but {changes.shape}"
                assert columns.shape[:1] == before.shape[:1], f"columns {tuple(columns.shape)}"
                inside = (columns >= 0) & (columns < environment.n_features)
                assert inside.all(), f"columns {columns[~inside].tolist()} are not observed"

    def test_retrace_leads_to_the_states(self) -> None:
        """The actions of `retrace`, taken from the source, end at the states."""
        environment = self.environment()
        states = finished(environment, self.n, self.seed)
        actions = _retrace(environment, states)
        if actions is None:
            return
        reached = environment.initial(len(states))
        for time, now in enumerate(actions):
            going = now >= 0
            allowed = environment.forward_mask(reached[going]).gather(1, now[going, None])
            assert allowed.all(), f"retrace takes a step that is not allowed at time {time}"
            reached[going] = environment.step(reached[going], now[going])
        same(reached, states, "where retrace leads")

    def test_retrace_is_padded_after_the_end_only(self) -> None:
        """`retrace` gives ``T x n`` actions, T at most `max_steps`, and -1 after a row's last."""
        environment = self.environment()
        states = finished(environment, self.n, self.seed)
        actions = _retrace(environment, states)
        if actions is None:
            return
        assert actions.ndim == 2, f"retrace gives shape {tuple(actions.shape)}"
        longest, rows = actions.shape
        assert rows == len(states), f"retrace gives {rows} columns for {len(states)} states"
        assert longest <= environment.max_steps, f"{longest} steps, max_steps is below"
        known = (actions >= -1) & (actions < environment.n_actions)
        assert known.all(), f"retrace gives {actions[~known].tolist()}"
        going = actions >= 0
        assert (going[:-1] | ~going[1:]).all(), "retrace goes on after -1"

    def test_retrace_is_the_only_way(self) -> None:
        """Where there is `retrace`, every state but the source has one way back."""
        environment = self.environment()
        if _retrace(environment, finished(environment, self.n, self.seed)) is None:
            return
        for _, _, after in steps(environment, self.n, self.seed):
            ways = environment.backward_mask(after).sum(dim=1)
            assert (ways == 1).all(), f"there is retrace, but a state has {ways.max()} ways back"

    def test_schedule_says_what_is_allowed(self) -> None:
        """`choices` is what `forward_mask` allows at each time, and ends with the candidates."""
        environment = self.environment()
        schedule, taken = _schedule(environment), list(steps(environment, self.n, self.seed))
        if schedule is None:
            return
        times = len(schedule.choices)
        assert times == len(taken), f"the schedule has {times} times, trajectories {len(taken)}"
        actions = torch.arange(environment.n_actions)
        for time, (before, _, _) in enumerate(taken):
            assert len(before) == self.n, f"some trajectories end before time {time}"
            first, end = schedule.choices[time]
            allowed = ((actions >= first) & (actions < end)).expand(self.n, -1)
            same(environment.forward_mask(before), allowed, f"choices of time {time}")

    def test_schedule_says_what_is_seen(self) -> None:
        """A step at time t sets entry ``columns[t] + action`` of the observation, no other."""
        environment = self.environment()
        schedule, taken = _schedule(environment), list(steps(environment, self.n, self.seed))
        if schedule is None:
            return
        times = len(schedule.columns)
        assert times == len(taken), f"the schedule has {times} times, trajectories {len(taken)}"
        for time, (before, actions, after) in enumerate(taken):
            columns = actions[:, None] + schedule.columns[time]
            inside = (columns >= 0) & (columns < environment.n_features)
            assert inside.all(), f"columns {columns[~inside].tolist()} are not observed"
            seen = environment.observe(before)
            assert not seen.gather(1, columns).any(), f"an entry was set before time {time}"
            same(seen.scatter(1, columns, 1.0), environment.observe(after), f"seen at time {time}")

    def test_schedule_assembles_what_steps_build(self) -> None:
        """`assemble` of the actions of trajectories is where they end."""
        environment = self.environment()
        schedule, taken = _schedule(environment), list(steps(environment, self.n, self.seed))
        if schedule is None:
            return
        actions = torch.stack([actions for _, actions, _ in taken])
        same(schedule.assemble(actions), taken[-1][2], "what the schedule assembles")
        none = environment.initial(0)
        same(schedule.assemble(actions[:, :0]), none, "what the schedule assembles of nothing")

    def test_schedule_comes_with_retrace(self) -> None:
        """An environment with a schedule retraces its candidates, one action a time."""
        environment = self.environment()
        schedule = _schedule(environment)
        if schedule is None:
            return
        actions = _retrace(environment, finished(environment, self.n, self.seed))
        assert actions is not None, "there is a schedule and no retrace"
        assert len(actions) == len(schedule.choices), "retrace is not as long as the schedule"
        assert (actions >= 0).all(), "retrace ends before the schedule does"

    def test_hooks_take_empty_batches(self) -> None:
        """`observe_delta` and `retrace` of no states are empty."""
        environment = self.environment()
        none, no_actions = environment.states([]), torch.zeros(0, dtype=torch.int64)
        delta, actions = _delta(environment, none, no_actions), _retrace(environment, none)
        for part in delta or ():
            assert len(part) == 0, f"observe_delta of no states is {tuple(part.shape)}"
        if actions is not None:
            assert actions.shape[1] == 0, f"retrace of no states is {tuple(actions.shape)}"


def _delta(
    environment: Environment, states: Tensor, actions: Tensor
) -> tuple[Tensor, Tensor] | None:
    found = hook(environment, "observe_delta")
    return None if found is None else found(states, actions)


def _retrace(environment: Environment, states: Tensor) -> Tensor | None:
    found = hook(environment, "retrace")
    return None if found is None else found(states)


def _schedule(environment: Environment) -> Schedule | None:
    found = hook(environment, "schedule")
    return None if found is None else found()
