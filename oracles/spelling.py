"""One spelling for each molecule, so that none is bought twice under two names."""

from functools import lru_cache
from typing import TYPE_CHECKING

from mfal.envs.selfies import SELFIES_TOKENS, SelfiesEnvironment
from oracles.geometry import NoValueError, molecule

if TYPE_CHECKING:
    from rdkit.Chem import Mol
    from torch import Tensor

NOTHING = "[#Branch1]"
"""How a text is spelt that spells no atom, such as ``[Ring1][Ring2]``."""

# What counts 0, 1, … where a branch or a ring says how far it goes.
_DIGITS = (
    *("[C]", "[Ring1]", "[Ring2]", "[Branch1]", "[=Branch1]", "[#Branch1]", "[Branch2]"),
    *("[=Branch2]", "[#Branch2]", "[O]", "[N]", "[=N]", "[=C]", "[#C]", "[S]", "[P]"),
)
_TOKENS = frozenset(SELFIES_TOKENS)
_ORDERS = {1: "", 2: "=", 3: "#"}


class MoleculeEnvironment(SelfiesEnvironment):
    """`SelfiesEnvironment` whose keys are canonical: one key for all spellings of a molecule.

    So `keys` gives back a finished state's molecule, not its text, and ``keys(states(key))`` is
    the key again for every key that it ever gave. A sampler sees a molecule with many spellings
    more often than one with few.

    A molecule that was built of close to `max_length` tokens may have no canonical spelling that
    short. The key is then the text as it was built, and it may not be the molecule's only one.

    Args:
        max_length: Most tokens of a finished text.
    """

    def __init__(self, *, max_length: int = 64) -> None:
        super().__init__(max_length=max_length)

    def keys(self, states: "Tensor") -> list[str]:
        """Canonical SELFIES of the molecules of finished states."""
        return [canonical(text, self.max_length) for text in super().keys(states)]

    def canonical(self, states: "Tensor") -> "Tensor":
        """Finished states in the one spelling that their keys have."""
        return self.states(self.keys(states)).to(states.device)


@lru_cache(maxsize=200_000)
def canonical(text: str, max_length: int = 64) -> str:
    """The one text of at most `max_length` tokens that stands for the molecule of a text.

    The first spelling that fits, over the atoms to begin with in their canonical order. It is
    `text` itself where none fits, or where RDKit makes nothing of the text.
    """
    from rdkit import Chem

    try:
        identity = Chem.MolToSmiles(molecule(text))
    except NoValueError:
        return text
    if not identity:
        return NOTHING
    mol = localised(Chem.MolFromSmiles(identity))  # from here on nothing depends on the text
    rank = list(Chem.CanonicalRankAtoms(mol))
    for start in sorted(range(len(rank)), key=rank.__getitem__):
        tokens = spell(mol, rank, start)
        found = "".join(tokens)
        if len(tokens) > max_length:
            continue
        if found == text or Chem.MolToSmiles(molecule(found)) == identity:
            return found
    return text


def localised(mol: "Mol") -> "Mol":
    """A molecule as the vocabulary writes it: no aromatic bonds, and none between charges.

    RDKit reads ``C=P(=O)N``, with five bonds at phosphorus, as ``C=[P+]([O-])N``.
    """
    from rdkit import Chem

    Chem.Kekulize(mol, clearAromaticFlags=True)
    if not any(mol.GetAtomWithIdx(i).GetFormalCharge() for i in range(mol.GetNumAtoms())):
        return mol
    for bond in mol.GetBonds():
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        if sorted(atom.GetFormalCharge() for atom in ends) == [-1, 1]:
            bond.SetBondType(Chem.BondType.values[int(bond.GetBondType()) + 1])
            for atom in ends:
                atom.SetFormalCharge(0)
    return mol


def spell(mol: "Mol", rank: list[int], start: int) -> list[str]:
    """A SELFIES of a molecule, token by token, in the published vocabulary.

    The vocabulary lacks some tokens that a plain SELFIES needs: there is no ``[=P]``, ``[#S]``
    or ``[#Ring1]``. A bond that cannot be spelt at once is spelt as a single one and raised by
    rings from an atom to its neighbour: ``[P][Ring1][C]`` for ``[=P]``.

    Args:
        mol: With localised double bonds (Kekulé).
        rank: Order in which the neighbours of an atom are visited.
        start: Index of the first atom.
    """
    return _Speller(mol, rank).fragment(start, None)


class _Speller:
    """Walks through a molecule, depth first; what RDKit tells of it is read once, for speed."""

    def __init__(self, mol: "Mol", rank: list[int]) -> None:
        from rdkit import Chem

        atoms = (mol.GetAtomWithIdx(i) for i in range(len(rank)))
        self._symbols = ["NH1" if a.GetNumRadicalElectrons() else a.GetSymbol() for a in atoms]
        orders = Chem.GetAdjacencyMatrix(mol, useBO=True, force=True).astype(int).tolist()
        by_rank = sorted(range(len(rank)), key=rank.__getitem__)
        # Atom -> its neighbours by rank, each with the order of the bond.
        self._bonds = [[(i, row[i]) for i in by_rank if row[i]] for row in orders]
        self._place: dict[int, int] = {}  # atom -> how many were spelt before it

    def fragment(self, atom: int, parent: int | None, order: int = 0) -> list[str]:
        """The tokens of an atom and of all that hangs on it and is not spelt yet.

        Args:
            order: Of the bond to the parent.
        """
        place = self._place
        here = place[atom] = len(place)
        tokens = self._atom(atom, parent, order)
        for other, ring in self._bonds[atom]:
            if other in place and other != parent:
                tokens += _ring(ring, here - place[other])
        branches = [
            (bond, self.fragment(other, atom, bond))
            for other, bond in self._bonds[atom]
            if other not in place
        ]
        for bond, branch in branches[:-1]:
            length = _number(len(branch) - 1)
            tokens += [f"[{_ORDERS[bond]}Branch{len(length)}]", *length, *branch]
        return tokens + (branches[-1][1] if branches else [])

    def _atom(self, atom: int, parent: int | None, order: int) -> list[str]:
        """The token of an atom and its bond to the one before it, and what raises that bond."""
        symbol = self._symbols[atom]
        if parent is None:
            return [f"[{symbol}]"]
        token = f"[{_ORDERS[order]}{symbol}]"
        if token in _TOKENS:
            return [token]
        return [f"[{symbol}]", *_ring(order - 1, self._place[atom] - self._place[parent])]


def _ring(order: int, distance: int) -> list[str]:
    """A bond to the atom that was spelt `distance` atoms ago."""
    steps = _number(distance - 1)
    orders = [2, 1] if order == 3 else [order]
    return [token for part in orders for token in (f"[{_ORDERS[part]}Ring{len(steps)}]", *steps)]


def _number(value: int) -> list[str]:
    """A number in tokens, to the base of 16."""
    return [_DIGITS[int(digit, 16)] for digit in f"{value:x}"]
