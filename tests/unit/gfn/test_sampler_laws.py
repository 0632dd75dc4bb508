"""Every sampler obeys the laws; broken ones fail theirs."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from mfal.envs.base import Environment
from mfal.gfn.base import LogReward, Proposals, TrainMetrics
from mfal.gfn.baselines import RandomSampler
from mfal.gfn.sampler import as_queries
from mfal.registry import BUILTIN
from mfal.testing import SamplerChecks
from mfal.types import Query

LAWS = [name for name in dir(SamplerChecks) if name.startswith("test_")]
SHORT = {"steps": 4, "batch_size": 16, "guided_every": 2, "guided_size": 8, "report_every": 1}
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "gflownet": [{"train": SHORT}, {"train": SHORT, "warm_start": True}],
    "evolution": [{"generations": 3, "brood": 20}],
    "pool": [{"n": 30}],
}
ALL = [(name, options) for name in BUILTIN["sampler"] for options in OPTIONS.get(name, [{}])]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("name", "options"), ALL)
def test_every_sampler_obeys(name: str, options: dict[str, Any], law: str) -> None:
    checks = SamplerChecks()
    checks.sampler, checks.options = name, options
    getattr(checks, law)()


class Broken(RandomSampler):
    """Does something else than it should, in one respect."""

    def sample(
        self,
        log_reward: LogReward,
        n: int,
        *,
        seed: int,
        start: Sequence[str] = (),
        weights: bytes | None = None,
        on_step: Callable[[TrainMetrics], None] = lambda _: None,
    ) -> Proposals:
        self.log_reward, self.start = log_reward, start
        self.weights, self.on_step = weights, on_step
        found = super().sample(log_reward, n, seed=seed)
        return self.change(found, found.queries)

    def change(self, found: Proposals, queries: tuple[Query, ...]) -> Any:
        return found

    def random(self, seed: int) -> Proposals:
        return RandomSampler.sample(self, self.log_reward, 20, seed=seed)


class HasNoSample:
    needs_reward = False

    def __init__(self, environment: Environment) -> None:
        pass


class GivesAList(Broken):
    def change(self, found: Proposals, queries: tuple[Query, ...]) -> Any:
        return list(queries)


class GivesNothing(Broken):
    def change(self, found: Proposals, queries: tuple[Query, ...]) -> Any:
        return Proposals(())


class RepeatsItself(Broken):
    def change(self, found: Proposals, queries: tuple[Query, ...]) -> Any:
        return Proposals((*queries, queries[0]))


class ClimbsAnotherLadder(Broken):
    def change(self, found: Proposals, queries: tuple[Query, ...]) -> Any:
        return Proposals((*queries, Query(queries[0].key, "highest")))


class WritesItsOwnWay(Broken):
    def change(self, found: Proposals, queries: tuple[Query, ...]) -> Any:
        return Proposals(tuple(Query(q.key.lower(), q.fidelity) for q in queries))


class LeavesItsPool(Broken):
    pool = ("ACGTAC",)


class DrawsGlobally(Broken):
    def change(self, found: Proposals, queries: tuple[Query, ...]) -> Any:
        return self.random(int(torch.randint(100, ())))


class ShufflesGlobally(Broken):
    def change(self, found: Proposals, queries: tuple[Query, ...]) -> Any:
        return Proposals(tuple(random.sample(queries, len(queries))))


class LeavesOtherWeights(Broken):
    def change(self, found: Proposals, queries: tuple[Query, ...]) -> Any:
        return replace(found, weights=random.randbytes(8))


class AsksInVain(Broken):
    def change(self, found: Proposals, queries: tuple[Query, ...]) -> Any:
        self.log_reward([queries[0].key])
        return found


class AsksTwiceAtOnce(AsksInVain):
    needs_reward = True

    def change(self, found: Proposals, queries: tuple[Query, ...]) -> Any:
        self.log_reward([queries[0].key] * 2)
        return found


class WantsADifference(Broken):
    needs_reward = True

    def change(self, found: Proposals, queries: tuple[Query, ...]) -> Any:
        reward = self.log_reward([queries[0].key, "AAAAAA"])
        return found if float(reward.std(dim=0).max()) else Proposals(())


class StartsFromTheKnown(Broken):
    def change(self, found: Proposals, queries: tuple[Query, ...]) -> Any:
        known = [(key, 0) for key in self.start]
        return Proposals(as_queries(known, self.fidelities))


class SortsTheKnown(Broken):
    def change(self, found: Proposals, queries: tuple[Query, ...]) -> Any:
        if isinstance(self.start, list):
            self.start.sort()
        return found


class StopsAtWeights(Broken):
    def change(self, found: Proposals, queries: tuple[Query, ...]) -> Any:
        return replace(found, weights=b"learnt") if self.weights is None else Proposals(())


class LeavesADictionary(Broken):
    def change(self, found: Proposals, queries: tuple[Query, ...]) -> Any:
        return replace(found, weights={"learnt": 1})


class TellsNobody(Broken):
    def change(self, found: Proposals, queries: tuple[Query, ...]) -> Any:
        return replace(found, history=(TrainMetrics(1, 1, 0.0, 0.0, 0.0, 1.0, 0),))


class TellsNumbers(Broken):
    def change(self, found: Proposals, queries: tuple[Query, ...]) -> Any:
        line: Any = 0.5
        self.on_step(line)
        return replace(found, history=(line,))


BROKEN: list[tuple[type, str]] = [
    (HasNoSample, "test_satisfies_the_protocol"),
    (GivesAList, "test_gives_proposals"),
    (GivesNothing, "test_gives_proposals"),
    (RepeatsItself, "test_proposals_are_distinct"),
    (ClimbsAnotherLadder, "test_proposals_are_at_fidelities_of_the_ladder"),
    (WritesItsOwnWay, "test_proposals_are_candidates"),
    (LeavesItsPool, "test_a_pool_is_never_left"),
    (DrawsGlobally, "test_a_seed_settles_the_proposals"),
    (LeavesOtherWeights, "test_a_seed_settles_the_proposals"),
    (DrawsGlobally, "test_nothing_draws_from_the_global_generators"),
    (ShufflesGlobally, "test_nothing_draws_from_the_global_generators"),
    (AsksInVain, "test_the_reward_is_asked_about_distinct_candidates"),
    (AsksTwiceAtOnce, "test_the_reward_is_asked_about_distinct_candidates"),
    (WantsADifference, "test_a_reward_that_tells_nothing_apart_does_no_harm"),
    (StartsFromTheKnown, "test_a_ledger_without_candidates_does_no_harm"),
    (SortsTheKnown, "test_what_is_known_is_not_changed"),
    (StopsAtWeights, "test_weights_are_taken_again"),
    (LeavesADictionary, "test_weights_are_taken_again"),
    (TellsNobody, "test_the_history_is_what_was_told"),
    (TellsNumbers, "test_the_history_is_what_was_told"),
]


@pytest.mark.parametrize(("kind", "law"), BROKEN)
def test_a_broken_sampler_fails(kind: type, law: str) -> None:
    checks = SamplerChecks()
    checks.sampler = f"{__name__}:{kind.__name__}"
    with pytest.raises(AssertionError):
        getattr(checks, law)()


def test_every_law_has_a_sampler_that_breaks_it() -> None:
    assert {*LAWS} == {law for _, law in BROKEN}


def test_a_sampler_has_to_be_named() -> None:
    with pytest.raises(NotImplementedError, match="set `sampler`"):
        SamplerChecks().make()
