"""The laws of finished candidates: their keys, and how they breed."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from mfal.envs.base import Environment, hook
from mfal.envs.fidelity import FidelityEnvironment
from mfal.errors import InvalidKeyError
from mfal.testing.distances import check_distance
from mfal.testing.generators import left_alone
from mfal.testing.walks import finished, same, steps_back


class CandidateChecks:
    """The part of `EnvironmentChecks` about finished states."""

    n = 16
    seed = 0

    def environment(self) -> Environment:
        """The environment to check; called once a law."""
        raise NotImplementedError("define environment(self) in your subclass of EnvironmentChecks")

    def restore(self, environment: Environment, states: Tensor) -> Tensor:
        """`states` (finished, ``n x d``) made anew from their keys, and fidelities if any."""
        keys = environment.keys(states)
        if isinstance(environment, FidelityEnvironment):
            return environment.states(keys, environment.fidelities(states).tolist())
        return environment.states(keys)

    def bad_keys(self) -> list[str]:
        """Keys outside the search space."""
        return ["\N{SNOWMAN} is no candidate"]

    def test_there_is_a_key_for_every_finished_state(self) -> None:
        """`keys` gives one string a row, in order, whatever the neighbours and repetitions."""
        environment = self.environment()
        states = finished(environment, self.n, self.seed)
        keys = environment.keys(states)
        assert len(keys) == len(states) and all(isinstance(key, str) for key in keys), keys
        order = _shuffled_twice(len(states))
        mixed = environment.keys(states[order])
        assert mixed == [keys[row] for row in order], "a key depends on its neighbours"

    def test_keys_survive_the_round_trip(self) -> None:
        """Keys -> states -> keys."""
        environment = self.environment()
        keys = environment.keys(finished(environment, self.n, self.seed))
        assert environment.keys(environment.states(keys)) == keys, "keys -> states -> keys"

    def test_states_survive_the_round_trip(self) -> None:
        """States -> keys -> states, or where several are one candidate what `canonical` gives."""
        environment = self.environment()
        states = finished(environment, self.n, self.seed)
        wanted = _canonical(environment, states)
        same(self.restore(environment, states), wanted, "states -> keys -> states")

    def test_states_follow_the_order_of_keys(self) -> None:
        """`states` gives a row for each key, whatever the neighbours and repetitions."""
        environment = self.environment()
        keys = environment.keys(finished(environment, self.n, self.seed))
        order = _shuffled_twice(len(keys))
        mixed = environment.states([keys[row] for row in order])
        same(mixed, environment.states(keys)[order], "states of keys in another order")

    def test_states_of_keys_are_finished(self) -> None:
        """`states` gives complete candidates."""
        environment = self.environment()
        states = environment.states(environment.keys(finished(environment, self.n, self.seed)))
        assert not environment.forward_mask(states).any(), "`states` gave an unfinished state"

    def test_states_of_keys_can_be_taken_apart(self) -> None:
        """A way back from a key's state reaches the source, as trajectories from a ledger do."""
        environment = self.environment()
        states = environment.states(environment.keys(finished(environment, self.n, self.seed)))
        source, reached = environment.initial(1), 0
        for before, _, _ in steps_back(environment, states, self.seed):
            reached += int((before == source).all(dim=1).sum())
        assert reached == len(states), f"{len(states) - reached} candidates miss the source"

    def test_no_keys_give_no_states(self) -> None:
        """An empty list of keys is an empty batch."""
        environment = self.environment()
        states = environment.states([])
        assert states.shape == (0, environment.initial(1).shape[1]), tuple(states.shape)
        assert environment.keys(states) == []

    def test_bad_keys_are_refused_by_name(self) -> None:
        """`states` raises InvalidKeyError that names the key, also among good ones."""
        environment = self.environment()
        good = environment.keys(finished(environment, 2, self.seed))
        for key in self.bad_keys():
            try:
                environment.states([*good, key])
            except InvalidKeyError as error:
                named = key in str(error) or repr(key) in str(error)
                assert named, f"the error does not name {key!r}: {error}"
            else:
                raise AssertionError(f"{key!r} was accepted")

    def test_mutants_are_other_finished_states(self) -> None:
        """`mutate`, where there is one, changes candidates into candidates."""
        environment = self.environment()
        breed = hook(environment, "mutate")
        if breed is not None:
            states = finished(environment, self.n, self.seed)
            mutants = self._bred(environment, lambda g: breed(states, g), [states])
            assert (mutants != states).any(), "no mutant differs from its parent"

    def test_crossovers_are_finished_states(self) -> None:
        """`crossover`, where there is one, makes candidates of candidates."""
        environment = self.environment()
        breed = hook(environment, "crossover")
        if breed is not None:
            states = finished(environment, self.n, self.seed)
            mates = states.flip(0)
            self._bred(environment, lambda g: breed(states, mates, g), [states, mates])

    def test_nothing_breeds_nothing(self) -> None:
        """`mutate` and `crossover` of an empty batch are empty."""
        environment = self.environment()
        mutate, crossover = hook(environment, "mutate"), hook(environment, "crossover")
        none, generator = environment.states([]), Generator().manual_seed(self.seed)
        if mutate is not None:
            same(mutate(none, generator), none, "mutants of nothing")
        if crossover is not None:
            same(crossover(none, none, generator), none, "offspring of nothing")

    def test_uniform_draws_are_finished_states(self) -> None:
        """`uniform`, where there is one, draws as many candidates as asked, by its generator."""
        environment = self.environment()
        uniform = hook(environment, "uniform")
        if uniform is not None:
            drawn = self._bred(
                environment, lambda g: uniform(self.n, g), [environment.initial(self.n)]
            )
            assert len(uniform(0, Generator().manual_seed(self.seed))) == 0, "0 are not none"
            other = uniform(self.n, Generator().manual_seed(self.seed + 1))
            assert (other != drawn).any(), "another seed draws the same"

    def test_distance_tells_candidates_apart(self) -> None:
        """`distance`, where there is one, is symmetric, in [0, 1], and 0 for equal keys only."""
        environment = self.environment()
        check_distance(environment, finished(environment, self.n, self.seed))

    def _bred(
        self, environment: Environment, breed: Callable[[Generator], Tensor], parents: list[Tensor]
    ) -> Tensor:
        kept = [p.clone() for p in parents]
        with left_alone():
            first = breed(Generator().manual_seed(self.seed))
            again = breed(Generator().manual_seed(self.seed))
        same(again, first, "offspring of the same seed")
        for parent, before in zip(parents, kept, strict=True):
            same(parent, before, "the parents")
        assert first.shape == parents[0].shape, f"offspring are {tuple(first.shape)}"
        assert first.dtype == parents[0].dtype, f"offspring are {first.dtype}"
        assert not environment.forward_mask(first).any(), "an offspring is not finished"
        wanted = _canonical(environment, first)
        same(self.restore(environment, first), wanted, "offspring from keys")
        return first


def _canonical(environment: Environment, states: Tensor) -> Tensor:
    """The state that stands for each one's candidate: itself, where every state is its own."""
    canonical, kept = hook(environment, "canonical"), states.clone()
    found = states if canonical is None else canonical(states)
    same(states, kept, "the states given to canonical")
    return found


def _shuffled_twice(n: int) -> list[int]:
    """Every row twice, in an order of no pattern."""
    generator = Generator().manual_seed(0)
    order: list[int] = torch.randperm(2 * n, generator=generator).remainder(n).tolist()
    return order
