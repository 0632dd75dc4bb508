"""The laws of finished candidates: their keys, and how they breed."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from mfal.envs.base import Breeder, Environment
from mfal.errors import InvalidKeyError
from mfal.testing.walks import finished, same


class CandidateChecks:
    """The part of `EnvironmentChecks` about finished states."""

    n = 16
    seed = 0

    def environment(self) -> Environment:
        """The environment to check; called once a law."""
        raise NotImplementedError("define environment(self) in your subclass of EnvironmentChecks")

    def restore(self, environment: Environment, states: Tensor) -> Tensor:
        """`states` (finished, ``n x d``) made anew from their keys."""
        return environment.states(environment.keys(states))

    def bad_keys(self) -> list[str]:
        """Keys outside the search space."""
        return ["\N{SNOWMAN} is no candidate"]

    def test_there_is_a_key_for_every_finished_state(self) -> None:
        """`keys` gives one string a row, whatever the order."""
        environment = self.environment()
        states = finished(environment, self.n, self.seed)
        keys = environment.keys(states)
        assert len(keys) == len(states) and all(isinstance(key, str) for key in keys), keys
        assert environment.keys(states.flip(0)) == keys[::-1], "a key depends on its neighbours"

    def test_keys_survive_the_round_trip(self) -> None:
        """Keys -> states -> keys."""
        environment = self.environment()
        keys = environment.keys(finished(environment, self.n, self.seed))
        assert environment.keys(environment.states(keys)) == keys, "keys -> states -> keys"

    def test_states_survive_the_round_trip(self) -> None:
        """States -> keys -> states."""
        environment = self.environment()
        states = finished(environment, self.n, self.seed)
        same(self.restore(environment, states), states, "states -> keys -> states")

    def test_states_of_keys_are_finished(self) -> None:
        """`states` gives complete candidates."""
        environment = self.environment()
        states = environment.states(environment.keys(finished(environment, self.n, self.seed)))
        assert not environment.forward_mask(states).any(), "`states` gave an unfinished state"

    def test_no_keys_give_no_states(self) -> None:
        """An empty list of keys is an empty batch."""
        environment = self.environment()
        states = environment.states([])
        assert states.shape == (0, environment.initial(1).shape[1]), tuple(states.shape)
        assert environment.keys(states) == []

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

    def test_mutants_are_other_finished_states(self) -> None:
        """`mutate`, where there is one, changes candidates into candidates."""
        environment = self.environment()
        if isinstance(environment, Breeder):
            states, breed = finished(environment, self.n, self.seed), environment.mutate
            mutants = self._bred(environment, lambda g: breed(states, g), [states])
            assert (mutants != states).any(), "no mutant differs from its parent"

    def test_crossovers_are_finished_states(self) -> None:
        """`crossover`, where there is one, makes candidates of candidates."""
        environment = self.environment()
        if isinstance(environment, Breeder):
            states, breed = finished(environment, self.n, self.seed), environment.crossover
            mates = states.flip(0)
            self._bred(environment, lambda g: breed(states, mates, g), [states, mates])

    def _bred(
        self, environment: Environment, breed: Callable[[Generator], Tensor], parents: list[Tensor]
    ) -> Tensor:
        kept, global_state = [p.clone() for p in parents], torch.get_rng_state()
        first = breed(Generator().manual_seed(self.seed))
        same(breed(Generator().manual_seed(self.seed)), first, "offspring of the same seed")
        assert (torch.get_rng_state() == global_state).all(), "the global generator was used"
        for parent, before in zip(parents, kept, strict=True):
            same(parent, before, "the parents")
        assert first.shape == parents[0].shape, f"offspring are {tuple(first.shape)}"
        assert not environment.forward_mask(first).any(), "an offspring is not finished"
        same(environment.states(environment.keys(first)), first, "offspring from keys")
        return first
