import pytest
import torch

from mfal.envs.fidelity import FidelityEnvironment
from mfal.envs.sequence import SequenceEnvironment
from mfal.errors import ConfigError, InvalidKeyError
from mfal.testing import EnvironmentChecks
from tests.unit.envs.grid import GridEnvironment


class TestDnaWithFidelities(EnvironmentChecks):
    def environment(self) -> FidelityEnvironment:
        return FidelityEnvironment(SequenceEnvironment(alphabet="ACGT", length=5), 3)


class TestGrid(EnvironmentChecks):
    """Uneven lengths, several ways to a state, and none of the hooks."""

    def environment(self) -> GridEnvironment:
        return GridEnvironment(side=4)

    def bad_keys(self) -> list[str]:
        return ["0", "0,4", "x,1"]


class TestGridWithFidelities(EnvironmentChecks):
    def environment(self) -> FidelityEnvironment:
        return FidelityEnvironment(GridEnvironment(side=4), 2)


@pytest.fixture
def environment() -> FidelityEnvironment:
    return FidelityEnvironment(SequenceEnvironment(alphabet="ACGT", length=2), 3)


def test_fidelity_comes_once_the_candidate_is_complete(environment: FidelityEnvironment) -> None:
    states = torch.tensor([[-1, -1, -1], [2, -1, -1], [2, 1, -1], [2, 1, 0]])
    letters, none = [True] * 4 + [False] * 3, [False] * 7
    fidelities = [False] * 4 + [True] * 3
    assert environment.forward_mask(states).tolist() == [letters, letters, fidelities, none]


def test_fidelities_and_candidates_of_states(environment: FidelityEnvironment) -> None:
    states = environment.states(["AC", "GT"], [2, 0])
    assert environment.fidelities(states).tolist() == [2, 0]
    assert environment.candidates(states).tolist() == [[0, 1], [2, 3]]
    assert environment.queries(states) == [("AC", 2), ("GT", 0)]
    assert environment.fidelities(environment.initial(2)).tolist() == [-1, -1]


def test_keys_alone_stand_at_the_target(environment: FidelityEnvironment) -> None:
    assert environment.fidelities(environment.states(["AC"])).tolist() == [2]


def test_a_batch_may_mix_letters_and_fidelities(environment: FidelityEnvironment) -> None:
    states = torch.tensor([[-1, -1, -1], [2, 1, -1], [3, -1, -1]])
    after = environment.step(states, torch.tensor([1, 6, 0]))
    assert after.tolist() == [[1, -1, -1], [2, 1, 2], [3, 0, -1]]
    assert environment.undo(after, torch.tensor([1, 6, 0])).tolist() == states.tolist()


def test_observe_delta_of_a_mixed_batch(environment: FidelityEnvironment) -> None:
    states = torch.tensor([[-1, -1, -1], [2, 1, -1], [3, -1, -1]])
    actions = torch.tensor([1, 6, 0])
    delta = environment.observe_delta(states, actions)
    assert delta is not None
    seen = environment.observe(states).scatter_add(1, *delta)
    assert torch.equal(seen, environment.observe(environment.step(states, actions)))


def test_a_fidelity_off_the_ladder_is_refused(environment: FidelityEnvironment) -> None:
    with pytest.raises(InvalidKeyError, match="'AC' is asked for at fidelity index 3"):
        environment.states(["AC"], [3])


def test_an_empty_ladder_is_refused() -> None:
    with pytest.raises(ConfigError):
        FidelityEnvironment(SequenceEnvironment(alphabet="AB", length=2), 0)
