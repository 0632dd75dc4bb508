from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from mfal.envs.hypergrid import HypergridEnvironment
from mfal.gfn.base import Sampler, needs_reward
from mfal.gfn.evolution import BreedingSampler, EvolutionSampler
from mfal.gfn.sampler import GFlowNetSampler
from mfal.gfn.settings import TrainSettings
from mfal.types import Query
from tests.unit.gfn.problems import LADDER, dna, spread

MOTIF = "ACGTACGTACGT"


def agreement(keys: Sequence[str]) -> Tensor:
    """Log reward: the places that agree with the motif; the last rung is worth one less."""
    places = [float(sum(a == b for a, b in zip(key, MOTIF, strict=True))) for key in keys]
    return torch.tensor([[p, p, p - 1.0][-len(LADDER) :] for p in places])


def no_reward(keys: Sequence[str]) -> Tensor:
    raise AssertionError("asked for a reward")


def test_evolution_finds_what_is_best_and_proposes_it_first() -> None:
    sampler = EvolutionSampler(dna(12), LADDER, generations=25, brood=60, parents=20, keep=10)
    assert isinstance(sampler, Sampler) and needs_reward(sampler)
    proposals = sampler.sample(agreement, 20, seed=0)
    assert len(proposals.queries) == 30
    assert proposals.queries[0].key == MOTIF
    best = agreement([q.key for q in proposals.queries])
    rung = [f.name for f in LADDER]
    values = [
        float(row[rung.index(q.fidelity)]) for row, q in zip(best, proposals.queries, strict=True)
    ]
    assert values == sorted(values, reverse=True)
    assert proposals == sampler.sample(agreement, 20, seed=0)
    assert proposals != sampler.sample(agreement, 20, seed=1)


def test_evolution_starts_from_what_is_known() -> None:
    sampler = EvolutionSampler(dna(12), LADDER, generations=1, brood=2, parents=2, keep=0)
    assert sampler.sample(agreement, 1, seed=0, start=[MOTIF]).queries[0].key == MOTIF


def test_breeding_needs_no_reward_and_stays_near_the_best_known() -> None:
    sampler = BreedingSampler(dna(12), LADDER, parents=2)
    assert isinstance(sampler, Sampler) and not needs_reward(sampler)
    start = ["A" * 12, "C" * 12, "G" * 12]
    proposals = sampler.sample(no_reward, 200, seed=0, start=start)
    assert {q.fidelity for q in proposals.queries} == {LADDER[-1].name}
    # Offspring of the two best alone: a third letter comes from mutation only.
    letters = Counter("".join(q.key for q in proposals.queries))
    assert letters["A"] + letters["C"] > 0.75 * letters.total()
    assert len(proposals.queries) == len(set(proposals.queries)) <= 200


def test_breeding_begins_at_random() -> None:
    proposals = BreedingSampler(dna(12), LADDER).sample(no_reward, 300, seed=0)
    letters = Counter("".join(q.key for q in proposals.queries))
    assert min(letters.values()) > 0.2 * letters.total()
    assert all(isinstance(q, Query) for q in proposals.queries)


def test_evolution_begins_anywhere_on_a_grid() -> None:
    grid = HypergridEnvironment(dimensions=2, side=100)
    asked: list[str] = []

    def flat(keys: Sequence[str]) -> Tensor:
        asked.extend(keys)
        return torch.zeros(len(keys), len(LADDER))

    EvolutionSampler(grid, LADDER, generations=1, brood=1000).sample(flat, 1, seed=0)
    assert spread(asked[:900]) == pytest.approx([225] * 4, abs=50)
    bred = BreedingSampler(grid, LADDER).sample(no_reward, 1000, seed=0).queries
    assert spread([q.key for q in bred]) == pytest.approx([250] * 4, abs=55)


@pytest.mark.parametrize("apart", [0.0, 0.5])
def test_proposals_that_are_kept_are_as_far_apart_as_is_asked_for(apart: float) -> None:
    train = TrainSettings(
        steps=8, batch_size=16, guided_every=1, guided_size=64, guided_apart=apart
    )
    sampler = GFlowNetSampler(dna(12), LADDER, train=train, keep=20)
    kept = [q.key for q in sampler.sample(agreement, 1, seed=0).queries][1:]
    nearest = min(
        sum(x != y for x, y in zip(a, b, strict=True)) for i, a in enumerate(kept) for b in kept[:i]
    )
    if apart:
        assert nearest >= 6
    else:
        assert nearest < 6
