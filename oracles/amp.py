"""Antimicrobial peptides: the sequence that most probably kills microbes.

The ladder has three rungs, classifiers of one kind that learn from 10, 40 and 100 % of the same
labelled peptides. The value is the probability of being antimicrobial, which is maximised. The
classifiers are fitted at the first query, in seconds, and kept (`amp_cache.py`). Costs are
declared figures in campaign units, 1, 3 and 7 by default.
"""

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from mfal.errors import ConfigError, InvalidKeyError, UnknownNameError
from mfal.features.residues import ALPHABET, net_charge
from mfal.types import Fidelity, Objective, Outcome, Problem
from oracles.amp_cache import default_folder, fingerprint, load_or_train
from oracles.amp_data import LONGEST, labelled_peptides, require_installed
from oracles.peptide_drawing import draw_peptide

if TYPE_CHECKING:
    from mfal.envs.base import Environment
    from oracles.amp_classifier import Classifier

LADDER = (
    Fidelity("svm-10", cost=1.0, level=0.1),
    Fidelity("svm-40", cost=3.0, level=0.4),
    Fidelity("svm-100", cost=7.0, level=1.0),
)
PROBABILITY = Objective("antimicrobial", "probability", "max")

Length = Annotated[int, Field(ge=1, le=LONGEST)]


def problem(min_length: Length = 1, max_length: Length = LONGEST) -> Problem:
    """The search for the peptide that is most probably antimicrobial.

    Args:
        min_length: Fewest residues of a candidate.
        max_length: Most residues, at most 50: the classifiers know no longer ones.

    Raises:
        MissingDependencyError: if modlamp or scikit-learn is missing.
    """
    if min_length > max_length:
        raise ConfigError(
            f"min_length is {min_length} and max_length {max_length}",
            "a peptide has at least min_length and at most max_length residues",
        )
    oracle = AmpOracle()

    def environment() -> "Environment":
        from mfal.envs.variable import VariableSequenceEnvironment

        return VariableSequenceEnvironment(
            alphabet=ALPHABET, min_length=min_length, max_length=max_length
        )

    return Problem(
        name=f"antimicrobial peptides of {min_length} to {max_length} residues",
        oracle=oracle,
        environment=environment,
        describe=describe,
        draw=draw_peptide,
    )


class AmpOracle:
    """Probabilities of being antimicrobial.

    Args:
        folder: Where fitted classifiers are kept.
    """

    fidelities = LADDER
    objectives = (PROBABILITY,)

    def __init__(self, folder: Path | None = None) -> None:
        require_installed("sklearn")
        training, _ = labelled_peptides()
        self._folder = folder or default_folder()
        digest = fingerprint(training)[:8]
        self._backends = MappingProxyType(
            {
                f.name: f"SVM on {int(f.level * len(training.keys))} peptides of APD3 and "
                f"UniProt, {digest}"
                for f in LADDER
            }
        )

    @property
    def backends(self) -> Mapping[str, str]:
        """Name of a fidelity -> its classifier: training peptides, hash of data and code."""
        return self._backends

    def evaluate(self, keys: Sequence[str], fidelity: Fidelity) -> list[Outcome]:
        """One outcome per key, in order; the first call fits the classifiers or reads them.

        A key that is no peptide of 1 to 50 residues raises InvalidKeyError before any is scored.
        """
        for key in keys:
            check_peptide(key)
        if fidelity.name not in self._backends:
            raise UnknownNameError(
                f"fidelity {fidelity.name!r} is not one of the peptide ladder",
                f"choose from {', '.join(f.name for f in LADDER)}",
            )
        if not keys:
            return []
        classifier = self._classifiers[fidelity.name]
        return [_outcome(key, classifier) for key in keys]

    @cached_property
    def _classifiers(self) -> "dict[str, Classifier]":
        return load_or_train(self._folder)


def check_peptide(key: str) -> None:
    """Raise InvalidKeyError unless `key` is 1 to 50 of the twenty amino acids."""
    if not 1 <= len(key) <= LONGEST:
        raise InvalidKeyError(
            f"peptide {key!r} has {len(key)} residues", f"a candidate has 1 to {LONGEST}"
        )
    for position, letter in enumerate(key, start=1):
        if letter not in ALPHABET:
            raise InvalidKeyError(
                f"peptide {key!r} has the letter {letter!r} at position {position}",
                f"the amino acids are {ALPHABET}",
            )


def describe(key: str) -> str:
    """Net charge of side chains at pH 7, and largest hydrophobic moment over 11 residues."""
    from mfal.features.peptides import hydrophobic_moment

    check_peptide(key)
    charge, moment = net_charge(key), hydrophobic_moment(key)
    return f"net charge {charge:+.1f}, hydrophobic moment {moment:.2f}"


def _outcome(key: str, classifier: "Classifier") -> Outcome:
    from oracles.amp_classifier import descriptors

    start = time.perf_counter()
    # One at a time: in a batch, sums are taken in an order that depends on its size.
    value = float(classifier.probability(descriptors([key]))[0])
    return Outcome((value,), None, time.perf_counter() - start)
