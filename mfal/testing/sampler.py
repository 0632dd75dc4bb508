"""The laws that every sampler obeys, as a class of tests to inherit."""

import random
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import torch
from torch import Tensor

from mfal.envs.base import Environment
from mfal.envs.sequence import SequenceEnvironment
from mfal.errors import InvalidKeyError
from mfal.gfn.base import HasPool, LogReward, Proposals, Sampler, TrainMetrics, needs_reward
from mfal.propose import random_candidates
from mfal.registry import build
from mfal.sections import Component
from mfal.testing.generators import left_alone
from mfal.types import Fidelity

KNOWN = 12
"""Candidates that a ledger has already."""


class SamplerChecks:
    """Checks a sampler on a small search space and a made-up reward; each law is one test.

    In a test module::

        class TestMine(SamplerChecks):
            sampler = "./my_sampler.py:MySampler"
            options = {"steps": 10}

    A failing law says in its message what broke. Override `environment` and `fidelities` where
    yours works on one problem alone; `n`, how many proposals are asked for. Sampling twenty times
    should take seconds: give options that make it short.
    """

    sampler: str
    options: Mapping[str, Any] = {}
    fidelities = (Fidelity("low", 1.0, 0.5), Fidelity("high", 5.0, 1.0))
    n = 24
    seed = 0

    def environment(self) -> Environment:
        """Builds the candidates."""
        return SequenceEnvironment(alphabet="ACGT", length=6)

    def make(self) -> Sampler:
        """The sampler, built as a round builds it."""
        if not hasattr(self, "sampler"):
            raise NotImplementedError("set `sampler` in your subclass of SamplerChecks")
        made: Sampler = build(
            "sampler",
            Component(name=self.sampler, options=dict(self.options)),
            environment=self.environment(),
            fidelities=self.fidelities,
        )
        return made

    def log_reward(self, keys: Sequence[str]) -> Tensor:
        """From -15 to 0 by the letters of a key, and less at a higher fidelity, ``n x M``."""
        worth = torch.tensor([crc32(key.encode()) / 2**32 for key in keys], dtype=torch.float64)
        return 15 * (worth[:, None] - 1) - torch.arange(len(self.fidelities))

    def known(self) -> list[str]:
        """Candidates of the ledger, the best first."""
        return random_candidates(self.environment(), self.fidelities, KNOWN, self.seed + 1)

    def sample(self, log_reward: LogReward | None = None, **more: Any) -> Proposals:  # noqa: ANN401
        """What a fresh sampler proposes; `more` as for `Sampler.sample`."""
        given: dict[str, Any] = {"seed": self.seed, "start": self.known(), "weights": None}
        given |= {"on_step": lambda _: None} | more
        return self.make().sample(log_reward or self.log_reward, self.n, **given)

    def test_satisfies_the_protocol(self) -> None:
        """There is a method `sample`."""
        assert isinstance(self.make(), Sampler), "there is no method `sample`"

    def test_gives_proposals(self) -> None:
        """`sample` gives `Proposals` with at least one query."""
        found: object = self.sample()
        assert isinstance(found, Proposals), f"`sample` gives a {type(found).__name__}"
        assert len(found.queries) > 0, "nothing is proposed"

    def test_proposals_are_distinct(self) -> None:
        """No query is proposed twice."""
        queries = self.sample().queries
        assert len({*queries}) == len(queries), f"{len(queries) - len({*queries})} are repeated"

    def test_proposals_are_at_fidelities_of_the_ladder(self) -> None:
        """A query names a fidelity that there is."""
        strange = {q.fidelity for q in self.sample().queries} - {f.name for f in self.fidelities}
        assert not strange, f"there is no fidelity {', '.join(map(repr, sorted(strange)))}"

    def test_proposals_are_candidates(self) -> None:
        """A query's key is one that the environment reads, as it writes it."""
        self._are_candidates([q.key for q in self.sample().queries], "proposed")

    def test_a_pool_is_never_left(self) -> None:
        """A sampler with a `pool` proposes nothing else."""
        sampler = self.make()
        if isinstance(sampler, HasPool):
            outside = {q.key for q in self.sample().queries} - {*sampler.pool}
            assert not outside, f"{len(outside)} proposals are outside its pool"

    def test_a_seed_settles_the_proposals(self) -> None:
        """Two samplers with one seed propose the same, and leave the same weights."""
        first = self.sample()
        torch.rand(7)
        random.random()
        again = self.sample()
        assert again.queries == first.queries, "the same seed proposes something else"
        assert again.weights == first.weights, "the same seed leaves other weights"

    def test_nothing_draws_from_the_global_generators(self) -> None:
        """Sampling leaves the generators of torch and Python alone."""
        with left_alone():
            self.sample()

    def test_the_reward_is_asked_about_distinct_candidates(self) -> None:
        """And about none at all by a sampler with ``needs_reward = False``."""
        asked: list[list[str]] = []

        def log_reward(keys: Sequence[str]) -> Tensor:
            asked.append(list(keys))
            return self.log_reward(keys)

        self.sample(log_reward)
        assert needs_reward(self.make()) or not asked, "the reward was asked, and is not needed"
        for keys in asked:
            assert len({*keys}) == len(keys), "the reward was asked about a candidate twice at once"
            self._are_candidates(keys, "what the reward is asked about")

    def test_a_reward_that_tells_nothing_apart_does_no_harm(self) -> None:
        """Where all is worth the same there are proposals all the same."""
        found = self.sample(lambda keys: 0 * self.log_reward(keys))
        assert len(found.queries) > 0, "nothing is proposed"

    def test_a_ledger_without_candidates_does_no_harm(self) -> None:
        """`start` may be empty."""
        assert len(self.sample(start=()).queries) > 0, "nothing is proposed"

    def test_what_is_known_is_not_changed(self) -> None:
        """`start` is as it was."""
        given = self.known()
        self.sample(start=given)
        assert given == self.known(), "`start` was changed"

    def test_weights_are_taken_again(self) -> None:
        """What a round's proposals came with is taken by the next round."""
        weights = self.sample().weights
        assert weights is None or isinstance(weights, bytes), f"a {type(weights).__name__}"
        assert len(self.sample(weights=weights).queries) > 0, "nothing is proposed"

    def test_the_history_is_what_was_told(self) -> None:
        """`on_step` is told of each line of `Proposals.history`, in order."""
        told: list[TrainMetrics] = []
        history = self.sample(on_step=told.append).history
        for line in history:
            assert isinstance(line, TrainMetrics), f"a line is a {type(line).__name__}"
        assert list(history) == told, f"{len(told)} lines were told, {len(history)} are kept"

    def _are_candidates(self, keys: Sequence[str], what: str) -> None:
        environment = self.environment()
        try:
            written = environment.keys(environment.states(keys))
        except InvalidKeyError as error:
            raise AssertionError(f"{what}: {error.message}") from error
        wrong = [(a, b) for a, b in zip(keys, written, strict=True) if a != b]
        assert not wrong, f"{what}: {wrong[0][0]!r} is written {wrong[0][1]!r}"
