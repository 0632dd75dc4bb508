"""Molecules as SELFIES: texts of bracketed tokens, each of which spells a molecule."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from mfal.envs.variable import VariableSequenceEnvironment
from mfal.errors import ConfigError

SELFIES_TOKENS = (
    *("[#Branch1]", "[#Branch2]", "[#C]", "[#N]"),
    *("[=Branch1]", "[=Branch2]", "[=C]", "[=N]", "[=O]", "[=Ring1]", "[=Ring2]", "[=S]"),
    *("[B]", "[Br]", "[Branch1]", "[Branch2]", "[C]", "[Cl]", "[F]", "[NH1]", "[N]", "[O]"),
    *("[P]", "[Ring1]", "[Ring2]", "[S]"),
)
"""The 26 tokens of the molecules in Hernandez-Garcia et al. 2023 (arXiv 2306.11715).

Small organic molecules with boron, phosphorus, sulphur and halogens; no charges, no isotopes,
no stereochemistry.
"""


class SelfiesEnvironment(VariableSequenceEnvironment):
    """SELFIES of up to `max_length` tokens, built token by token until they end.

    A key is the text itself, such as ``[C][=C][O]``. Every text decodes to a molecule, though
    many decode to the same one and some to a fragment of what they spell: tokens that find no
    free valence are passed over. So a molecule may be bought under several keys, which
    `oracles.spelling.MoleculeEnvironment` prevents. Only `identities` knows chemistry, and needs
    the ``molecules`` extra.

    Args:
        tokens: The vocabulary; by default that of the published molecules.
        min_length: Fewest tokens of a finished text.
        max_length: Most tokens of a finished text.
    """

    def __init__(
        self,
        *,
        tokens: Sequence[str] = SELFIES_TOKENS,
        min_length: Annotated[int, Field(ge=1)] = 1,
        max_length: Annotated[int, Field(ge=1)] = 64,
    ) -> None:
        for token in tokens:
            if not (token.startswith("[") and token.endswith("]")):
                raise ConfigError(
                    f"the vocabulary has the token {token!r}",
                    "SELFIES tokens stand in square brackets, such as [C]",
                )
        super().__init__(alphabet=tokens, min_length=min_length, max_length=max_length)

    def identities(self, keys: Sequence[str]) -> list[str]:
        """Canonical SMILES of the molecules; a key itself where RDKit reads no molecule from it."""
        from mfal.features.molecules import canonical_smiles

        return canonical_smiles(keys)
