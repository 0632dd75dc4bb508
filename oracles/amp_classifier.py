"""A support vector machine as arrays: what it takes to answer, without the library that fits it.

The kernel is ``exp(-γ |z - z'|²)`` on standardised descriptors, and a logistic function turns the
distance from the boundary into a probability (Platt, Advances in Large Margin Classifiers, 61
(1999)). All of it is smooth, so any change of a peptide changes the value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mfal.features.peptides import PeptideDescriptors

Array = NDArray[np.float64]

GAPS = (1, 2, 3, 4)
"""Pairs of neighbours, of residues on one side of a strand (2), and of a helix (3 and 4)."""


def descriptors(keys: list[str]) -> Array:
    """What a classifier sees of peptides, ``n x p``."""
    found: Array = PeptideDescriptors(gaps=GAPS)(keys).numpy()
    return found


@dataclass(frozen=True)
class Classifier:
    """A fitted classifier.

    Attributes:
        mean: Centre of each descriptor, ``p``.
        scale: What each is divided by after that, ``p``.
        vectors: Standardised support vectors, ``s x p``.
        weights: Signed weight of each, ``s``.
        constants: γ of the kernel, the bias, and slope and intercept of the logistic function.
    """

    mean: Array
    scale: Array
    vectors: Array
    weights: Array
    constants: Array

    def probability(self, rows: Array) -> Array:
        """Of being antimicrobial, for ``n x p`` descriptors; ``n`` in [0, 1]."""
        gamma, bias, slope, intercept = self.constants
        z = (rows - self.mean) / self.scale
        squared = (z**2).sum(axis=1)[:, None] + self._vector_norms
        kernel = np.exp(-gamma * (squared - 2 * z @ self.vectors.T))
        found: Array = 1 / (1 + np.exp(-slope * (kernel @ self.weights + bias) - intercept))
        return found

    @cached_property
    def _vector_norms(self) -> Array:
        """Squared length of each support vector, ``s``."""
        found: Array = (self.vectors**2).sum(axis=1)
        return found

    def arrays(self, prefix: str) -> dict[str, Array]:
        """Its arrays under names that begin with `prefix`."""
        return {f"{prefix}.{f.name}": getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], prefix: str) -> Self:
        """The inverse of `arrays`; raises KeyError where one is missing."""
        return cls(**{f.name: arrays[f"{prefix}.{f.name}"] for f in fields(cls)})
