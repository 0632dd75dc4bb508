from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from mfal.envs.hypergrid import HypergridEnvironment
from mfal.errors import ConfigError
from mfal.gfn.base import HasPool, Sampler
from mfal.gfn.baselines import RandomSampler
from mfal.gfn.pool import PoolSampler
from mfal.registry import build
from mfal.sections import Component
from mfal.types import Query
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.problems import LADDER, dna, spread


def no_reward(keys: Sequence[str]) -> Tensor:
    raise AssertionError("the pool sampler asked for a reward")


def written(folder: Path, text: str) -> str:
    path = folder / "pool.txt"
    path.write_text(text)
    return str(path)


def test_every_candidate_of_a_file_is_proposed_at_every_fidelity(tmp_path: Path) -> None:
    options = {"file": written(tmp_path, "ACGTAC\n\n  TTTTTT\nAAAAAA\n")}
    component = Component(name="pool", options=options)
    sampler = build("sampler", component, environment=dna(6), fidelities=LADDER)
    assert isinstance(sampler, Sampler) and isinstance(sampler, HasPool)
    assert list(sampler.pool) == ["ACGTAC", "TTTTTT", "AAAAAA"]
    proposals = sampler.sample(no_reward, 2, seed=3, start=["CCCCCC"])
    wanted = {Query(key, f.name) for key in sampler.pool for f in LADDER}
    assert set(proposals.queries) == wanted and len(proposals.queries) == len(wanted)
    assert proposals == sampler.sample(no_reward, 2, seed=4)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "pool.txt"
    path.write_text("ACGTAC\r\nTTTTTT\r\n", encoding="utf-8-sig", newline="")
    assert PoolSampler(dna(6), LADDER, file=str(path)).pool == ("ACGTAC", "TTTTTT")


def test_a_drawn_pool_depends_on_its_own_seed_alone() -> None:
    pools = [PoolSampler(dna(6), LADDER, n=500, seed=seed).pool for seed in (0, 0, 1)]
    assert pools[0] == pools[1] != pools[2]
    assert len(set(pools[0])) == 500
    letters = "".join(pools[0])
    assert all(0.22 < letters.count(letter) / len(letters) < 0.28 for letter in "ACGT")


def test_a_drawn_pool_is_of_the_whole_grid() -> None:
    # By random steps a hundred different points are not even found of ten thousand.
    pool = PoolSampler(HypergridEnvironment(dimensions=2, side=100), LADDER, n=1000).pool
    assert spread(pool) == pytest.approx([250] * 4, abs=50)


def test_a_whole_space_may_be_the_pool() -> None:
    # Nine cells, none of which is drawn more rarely than one time in sixteen.
    pool = PoolSampler(GridEnvironment(side=3), LADDER, n=9).pool
    assert len(set(pool)) == 9
    with pytest.raises(ConfigError, match="n is 10, and 9 different candidates were found"):
        PoolSampler(GridEnvironment(side=3), LADDER, n=10)


def test_only_samplers_with_a_list_have_a_pool() -> None:
    assert not isinstance(RandomSampler(dna(6), LADDER), HasPool)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ACGTAC\nTTTTTT\nACGTAC\n", "line 3: 'ACGTAC' stands in line 1, too"),
        ("ACGTAC\n\nACGTAX\n", "line 3: "),
        ("ACGTAC\nACGT\n", "line 2: "),
        ("\n \n", "holds no key"),
    ],
)
def test_a_bad_file_is_refused_by_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        PoolSampler(dna(6), LADDER, file=written(tmp_path, text))
    assert said in raised.value.message and "pool.txt" in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize("options", [{}, {"file": "pool.txt", "n": 3}, {"file": "nowhere.txt"}])
def test_options_that_name_no_list_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"give either file|nowhere.txt: cannot be read"):
        PoolSampler(dna(6), LADDER, **options)
