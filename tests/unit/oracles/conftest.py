"""A stand-in for NUPACK 4 with its documented signatures, and backends made for tests."""

import math
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest


@dataclass(frozen=True)
class StructureEnergy:
    """What `nupack.mfe` lists: the structure prints itself as dot-bracket."""

    structure: Any
    energy: float
    stack_energy: float


class Structure:
    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


class NupackStandin(ModuleType):
    """`Model` and `mfe` as NUPACK documents them; `materials` is what this release knows.

    The energy it gives is minus the number of G and C, so that tests can foresee it.
    """

    __version__ = "4.9.9"

    def __init__(self) -> None:
        super().__init__("nupack")
        self.materials = ("dna04.1", "dna04.2", "dna", "rna95")
        self.models: list[dict[str, object]] = []
        self.folded: list[list[str]] = []
        self.extra: list[StructureEnergy] = []

    def Model(  # noqa: N802 - NUPACK's name
        self,
        *,
        material: str = "rna06",
        ensemble: str = "stacking",
        celsius: float = 37.0,
        sodium: float = 1.0,
        magnesium: float = 0.0,
    ) -> dict[str, object]:
        if material not in self.materials:
            raise ValueError(f"invalid material {material}")
        if not 0.05 <= sodium <= 1.1 or not 0 <= magnesium <= 0.2:
            raise ValueError("salt concentration out of range")
        model: dict[str, object] = {
            "material": material,
            "ensemble": ensemble,
            "celsius": celsius,
            "sodium": sodium,
            "magnesium": magnesium,
        }
        self.models.append(model)
        return model

    def mfe(self, *, strands: list[str], model: dict[str, object]) -> list[StructureEnergy]:
        if not isinstance(strands, list) or model not in self.models:
            raise TypeError("mfe takes a list of strands and a Model")
        self.folded.append(strands)
        energy = -float(sum(strands[0].count(base) for base in "GC"))
        plain = StructureEnergy(Structure("." * len(strands[0])), energy, energy)
        return [plain, *self.extra]


@pytest.fixture
def nupack(monkeypatch: pytest.MonkeyPatch) -> NupackStandin:
    """NUPACK as if it were installed."""
    standin = NupackStandin()
    monkeypatch.setitem(sys.modules, "nupack", standin)
    return standin


@pytest.fixture
def no_nupack(monkeypatch: pytest.MonkeyPatch) -> None:
    """NUPACK as if it were not installed."""
    monkeypatch.setitem(sys.modules, "nupack", None)


class FakeFolding:
    """Folds nothing: A-rich strands fail in the ways in which an engine may fail."""

    label = "fake 1.0"

    def __init__(self) -> None:
        self.folded: list[str] = []

    def fold(self, sequence: str) -> tuple[str, float]:
        self.folded.append(sequence)
        if sequence.startswith("AAAA"):
            raise RuntimeError("the engine gave up")
        if sequence.startswith("CCCC"):
            return "?", math.nan
        if sequence.startswith("GGGG"):
            return "?", math.inf
        return "." * len(sequence), -1.5


@pytest.fixture
def fake_folding() -> FakeFolding:
    return FakeFolding()


@pytest.fixture
def structure_energy() -> type[StructureEnergy]:
    return StructureEnergy
