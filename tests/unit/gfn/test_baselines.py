from collections import Counter
from collections.abc import Sequence

from torch import Tensor

from mfal.envs.hypergrid import HypergridEnvironment
from mfal.gfn.base import Sampler
from mfal.gfn.baselines import RandomSampler
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.problems import LADDER, dna


def no_reward(keys: Sequence[str]) -> Tensor:
    raise AssertionError("the random sampler asked for a reward")


def test_random_sampler_asks_for_no_reward_and_spreads() -> None:
    sampler = RandomSampler(dna(6), LADDER)
    assert isinstance(sampler, Sampler)
    proposals = sampler.sample(no_reward, 600, seed=3, start=["ACGTAC"])
    assert not proposals.history and proposals.weights is None
    assert 550 < len(proposals.queries) <= 600
    assert proposals == sampler.sample(no_reward, 600, seed=3)
    assert proposals != sampler.sample(no_reward, 600, seed=4)
    fidelities = Counter(query.fidelity for query in proposals.queries)
    assert min(fidelities.values()) > 150
    letters = Counter("".join(query.key for query in proposals.queries))
    assert min(letters.values()) > 0.22 * letters.total()


def test_random_sampler_works_on_any_environment() -> None:
    grid = GridEnvironment(side=3)
    proposals = RandomSampler(grid, LADDER).sample(no_reward, 2000, seed=0)
    assert len(proposals.queries) == 27


def test_random_sampler_draws_candidates_uniformly_where_it_can() -> None:
    # By random steps a walk of two coordinates stops after two on average.
    grid = HypergridEnvironment(dimensions=2, side=50)
    queries = RandomSampler(grid, LADDER).sample(no_reward, 3000, seed=0).queries
    assert Counter(query.fidelity for query in queries).keys() == {f.name for f in LADDER}
    points = [tuple(map(int, query.key.split(","))) for query in queries]
    for axis in zip(*points, strict=True):
        counts = Counter(value // 10 for value in axis)  # fifths of the side
        assert len(counts) == 5
        # About 600 a fifth, with a standard deviation of 22.
        assert all(abs(count - len(points) / 5) < 90 for count in counts.values())
