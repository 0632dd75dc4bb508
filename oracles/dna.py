"""DNA aptamers: the strand of a given length that folds most stably.

The ladder has two rungs. ``transformer`` is a small network that imitates folding and is
declared cheap; ``folding`` computes the minimum free energy (kcal/mol, lower is better) with
NUPACK or ViennaRNA. Costs are declared figures in campaign units, 1 and 7 by default.
"""

import math
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from mfal.errors import ConfigError, InvalidKeyError, UnknownNameError
from mfal.types import Fidelity, Objective, Outcome, Problem
from oracles.dna_weights import TRAINED_LENGTH, WEIGHTS, transformer_label
from oracles.folding import ALPHABET, FoldingBackend, check_letters, select_backend

if TYPE_CHECKING:
    from mfal.envs.base import Environment
    from oracles.dna_transformer import DnaTransformer

TRANSFORMER = Fidelity("transformer", cost=1.0, level=0.5)
FOLDING = Fidelity("folding", cost=7.0, level=1.0)
ENERGY = Objective("energy", "kcal/mol", "min")


def problem(
    length: int = TRAINED_LENGTH,
    backend: Literal["auto", "nupack", "viennarna"] = "auto",
) -> Problem:
    """The search for the strand of `length` bases with the lowest folding energy.

    Args:
        length: Number of bases. The transformer that ships was trained on 30.
        backend: Engine of the target fidelity; ``auto`` is NUPACK where it is installed, and
            ViennaRNA elsewhere. That it is there is checked here, before anything is spent.
    """
    if length != TRAINED_LENGTH:
        raise ConfigError(
            f"length is {length}, and the transformer was trained on {TRAINED_LENGTH} bases",
            f"set length: {TRAINED_LENGTH}, or write a problem of your own on oracles.folding",
        )
    oracle = DnaOracle(select_backend(backend), length)

    def environment() -> "Environment":
        from mfal.envs.sequence import SequenceEnvironment

        return SequenceEnvironment(alphabet=ALPHABET, length=length)

    return Problem(
        name=f"DNA {length}-mers",
        oracle=oracle,
        environment=environment,
        describe=oracle.describe,
        draw=oracle.draw,
    )


class DnaOracle:
    """Folding energies of DNA strands of one length, in kcal/mol.

    Args:
        folding: Backend of the target fidelity.
        length: Number of bases of every candidate.
        weights: Weights of the transformer; read at the first query that needs them.
    """

    fidelities = (TRANSFORMER, FOLDING)
    objectives = (ENERGY,)

    def __init__(
        self, folding: FoldingBackend, length: int = TRAINED_LENGTH, weights: Path = WEIGHTS
    ) -> None:
        self._folding = folding
        self._length = length
        self._weights = weights
        self._backends = MappingProxyType(
            {TRANSFORMER.name: transformer_label(weights), FOLDING.name: folding.label}
        )

    @property
    def backends(self) -> Mapping[str, str]:
        """Name of a fidelity -> engine, version and settings behind it."""
        return self._backends

    def evaluate(self, keys: Sequence[str], fidelity: Fidelity) -> list[Outcome]:
        """One outcome per key, in order.

        A key of the wrong length or with a letter that is not DNA raises InvalidKeyError before
        any is scored; what goes wrong with a single strand is a failed outcome of that strand.
        """
        for key in keys:
            self._check(key)
        if fidelity.name == TRANSFORMER.name:
            return self._evaluate_transformer(keys)
        if fidelity.name == FOLDING.name:
            return [self._evaluate_folding(key) for key in keys]
        raise UnknownNameError(
            f"fidelity {fidelity.name!r} is not one of the DNA ladder",
            f"choose from {', '.join(f.name for f in self.fidelities)}",
        )

    def describe(self, key: str) -> str:
        """The structure that the folding backend finds, in dot-bracket notation."""
        self._check(key)
        return self._folding.fold(key)[0]

    def draw(self, key: str) -> str:
        """That structure as a picture with its energy below, the text of an SVG file."""
        from oracles.dna_drawing import draw_strand

        self._check(key)
        structure, energy = self._folding.fold(key)
        return draw_strand(key, structure, f"{energy:.2f} kcal/mol".replace("-", "−"))

    def _check(self, key: str) -> None:
        check_letters(key)
        if len(key) != self._length:
            raise InvalidKeyError(
                f"sequence {key!r} has {len(key)} bases",
                f"every candidate of this problem has {self._length}",
            )

    def _evaluate_transformer(self, keys: Sequence[str]) -> list[Outcome]:
        transformer = self._transformer
        start = time.perf_counter()
        energies = transformer.predict(keys)
        seconds = (time.perf_counter() - start) / max(len(keys), 1)
        return [_outcome(energy, seconds) for energy in energies]

    def _evaluate_folding(self, key: str) -> Outcome:
        start = time.perf_counter()
        try:
            energy = self._folding.fold(key)[1]
        except Exception as error:  # the engine is native code of others: any failure is data
            return Outcome(None, f"{type(error).__name__}: {error}", time.perf_counter() - start)
        return _outcome(energy, time.perf_counter() - start)

    @cached_property
    def _transformer(self) -> "DnaTransformer":
        from oracles.dna_transformer import load

        return load(self._weights)


def _outcome(energy: float, seconds: float) -> Outcome:
    if not math.isfinite(energy):
        return Outcome(None, f"the energy is {energy}", seconds)
    return Outcome((energy,), None, seconds)
