"""The labelled peptides that the antimicrobial classifiers learn from.

They are read at run time from the package modlamp (its set ``AMPvsUniProt``: the antimicrobial
peptides of APD3 as of January 2016, and as many peptides of 10 to 50 residues from UniProt).
Nothing of them is part of mfal.
"""

import hashlib
import importlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType

from mfal.errors import MissingDependencyError
from mfal.features.residues import ALPHABET

LONGEST = 50
HELD_OUT = 0.2


@dataclass(frozen=True)
class Labelled:
    """Peptides and whether each is antimicrobial, in the same order."""

    keys: list[str]
    antimicrobial: list[bool]

    def first(self, n: int) -> "Labelled":
        """The first n."""
        return Labelled(self.keys[:n], self.antimicrobial[:n])


def require(module: str) -> ModuleType:
    """The module; raises MissingDependencyError naming the extra that brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise _missing(module) from error


def require_installed(package: str) -> None:
    """Raise as `require` does, without the seconds that importing takes."""
    if importlib.util.find_spec(package) is None:
        raise _missing(package)


def _missing(module: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"the peptide problem needs {module}, which does not import",
        "in the checkout of mfal: make setup, or pip install -e '.[peptides]'",
    )


def labelled_peptides() -> tuple[Labelled, Labelled]:
    """Training peptides and the held-out fifth of them, cleaned and in a fixed random order."""
    data = require("modlamp.datasets").load_AMPvsUniProt()
    return split(clean(zip(map(str, data.sequences), data.target == 1, strict=True)))


def clean(pairs: Iterable[tuple[str, bool]]) -> Labelled:
    """Each peptide of 1 to 50 standard residues once, without those that stand in both classes.

    They come in the order of their SHA-256, which has nothing to do with what they are and
    does not change when the set does.
    """
    classes: dict[str, set[bool]] = {}
    for key, antimicrobial in pairs:
        if 1 <= len(key) <= LONGEST and set(key) <= set(ALPHABET):
            classes.setdefault(key, set()).add(bool(antimicrobial))
    unique = [key for key, found in classes.items() if len(found) == 1]
    unique.sort(key=lambda key: hashlib.sha256(key.encode()).digest())
    return Labelled(unique, [True in classes[key] for key in unique])


def split(peptides: Labelled) -> tuple[Labelled, Labelled]:
    """The last four fifths to train on, and the first fifth to test with."""
    n = int(HELD_OUT * len(peptides.keys))
    rest = Labelled(peptides.keys[n:], peptides.antimicrobial[n:])
    return rest, peptides.first(n)
