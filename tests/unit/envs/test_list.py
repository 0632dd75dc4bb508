from collections import Counter
from typing import Any

import pytest
import torch

from mfal.envs.fidelity import FidelityEnvironment
from mfal.envs.list import ListEnvironment
from mfal.errors import ConfigError, InvalidKeyError
from mfal.gfn.pool import PoolSampler
from mfal.testing import EnvironmentChecks
from mfal.types import Fidelity
from tests.unit.envs.exhaust import every_finished

METALS = ("Fe", "Cr", "Ni", "Fe50Ni50", "c1ccccc1")


class TestList(EnvironmentChecks):
    def environment(self) -> ListEnvironment:
        return ListEnvironment(keys=METALS)

    def bad_keys(self) -> list[str]:
        return ["fe", "Fe ", "", "Co"]


class TestOneCandidate(EnvironmentChecks):
    def environment(self) -> ListEnvironment:
        return ListEnvironment(keys=["Fe"])

    # The only candidate is drawn whatever the seed.
    test_uniform_draws_are_finished_states = None  # type: ignore[assignment]


class TestListWithFidelities(EnvironmentChecks):
    def environment(self) -> FidelityEnvironment:
        return FidelityEnvironment(ListEnvironment(keys=METALS), 3)


def test_every_candidate_is_reached_once_and_written_as_it_was_given() -> None:
    environment = ListEnvironment(keys=iter(METALS))
    assert environment.keys(every_finished(environment)) == list(METALS)


def test_all_are_drawn_alike() -> None:
    environment = ListEnvironment(keys=METALS)
    drawn = environment.uniform(5000, torch.Generator().manual_seed(0))
    counts = Counter(environment.keys(drawn))
    # A thousand each, with a standard deviation of 28.
    assert {*counts} == {*METALS} and all(abs(n - 1000) < 120 for n in counts.values())


def test_what_is_not_in_the_list_is_refused() -> None:
    with pytest.raises(InvalidKeyError, match="'Co' is not in the list of 5") as raised:
        ListEnvironment(keys=METALS).states(["Fe", "Co"])
    assert "such as 'Fe'" in raised.value.hint


@pytest.mark.parametrize(
    ("keys", "said"),
    [([], "no candidate"), (["Fe", "Ni", "Fe"], "'Fe' twice"), (["Fe", 3], "3, which is no text")],
)
def test_a_list_that_is_none_is_refused(keys: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ListEnvironment(keys=keys)


def test_the_whole_of_a_long_list_is_a_pool() -> None:
    keys = [str(i) for i in range(3000)]
    ladder = (Fidelity("assay", 1.0, 1.0),)
    assert {*PoolSampler(ListEnvironment(keys=keys), ladder, n=3000).pool} == {*keys}
