"""Counts of atom environments in a molecule."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from mfal.errors import InvalidKeyError, MissingDependencyError

if TYPE_CHECKING:
    from rdkit.Chem import Mol
    from rdkit.Chem.rdFingerprintGenerator import FingerprintGenerator64

Notation = Literal["selfies", "smiles"]


class MorganCounts:
    """How often each atom environment of up to `radius` bonds occurs in a molecule.

    Method: extended-connectivity fingerprints (Rogers & Hahn, J. Chem. Inf. Model. 50, 742
    (2010)) as RDKit's Morgan generator counts them, without chirality. An environment's number
    modulo `size` is its column, so two may share one: their counts are then added, and
    `collisions` says how many do (of 2,090 environments in 217 molecules of some 24 atoms,
    1,320 share one of 2,048 columns, and 427 one of 8,192). A molecule is what its key spells
    after RDKit's clean-up, so that two texts for one molecule have the same row. Counts suit
    the Tanimoto kernel as well as those of a distance.

    Args:
        notation: What keys are written in.
        radius: Bonds from an environment's centre to its edge; 2 is known as ECFP4.
        size: Number of columns, 2048 by default.
    """

    linear_columns = ()

    def __init__(
        self,
        *,
        notation: Notation = "selfies",
        radius: Annotated[int, Field(ge=0, le=4)] = 2,
        size: Annotated[int, Field(ge=64, le=16_384)] = 2048,
    ) -> None:
        self.notation = notation
        self.radius = radius
        self.width = size
        self._parse = _parser(notation)

    def __call__(self, keys: Sequence[str]) -> Tensor:
        """``n x width`` float64 counts.

        Raises:
            InvalidKeyError: A key does not spell a molecule.
        """
        counts = torch.zeros(len(keys), self.width, dtype=torch.float64)
        generator = _generator(self.radius, self.width)
        for row, key in enumerate(keys):
            found = generator.GetCountFingerprint(self._parse(key)).GetNonzeroElements()
            counts[row, list(found)] = torch.tensor(list(found.values()), dtype=torch.float64)
        return counts

    def collisions(self, keys: Sequence[str]) -> int:
        """How many of the distinct environments in `keys` share their column with another."""
        generator = _generator(self.radius, self.width)
        environments: set[int] = set()
        for key in keys:
            molecule = self._parse(key)
            environments |= (
                generator.GetSparseCountFingerprint(molecule).GetNonzeroElements().keys()
            )
        columns = torch.tensor([identifier % self.width for identifier in environments])
        taken = torch.bincount(columns.long(), minlength=self.width)
        return int(taken[taken > 1].sum())


def canonical_smiles(keys: Sequence[str]) -> list[str]:
    """What all SELFIES of a molecule have in common; a key where RDKit reads no molecule."""
    parse = _parser("selfies")
    from rdkit import Chem

    def smiles(key: str) -> str:
        try:
            return Chem.MolToSmiles(parse(key))
        except InvalidKeyError:
            return key

    return [smiles(key) for key in keys]


def _generator(radius: int, size: int) -> "FingerprintGenerator64":
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    return GetMorganGenerator(radius=radius, fpSize=size)


def _parser(notation: Notation) -> Callable[[str], "Mol"]:
    """Key to molecule; raises MissingDependencyError where the packages are not installed."""
    try:
        from rdkit import Chem, rdBase

        if notation == "selfies":
            from selfies import DecoderError, decoder
    except ImportError as error:
        raise MissingDependencyError(
            f"Morgan counts need the package {error.name!r}, which is not installed",
            "in the checkout of mfal: make setup, or pip install -e '.[molecules]'",
        ) from error

    def from_smiles(key: str) -> "Mol":
        with rdBase.BlockLogs():
            molecule = Chem.MolFromSmiles(key)
        if molecule is None:
            raise InvalidKeyError(
                f"{key!r} is not the SMILES of a molecule",
                "check its brackets, rings and valences, or set notation: selfies",
            )
        return molecule

    def from_selfies(key: str) -> "Mol":
        # The decoder passes over letters outside brackets, and would make nothing of a SMILES.
        if key and not (key.startswith("[") and key.endswith("]")):
            raise _not_selfies(key)
        try:
            return from_smiles(str(decoder(key)))
        except DecoderError as error:
            raise _not_selfies(key) from error

    return from_selfies if notation == "selfies" else from_smiles


def _not_selfies(key: str) -> InvalidKeyError:
    return InvalidKeyError(
        f"{key!r} is not SELFIES",
        "write tokens in square brackets such as [C][=C][O], or set notation: smiles",
    )
