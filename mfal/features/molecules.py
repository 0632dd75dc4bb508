"""From the text of a molecule to RDKit's molecule."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from mfal.errors import MissingDependencyError

if TYPE_CHECKING:
    from rdkit.Chem import Mol

Notation = Literal["selfies", "smiles"]

KEPT = 2_000
"""Molecules that are remembered, of some 30 kB each: more than are asked about in one step."""

_TOKENS = re.compile(r"(\[[^\[\]]+\]|\.)+")


class NoMoleculeError(Exception):
    """Why a text spells no molecule."""


@lru_cache
def parser(notation: Notation) -> Callable[[str], "Mol"]:
    """Text to molecule, without its hydrogens; one for all who ask, so that each is parsed once.

    Its molecules are shared and not to be changed. It raises NoMoleculeError.

    Raises:
        MissingDependencyError: Where the packages are not installed.
    """
    try:
        from rdkit import Chem, rdBase

        if notation == "selfies":
            from selfies import DecoderError, decoder
    except ImportError as error:
        raise MissingDependencyError(
            f"molecules need the package {error.name!r}, which is not installed",
            "in the checkout of mfal: make setup, or pip install -e '.[molecules]'",
        ) from error

    def of_smiles(text: str) -> "Mol":
        with rdBase.BlockLogs():
            molecule = Chem.MolFromSmiles(text)
        if molecule is None:
            raise NoMoleculeError(f"RDKit reads no molecule from {text!r}")
        return molecule

    def of_selfies(text: str) -> "Mol":
        if not _TOKENS.fullmatch(text):  # the decoder passes over what stands between tokens
            raise NoMoleculeError("not a SELFIES: tokens in square brackets, such as [C]")
        try:
            smiles = str(decoder(text))
        except DecoderError as error:
            raise NoMoleculeError(f"not a SELFIES: {error}".partition("\n")[0]) from error
        return of_smiles(smiles)

    return lru_cache(maxsize=KEPT)(of_selfies if notation == "selfies" else of_smiles)


def canonical_smiles(keys: Sequence[str]) -> list[str]:
    """What all SELFIES of a molecule have in common; a key where RDKit reads no molecule."""
    parse = parser("selfies")
    from rdkit import Chem

    def smiles(key: str) -> str:
        try:
            return Chem.MolToSmiles(parse(key))
        except NoMoleculeError:
            return key

    return [smiles(key) for key in keys]
