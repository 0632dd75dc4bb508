from typing import Any

import pytest
import torch

from mfal.envs.sequence import SequenceEnvironment
from mfal.errors import ConfigError, InvalidKeyError
from mfal.testing import EnvironmentChecks


class TestDna(EnvironmentChecks):
    def environment(self) -> SequenceEnvironment:
        return SequenceEnvironment(alphabet="ACGT", length=6)

    def bad_keys(self) -> list[str]:
        return ["ACGTA", "ACGTACG", "ACGTXC", "acgtac", ""]


class TestOneLetter(EnvironmentChecks):
    def environment(self) -> SequenceEnvironment:
        return SequenceEnvironment(alphabet="AB", length=1)


@pytest.fixture
def dna() -> SequenceEnvironment:
    return SequenceEnvironment(alphabet="ACGT", length=8)


def test_error_names_the_letter_and_its_position(dna: SequenceEnvironment) -> None:
    with pytest.raises(InvalidKeyError, match=r"'ACGUACGT'.*'U' at position 4"):
        dna.states(["ACGTACGT", "ACGUACGT"])


def test_error_names_the_wrong_length(dna: SequenceEnvironment) -> None:
    with pytest.raises(InvalidKeyError, match=r"'ACG' has 3 letters[\s\S]*8 letters"):
        dna.states(["ACG"])


@pytest.mark.parametrize("alphabet", ["", "AA", "Aé"])
def test_a_bad_alphabet_is_refused(alphabet: str) -> None:
    with pytest.raises(ConfigError):
        SequenceEnvironment(alphabet=alphabet, length=3)


def test_a_list_of_letters_is_no_alphabet() -> None:
    letters: Any = ["A", "B"]
    with pytest.raises(ConfigError, match=r"\['A', 'B'\], which is no text") as raised:
        SequenceEnvironment(alphabet=letters, length=3)
    assert "one text" in raised.value.hint


def test_keys_spell_the_letters(dna: SequenceEnvironment) -> None:
    states = torch.tensor([[0, 1, 2, 3, 3, 2, 1, 0], [3] * 8])
    assert dna.keys(states) == ["ACGTTGCA", "TTTTTTTT"]


def _is_shift(parent: str, child: str) -> bool:
    """Whether taking one letter out of each at some place leaves the same rest."""
    short = {parent[:i] + parent[i + 1 :] for i in range(len(parent))}
    return any(child[:i] + child[i + 1 :] in short for i in range(len(child)))


def test_mutants_are_few_substitutions_or_a_shift(dna: SequenceEnvironment) -> None:
    generator = torch.Generator().manual_seed(3)
    parents = torch.randint(0, 4, (400, 8), generator=generator)
    mutants = dna.mutate(parents, generator)
    changes = (mutants != parents).sum(dim=1)
    shifts = 0
    for parent, child, n in zip(dna.keys(parents), dna.keys(mutants), changes, strict=True):
        assert n <= 3 or _is_shift(parent, child), (parent, child)
        shifts += int(n > 3)
    assert shifts > 20
    assert (changes == 0).sum() < 20
    assert set(changes.tolist()) >= {1, 2, 3}


def test_crossover_takes_each_place_from_a_parent(dna: SequenceEnvironment) -> None:
    generator = torch.Generator().manual_seed(4)
    first, second = torch.zeros(300, 8, dtype=torch.long), torch.ones(300, 8, dtype=torch.long)
    children = dna.crossover(first, second, generator)
    breaks = (children[:, 1:] != children[:, :-1]).sum(dim=1)
    assert set(breaks.tolist()) == {0, 1, 2}
    assert 0.35 < children.double().mean() < 0.65
