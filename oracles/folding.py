"""Backends that fold one DNA strand: its most stable structure and that structure's free energy.

Two engines are known. ViennaRNA, with the DNA parameters of Mathews 2004, comes with the
package. NUPACK 4 is licence-gated and used where it is installed. Neither stands in for the
other in silence: every answer carries the label of the backend that gave it.
"""

import importlib
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Literal, Protocol

from mfal.errors import ConfigError, InvalidKeyError, MfalError, MissingDependencyError

ALPHABET = "ACGT"
CELSIUS = 37.0

BackendName = Literal["auto", "nupack", "viennarna"]

_LOAD = threading.Lock()
_LOAD_ATTEMPTS = 100
# A sequence and its energy in kcal/mol under the parameters and the model that ViennaFolding
# wants; every other parameter set that ViennaRNA ships gives another energy.
_PROBE = "GTCACGGGTGCGTGGTGCGCAGTGGAGACA"
_PROBE_ENERGY = -4.5


class FoldingBackend(Protocol):
    """Folds single strands of DNA."""

    @property
    def label(self) -> str:
        """Engine, version, parameters and conditions, as stored with every outcome."""
        ...

    def fold(self, sequence: str) -> tuple[str, float]:
        """Dot-bracket structure of minimum free energy, and that energy in kcal/mol."""
        ...


def check_letters(sequence: str) -> None:
    """Raise InvalidKeyError unless the sequence is one or more of A, C, G and T.

    Folding engines take other letters without complaint and return a number for them.
    """
    if not sequence:
        raise InvalidKeyError("the sequence is empty", f"write it with the letters {ALPHABET}")
    for position, letter in enumerate(sequence, start=1):
        if letter not in ALPHABET:
            raise InvalidKeyError(
                f"sequence {sequence!r}: letter {letter!r} at position {position} is not DNA",
                f"only the upper-case letters {ALPHABET} are known",
            )


class ViennaFolding:
    """ViennaRNA: Mathews 2004 DNA parameters, 37 °C, 1 M salt, dangles on both sides (d2).

    G-T counts as a mismatch (``noGU``), and the bonuses for special hairpins are off
    (``special_hp``): of the settings tried, these rank 2,113 30-mers most like NUPACK
    (Spearman .955).

    ViennaRNA keeps one parameter set per process, which any thread may replace. The set wanted
    here is therefore captured once, in an object, and put into every fold compound. Capturing
    it leaves the DNA set as the process's own: code that folds RNA in the same process has to
    load its parameters after this.
    """

    def __init__(self) -> None:
        self._rna = _import("RNA", "pip install ViennaRNA")
        self._model = self._rna.md()
        self._model.temperature = CELSIUS
        self._model.dangles = 2
        self._model.noGU = 1
        self._model.special_hp = 0
        self._capture_parameters()

    @property
    def label(self) -> str:
        """See `FoldingBackend.label`."""
        version = self._rna.__version__
        return f"ViennaRNA {version}, DNA Mathews 2004, MFE, {CELSIUS:g} °C, d2, no GU"

    def fold(self, sequence: str) -> tuple[str, float]:
        """See `FoldingBackend.fold`; the engine counts in steps of 0.01 kcal/mol."""
        check_letters(sequence)
        compound = self._rna.fold_compound(sequence, self._model)
        compound.params_subst(self._parameters)
        structure, energy = compound.mfe()
        return structure, round(float(energy), 2)

    def _capture_parameters(self) -> None:
        """Keep the DNA parameters as an object that no later load can change.

        The lock keeps loads of this module apart. Other code may still load a set of its own
        between the two steps, so what was captured has to give the probe's known energy.
        """
        for _ in range(_LOAD_ATTEMPTS):
            with _LOAD, _uninterrupted():
                self._rna.params_load_DNA_Mathews2004()
                self._parameters = self._rna.param(self._model)
            if self.fold(_PROBE)[1] == _PROBE_ENERGY:
                return
        raise MfalError(
            f"{self.label}: the energy of {_PROBE} is not {_PROBE_ENERGY} kcal/mol",
            "another thread keeps loading other parameters, or this release changed its DNA set",
        )


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Keep the interpreter from switching threads while a parameter set loads (4 ms)."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.05)
    try:
        time.sleep(1e-4)  # a thread that waits already does so with the old interval: let it run
        yield
    finally:
        sys.setswitchinterval(before)


class NupackFolding:
    """NUPACK 4: DNA at 37 °C, 1 M sodium, no magnesium, ensemble with stacking.

    Asks for the parameters ``dna04.1``, which earlier releases call ``dna04`` or just ``dna``;
    the name that was accepted is part of the label. The energy is that of the best structure
    with all its stacking states, as `nupack.mfe` gives it.

    Written against NUPACK's documented interface and tested with a stand-in that has the
    documented signatures. It has never been run against the real package, which is licensed
    individually.
    """

    materials = ("dna04.1", "dna04", "dna")

    def __init__(self) -> None:
        self._nupack = _import(
            "nupack",
            "NUPACK 4 is licence-gated: register at nupack.org, then install the wheel it offers; "
            "or set backend: viennarna",
        )
        self._material, self._model = self._accepted_model()

    def _accepted_model(self) -> tuple[str, Any]:
        """The first of `materials` that this release knows, and its model."""
        refusals = []
        for material in self.materials:
            try:
                model = self._nupack.Model(
                    material=material,
                    ensemble="stacking",
                    celsius=CELSIUS,
                    sodium=1.0,
                    magnesium=0.0,
                )
            except ValueError as error:
                refusals.append(f"{material}: {error}")
                continue
            return material, model
        raise MfalError(
            f"NUPACK knows none of the DNA parameter sets asked for ({'; '.join(refusals)})",
            "install NUPACK 4, or set backend: viennarna",
        )

    @property
    def label(self) -> str:
        """See `FoldingBackend.label`."""
        version = getattr(self._nupack, "__version__", "4")
        return f"NUPACK {version}, {self._material}, MFE, {CELSIUS:g} °C, Na 1 M, Mg 0 M"

    def fold(self, sequence: str) -> tuple[str, float]:
        """See `FoldingBackend.fold`; of structures that tie, the first of lowest energy."""
        check_letters(sequence)
        found = self._nupack.mfe(strands=[sequence], model=self._model)
        best = min(found, key=lambda entry: float(entry.energy))
        return str(best.structure), float(best.energy)


def select_backend(name: BackendName = "auto") -> FoldingBackend:
    """The folding backend of that name; ``auto`` is NUPACK where it imports, else ViennaRNA."""
    if name == "nupack":
        return NupackFolding()
    if name == "viennarna":
        return ViennaFolding()
    if name != "auto":
        raise ConfigError(
            f"backend {name!r} is not known", "choose one of auto, nupack and viennarna"
        )
    try:
        return NupackFolding()
    except MissingDependencyError:
        return ViennaFolding()


def _import(module: str, hint: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(f"{module} does not import ({error})", hint) from error
