"""One key for each molecule, in the vocabulary and the length of the search space."""

import random

import numpy as np
import pytest
import selfies
import torch
from rdkit import Chem

from mfal.envs.fidelity import FidelityEnvironment
from mfal.envs.selfies import SELFIES_TOKENS
from mfal.testing import EnvironmentChecks
from oracles.spelling import NOTHING, MoleculeEnvironment, canonical, localised, spell

BENZENE = "[C][=C][C][=C][C][=C][Ring1][=Branch1]"


class TestMolecules(EnvironmentChecks):
    def environment(self) -> MoleculeEnvironment:
        return MoleculeEnvironment(max_length=12)

    def bad_keys(self) -> list[str]:
        return ["", "C", "[C][Xx]", "[C].[C]", "[C]" * 13]


class TestMoleculesWithFidelities(EnvironmentChecks):
    def environment(self) -> FidelityEnvironment:
        return FidelityEnvironment(MoleculeEnvironment(max_length=8), 3)


def _smiles(text: str) -> str:
    return Chem.MolToSmiles(Chem.MolFromSmiles(selfies.decoder(text)))


def _random_texts(n: int, seed: int) -> list[str]:
    source = random.Random(seed)
    lengths = [min(64, 1 + int(source.expovariate(1 / 27))) for _ in range(n)]
    return ["".join(source.choices(SELFIES_TOKENS, k=length)) for length in lengths]


def _respelt(text: str, seed: int) -> str:
    """The same molecule, walked through from another atom in another order."""
    mol = Chem.MolFromSmiles(_smiles(text))
    order = np.random.default_rng(seed).permutation(mol.GetNumAtoms()).tolist()
    return "".join(spell(localised(Chem.RenumberAtoms(mol, order)), order, 0))


@pytest.mark.parametrize(
    ("texts", "key"),
    [
        (("[O][C][C]", "[C][C][O]", "[C][Branch1][C][O][C]"), None),
        ((BENZENE, "[=C][C][=C][C][=C][C][=Ring1][=Branch1]"), None),
        (("[#Branch1]", "[Ring1][Ring2]", "[=Ring1]", "[#Branch2][Branch1]"), NOTHING),
        (("[C][NH1]",), "[C][NH1]"),
        (("[N][C][=P][=Branch1][C][=O][C]", "[C][P][=Branch1][C][=O][=C][N]"), None),
    ],
)
def test_spellings_of_one_molecule_have_one_key(texts: tuple[str, ...], key: str | None) -> None:
    assert len({canonical(text) for text in texts}) == 1
    assert key is None or canonical(texts[0]) == key


def test_different_molecules_have_different_keys() -> None:
    texts = ["[C][C][O]", "[C][O][C]", "[C][C][N]", "[C][C][NH1]", "[C][=C][O]", "[C]"]
    assert len({canonical(text) for text in texts}) == len(texts)


def test_keys_of_random_texts_are_canonical_spellings() -> None:
    environment = MoleculeEnvironment()
    for number, text in enumerate(_random_texts(300, seed=1)):
        key = canonical(text)
        assert _smiles(key) == _smiles(text), text
        assert environment.keys(environment.states([key])) == [key], text
        if key != NOTHING:
            assert canonical(_respelt(text, seed=number)) == key, text


@pytest.mark.slow
def test_keys_of_ten_thousand_random_texts() -> None:
    unspelt = 0
    for number, text in enumerate(_random_texts(10_000, seed=2)):
        key = canonical(text)
        assert _smiles(key) == _smiles(text), text
        if key != NOTHING:
            respelt = canonical(_respelt(text, seed=number))
            unspelt += respelt != key
    assert unspelt == 0


@pytest.mark.parametrize(
    "smiles", ["CP=C", "C#P", "S#CC", "C#S", "B=C", "CC=P", "C=P(O)O", "C1CC#S1", "O=P(N)=P", "P#P"]
)
def test_bonds_that_the_vocabulary_lacks_are_raised_by_rings(smiles: str) -> None:
    mol = Chem.MolFromSmiles(smiles)
    identity = Chem.MolToSmiles(mol)
    Chem.Kekulize(mol, clearAromaticFlags=True)
    ranks = list(range(mol.GetNumAtoms()))
    for start in ranks:
        tokens = spell(mol, ranks, start)
        assert set(tokens) <= set(SELFIES_TOKENS)
        assert _smiles("".join(tokens)) == identity


def test_a_triple_bond_that_closes_a_ring_takes_two_ring_tokens() -> None:
    mol = Chem.MolFromSmiles("C1CCCCCCC#C1")
    tokens = spell(mol, list(range(9)), 8)
    assert tokens == [*["[C]"] * 9, "[=Ring1]", "[=Branch2]", "[Ring1]", "[=Branch2]"]
    assert _smiles("".join(tokens)) == Chem.MolToSmiles(mol)


def test_a_molecule_without_a_spelling_in_the_length_keeps_its_text() -> None:
    assert canonical(BENZENE, max_length=8) == canonical("[#Branch1]" + BENZENE, max_length=8)
    assert canonical(BENZENE, max_length=7) == BENZENE


def test_a_text_that_is_no_molecule_keeps_its_text() -> None:
    assert canonical("[nop][Xx]") == "[nop][Xx]"
    assert canonical("xyz") == "xyz"


def test_there_are_no_more_keys_than_molecules() -> None:
    environment = MoleculeEnvironment(max_length=3)
    n = len(SELFIES_TOKENS)
    pairs = torch.cartesian_prod(torch.arange(n), torch.arange(n))
    end, empty = torch.full((n * n, 1), n), torch.full((n * n, 1), -1)
    keys = environment.keys(torch.cat([pairs, end, empty], dim=1))
    assert len(set(keys)) == len({_smiles(key) for key in keys}) < n * n
