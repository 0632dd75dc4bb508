import pytest
import selfies
import torch

from mfal.envs.fidelity import FidelityEnvironment
from mfal.envs.selfies import SELFIES_TOKENS, SelfiesEnvironment
from mfal.errors import ConfigError, InvalidKeyError
from mfal.testing import EnvironmentChecks

BENZENE = "[C][=C][C][=C][C][=C][Ring1][=Branch1]"


class TestSelfies(EnvironmentChecks):
    def environment(self) -> SelfiesEnvironment:
        return SelfiesEnvironment(max_length=7)

    def bad_keys(self) -> list[str]:
        return ["", "C", "[C][Xx]", "[C][nop]", "[C].[C]", "[C]" * 8]


class TestSelfiesWithFidelities(EnvironmentChecks):
    def environment(self) -> FidelityEnvironment:
        return FidelityEnvironment(SelfiesEnvironment(max_length=5), 3)


def test_the_published_vocabulary_has_26_tokens() -> None:
    assert len(set(SELFIES_TOKENS)) == len(SELFIES_TOKENS) == 26
    assert list(SELFIES_TOKENS) == sorted(SELFIES_TOKENS)


def test_texts_of_up_to_64_tokens_by_default() -> None:
    environment = SelfiesEnvironment()
    assert environment.sequence_shape == (64, 26)
    assert (environment.n_actions, environment.max_steps) == (27, 65)
    assert environment.keys(environment.states([BENZENE])) == [BENZENE]
    assert (environment.states([BENZENE]) >= 0).sum() == 9


def test_error_names_the_token_and_its_position() -> None:
    with pytest.raises(InvalidKeyError, match=r"'\[C\]\[Xx\]'.*'\[Xx\]' at position 2"):
        SelfiesEnvironment().states(["[C][Xx]"])


def test_all_texts_of_a_molecule_have_one_identity() -> None:
    texts = ["[C][C][O]", "[O][C][C]", "[C][C][O][Branch1]", "[C][O][C]", "[Branch1]"]
    first, *others, ether, nothing = SelfiesEnvironment().identities(texts)
    assert others == [first] * 2 and ether != first and nothing == ""


def test_other_tokens_are_an_option() -> None:
    environment = SelfiesEnvironment(tokens=["[C]", "[O-1]"], min_length=2, max_length=3)
    assert environment.states(["[C][O-1]"]).tolist() == [[0, 1, 2, -1]]


@pytest.mark.parametrize("tokens", ["CNO", ["[C]", "N"], [], ["[C]", "[C]"]])
def test_a_bad_vocabulary_is_refused(tokens: str | list[str]) -> None:
    with pytest.raises(ConfigError):
        SelfiesEnvironment(tokens=tokens)


def test_every_text_decodes_to_a_molecule() -> None:
    environment = SelfiesEnvironment(max_length=20)
    generator = torch.Generator().manual_seed(0)
    states = environment.states(["[C][C][N][=C][C][O]"] * 200)
    for _ in range(10):
        states = environment.mutate(states, generator)
    smiles = [selfies.decoder(key) for key in environment.keys(states)]
    assert all(isinstance(text, str) for text in smiles)
    assert sum(bool(text) for text in smiles) > 190
