"""Counts of atom environments in a molecule."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mfal.errors import InvalidKeyError
from mfal.features.molecules import NoMoleculeError, Notation, parser

if TYPE_CHECKING:
    from rdkit.Chem import Mol
    from rdkit.Chem.rdFingerprintGenerator import FingerprintGenerator64

_HINTS: dict[Notation, str] = {
    "selfies": "write tokens in square brackets such as [C][=C][O], or set notation: smiles",
    "smiles": "check its brackets, rings and valences, or set notation: selfies",
}


class MorganCounts:
    """How often each atom environment of up to `radius` bonds occurs in a molecule.

    Method: extended-connectivity fingerprints (Rogers & Hahn, J. Chem. Inf. Model. 50, 742
    (2010)) as RDKit's Morgan generator counts them, without chirality. An environment's number
    modulo `size` is its column, so two may share one, and their counts are then added (of 2,090
    environments in 217 molecules of some 24 atoms, 1,320 share one of 2,048 columns, and 427
    one of 8,192). A molecule is what its key spells after RDKit's clean-up, so that two texts
    for one molecule have the same row. Counts suit the Tanimoto kernel as well as those of a
    distance.

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
        self._parse = parser(notation)

    def __call__(self, keys: Sequence[str]) -> Tensor:
        """``n x width`` float64 counts.

        Raises:
            InvalidKeyError: A key does not spell a molecule.
        """
        counts = np.zeros((len(keys), self.width))
        for row, key in zip(counts, keys, strict=True):
            row[:] = self._generator.GetCountFingerprintAsNumPy(self._molecule(key))
        return torch.from_numpy(counts)

    def bits(self, key: str) -> frozenset[int]:
        """Which columns of a key's row are not zero.

        Raises:
            InvalidKeyError: The key does not spell a molecule.
        """
        found = self._generator.GetCountFingerprint(self._molecule(key)).GetNonzeroElements()
        return frozenset(found)

    def _molecule(self, key: str) -> "Mol":
        try:
            return self._parse(key)
        except NoMoleculeError as error:
            raise InvalidKeyError(
                f"{key!r} is not the {self.notation.upper()} of a molecule", _HINTS[self.notation]
            ) from error

    @cached_property
    def _generator(self) -> "FingerprintGenerator64":
        from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

        return GetMorganGenerator(radius=self.radius, fpSize=self.width)
