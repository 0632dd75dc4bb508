from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from torch import Generator, Tensor, nn

from mfal.gfn.base import Proposals, Sampler, TrainMetrics
from mfal.gfn.baselines import RandomSampler
from mfal.gfn.sampler import GFlowNetSampler
from mfal.types import Query
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.problems import LADDER, dna, potts

DNA = dna(6)
POTTS = potts(DNA)
QUICK = {"steps": 24, "batch_size": 16, "hidden": 32, "guided_size": 32, "keep": 40}


class Counting:
    """The reward, and how often each candidate was asked for."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def __call__(self, keys: Sequence[str]) -> Tensor:
        self.asked.update(keys)
        return POTTS(keys)


def _quick(**changes: int) -> GFlowNetSampler:
    return GFlowNetSampler(DNA, LADDER, **{**QUICK, **changes})  # type: ignore[arg-type]


def _sample(seed: int = 0, n: int = 60, **changes: int) -> Proposals:
    return _quick(**changes).sample(POTTS, n, seed=seed, start=["ACGTAC"])


def test_samplers_satisfy_the_protocol() -> None:
    assert isinstance(_quick(), Sampler)
    assert isinstance(RandomSampler(DNA, LADDER), Sampler)


def test_the_same_seed_gives_the_same_proposals() -> None:
    torch.manual_seed(1)
    first = _sample(seed=5)
    torch.manual_seed(2)
    again = _sample(seed=5)
    assert first == again
    assert _sample(seed=6).queries != first.queries


def test_one_sampler_may_be_used_again() -> None:
    sampler = _quick()
    first = sampler.sample(POTTS, 30, seed=5)
    sampler.sample(POTTS, 30, seed=6)
    assert sampler.sample(POTTS, 30, seed=5) == first


def test_the_global_generator_is_left_alone() -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    _sample()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_each_candidate_is_rewarded_once() -> None:
    log_reward = Counting()
    proposals = _quick().sample(log_reward, 50, seed=0, start=["ACGTAC", "ACGTAC"])
    assert set(log_reward.asked.values()) == {1}
    assert log_reward.asked["ACGTAC"] == 1
    assert len(log_reward.asked) > 100
    assert len(proposals.history) == 3


def test_proposals_are_distinct_queries_of_the_problem() -> None:
    proposals = _sample()
    assert len(set(proposals.queries)) == len(proposals.queries)
    assert {query.fidelity for query in proposals.queries} == {"low", "mid", "high"}
    DNA.states([query.key for query in proposals.queries])


def test_the_best_ever_scored_are_proposed_after_the_drawn() -> None:
    log_reward = Counting()
    proposals = _quick().sample(log_reward, 30, seed=0, start=["ACGTAC"])
    keys = list(log_reward.asked)
    scores = POTTS(keys)
    ranked = sorted(
        (-float(scores[i, m]), Query(key, fidelity.name))
        for i, key in enumerate(keys)
        for m, fidelity in enumerate(LADDER)
    )
    best = [query for _, query in ranked[:40]]
    assert set(best) <= set(proposals.queries)
    drawn = _quick(keep=0).sample(Counting(), 30, seed=0, start=["ACGTAC"]).queries
    assert 0 < len(drawn) <= 30
    assert proposals.queries[: len(drawn)] == drawn
    assert set(proposals.queries[len(drawn) :]) == set(best) - set(drawn)


def test_metrics_stream_as_training_goes_on() -> None:
    seen: list[TrainMetrics] = []
    proposals = _quick().sample(POTTS, 5, seed=0, on_step=seen.append)
    assert tuple(seen) == proposals.history
    assert [m.step for m in seen] == [10, 20, 24]
    assert all(m.steps == 24 for m in seen)


def test_training_finds_better_candidates_than_chance() -> None:
    def mean(queries: tuple[Query, ...]) -> float:
        return float(POTTS([query.key for query in queries]).mean())

    trained = _quick(steps=150, keep=0).sample(POTTS, 200, seed=0).queries
    random = RandomSampler(DNA, LADDER).sample(POTTS, 200, seed=0).queries
    assert mean(trained) > mean(random) + 1.0


class Linear(GFlowNetSampler):
    def policy(self, generator: Generator) -> nn.Module:
        module = nn.Linear(self.environment.n_features, self.environment.n_actions)
        for values in module.parameters():
            values.data.normal_(generator=generator)
        return module


def test_any_network_may_be_plugged_in() -> None:
    sampler = Linear(DNA, LADDER, steps=20, batch_size=16)
    first = sampler.sample(POTTS, 20, seed=1)
    assert first.queries and first == sampler.sample(POTTS, 20, seed=1)


@pytest.mark.parametrize("loss", ["vargrad", "tb"])
def test_environments_without_breeding_or_increments_work(loss: str) -> None:
    grid = GridEnvironment(side=5)
    sampler = GFlowNetSampler(grid, LADDER[:1], steps=20, batch_size=16, loss=loss)  # type: ignore[arg-type]

    def log_reward(keys: Sequence[str]) -> Tensor:
        return grid.states(keys)[:, :1].float()

    proposals = sampler.sample(log_reward, 40, seed=0)
    assert {query.fidelity for query in proposals.queries} == {"low"}
    grid.states([query.key for query in proposals.queries])


def test_random_sampler_asks_for_no_reward_and_spreads() -> None:
    log_reward = Counting()
    sampler = RandomSampler(DNA, LADDER)
    proposals = sampler.sample(log_reward, 600, seed=3)
    assert not log_reward.asked and not proposals.history
    assert 550 < len(proposals.queries) <= 600
    assert proposals == sampler.sample(log_reward, 600, seed=3)
    assert proposals != sampler.sample(log_reward, 600, seed=4)
    fidelities = Counter(query.fidelity for query in proposals.queries)
    assert min(fidelities.values()) > 150
    letters = Counter("".join(query.key for query in proposals.queries))
    assert min(letters.values()) > 0.22 * letters.total()
