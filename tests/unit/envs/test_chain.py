from itertools import pairwise, product

import pytest
import torch

from mfal.envs.chain import ChainEnvironment
from mfal.envs.fidelity import FidelityEnvironment
from mfal.errors import ConfigError, InvalidKeyError
from mfal.testing import EnvironmentChecks
from tests.unit.envs.exhaust import every_finished

FOLLOWERS = ("AB", "BCD", "ACD", "AD")


def chain(length: int = 6) -> ChainEnvironment:
    return ChainEnvironment(alphabet="ABCD", length=length, followers=FOLLOWERS)


class TestChain(EnvironmentChecks):
    def environment(self) -> ChainEnvironment:
        return chain()

    def bad_keys(self) -> list[str]:
        return ["AAAAA", "AAAAAAA", "AAAAAX", "AAAAAC", "CBBBBB", ""]


class TestChainWithFidelities(EnvironmentChecks):
    def environment(self) -> FidelityEnvironment:
        return FidelityEnvironment(chain(4), 2)


def allowed(key: str) -> bool:
    after = dict(zip("ABCD", FOLLOWERS, strict=True))
    return all(second in after[first] for first, second in pairwise(key))


def test_exactly_the_allowed_sequences_are_built() -> None:
    environment = chain(4)
    built = environment.keys(every_finished(environment))
    wanted = [key for key in map("".join, product("ABCD", repeat=4)) if allowed(key)]
    assert 0 < len(wanted) < 4**4
    assert sorted(built) == sorted(wanted)


def test_offspring_hold_no_forbidden_neighbours() -> None:
    environment, generator = chain(12), torch.Generator().manual_seed(1)
    parents = environment.states(["ABCDABCDABCD", "AAAAAABBBBBB"] * 100)
    for children in (
        environment.mutate(parents, generator),
        environment.crossover(parents, parents.flip(0), generator),
    ):
        assert all(map(allowed, environment.keys(children)))
        assert (children != parents).any(dim=1).double().mean() > 0.5


def test_the_forbidden_neighbours_are_named() -> None:
    with pytest.raises(InvalidKeyError, match="'C' after 'A' at position 4") as caught:
        chain().states(["AAABBB", "AAACCC"])
    assert "may be followed by AB" in caught.value.hint


@pytest.mark.parametrize("followers", [("AB", "A"), ("AB", "AB", ""), ("AB", "AB", "AX")])
def test_followers_that_do_not_fit_the_alphabet_are_refused(followers: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="follow"):
        ChainEnvironment(alphabet="ABC", length=3, followers=followers)
