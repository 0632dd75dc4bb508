"""How alike two candidates are, by their keys: 1 for the same, 0 for nothing in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mfal.errors import ConfigError
from mfal.registry import BUILTIN, build
from mfal.sections import Component
from mfal.types import Problem
from mfal.user_code import user_code

if TYPE_CHECKING:
    from Bio.Align import Alignment, PairwiseAligner

_ABOUT_0, _ABOUT_1 = -1e-6, 1 + 1e-6
"""Bounds of a similarity as it is computed, with the rounding errors of single precision."""


class Similarity(ABC):
    """A symmetric measure in [0, 1] of two keys; 1 for a key with itself."""

    @abstractmethod
    def __call__(self, a: str, b: str) -> float:
        """How alike a and b are; higher is more alike."""

    def matrix(self, keys: Sequence[str], others: Sequence[str]) -> NDArray[np.float32]:
        """How alike n keys and m others are, ``n x m``; override it where that can be faster."""
        found = [[self(key, other) for other in others] for key in keys]
        return np.array(found, dtype=np.float32).reshape(len(keys), len(others))


class EditSimilarity(Similarity):
    """1 - Levenshtein distance / length of the longer key."""

    def __call__(self, a: str, b: str) -> float:
        """Share of the longer key that needs no insertion, deletion or substitution."""
        from rapidfuzz.distance import Levenshtein

        return Levenshtein.normalized_similarity(a, b)

    def matrix(self, keys: Sequence[str], others: Sequence[str]) -> NDArray[np.float32]:
        """Of n keys and m others, ``n x m``: some ten million pairs a second."""
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import cdist

        if not keys or not others:
            return np.zeros((len(keys), len(others)), dtype=np.float32)
        scorer = Levenshtein.normalized_similarity
        return cdist(keys, others, scorer=scorer, dtype=np.float32)


class AlignmentIdentity(Similarity):
    """Share of equal letters in a global alignment, as the published DNA figures compute it.

    Needleman-Wunsch with 5 for a match, -4 for a mismatch and -10 for a gap of one place, also
    at the ends (NUC.4.4 with biotite's defaults, as in the evaluation of arXiv 2306.11715);
    then the equal places over the alignment's places without gaps at its ends. Of alignments
    with the same score it takes the first, which may be another than biotite's: single pairs
    may differ, their means do not. Some 70 microseconds a pair of 30 letters, also in a matrix.
    """

    def __call__(self, a: str, b: str) -> float:
        """Share of equal places; random DNA 30-mers have .44."""
        if not a or not b:
            return float(a == b)
        # In one order: which of the best alignments comes first depends on it.
        found = self._aligner.align(min(a, b), max(a, b))  # type: ignore[no-untyped-call]
        return aligned_identity(found[0])

    @cached_property
    def _aligner(self) -> "PairwiseAligner":
        return _global_aligner(match=5.0, mismatch=-4.0, gap=-10.0)


class Tanimoto(Similarity):
    """Common over all atom environments of two molecules, as Morgan bits see them.

    Needs the ``molecules`` extra.

    Args:
        notation: What keys are written in.
        radius: Bonds from an environment's centre to its edge.
        size: Number of bits.
    """

    def __init__(
        self,
        *,
        notation: Literal["selfies", "smiles"] = "selfies",
        radius: Annotated[int, Field(ge=0, le=4)] = 2,
        size: Annotated[int, Field(ge=64, le=16_384)] = 2048,
    ) -> None:
        from mfal.features.morgan import MorganCounts

        self._counts = MorganCounts(notation=notation, radius=radius, size=size)
        self._known: dict[str, frozenset[int]] = {}

    def __call__(self, a: str, b: str) -> float:
        """Environments that both have over those that either has."""
        first, second = self._bits(a), self._bits(b)
        either = len(first | second)
        return len(first & second) / either if either else 1.0

    def matrix(self, keys: Sequence[str], others: Sequence[str]) -> NDArray[np.float32]:
        """Of n keys and m others, ``n x m``, from one product of their bits."""
        first, second = self._rows(keys), self._rows(others)
        both = first @ second.T
        either = first.sum(axis=1)[:, None] + second.sum(axis=1) - both
        alike: NDArray[np.float32] = np.divide(
            both, either, out=np.ones_like(both), where=either > 0
        )
        return alike

    def _rows(self, keys: Sequence[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(keys), self._counts.width), dtype=np.float32)
        for row, key in zip(rows, keys, strict=True):
            row[list(self._bits(key))] = 1.0
        return rows

    def _bits(self, key: str) -> frozenset[int]:
        if key not in self._known:
            self._known[key] = self._counts.bits(key)
        return self._known[key]


class GridSimilarity(Similarity):
    """1 - largest difference of a coordinate / (side - 1), of points such as ``3,0,7,1``.

    Args:
        problem: Its environment says how many points are along each axis: ``side``.
    """

    def __init__(self, problem: Problem) -> None:
        side: object = getattr(problem.environment(), "side", None)
        if not isinstance(side, int) or side < 2:
            raise ConfigError(
                f"{problem.name}'s environment has the side {side!r}",
                "the measure is for grids: give the environment `side`, the points along each "
                "axis, or name another measure",
            )
        self._steps = side - 1

    def __call__(self, a: str, b: str) -> float:
        """0 for points at opposite borders of some axis, and 1 for the same point."""
        gaps = (abs(x - y) for x, y in zip(_point(a), _point(b), strict=True))
        return 1 - max(gaps) / self._steps

    def matrix(self, keys: Sequence[str], others: Sequence[str]) -> NDArray[np.float32]:
        """Of n keys and m others, ``n x m``, one axis after the other."""
        gaps = np.zeros((len(keys), len(others)), dtype=np.float32)
        if not gaps.size:
            return gaps
        first, second = (
            np.array([*map(_point, some)], dtype=np.float32) for some in (keys, others)
        )
        for x, y in zip(first.T, second.T, strict=True):
            np.maximum(gaps, np.abs(np.subtract.outer(x, y)), out=gaps)
        return 1 - gaps / np.float32(self._steps)


def similarity_of(problem: Problem, given: Component | None = None) -> Similarity:
    """The measure that is given, or the problem's own."""
    component = given or Component(name=problem.similarity)
    found: Similarity = build("similarity", component, problem=problem)
    is_own = component.name not in BUILTIN["similarity"]
    return Guarded(found, component.name) if is_own else found


class Guarded(Similarity):
    """A similarity of a user's own: what it raises says where, as `user_code` does.

    Raises:
        ConfigError: where it gives something else than numbers in [0, 1]. Of NaN, which is above
            no threshold, any two candidates would be different.
    """

    def __init__(self, similarity: Similarity, name: str) -> None:
        self._similarity, self._what = similarity, f"similarity {name!r}"

    def __call__(self, a: str, b: str) -> float:
        """As the similarity itself."""
        with user_code(self._what, "mend its __call__()", self._similarity):
            alike = self._similarity(a, b)
            if _ABOUT_0 <= alike <= _ABOUT_1:
                return alike
        raise ConfigError(
            f"{self._what}: gives {alike} of {a!r} and {b!r}",
            "have its __call__() give a number from 0 to 1",
        )

    def matrix(self, keys: Sequence[str], others: Sequence[str]) -> NDArray[np.float32]:
        """As the similarity itself, ``n x m``."""
        shape = (len(keys), len(others))
        with user_code(self._what, "mend its matrix()", self._similarity):
            alike = np.asarray(self._similarity.matrix(keys, others))
            if alike.shape == shape and bool(((alike >= _ABOUT_0) & (alike <= _ABOUT_1)).all()):
                return alike
        raise ConfigError(
            f"{self._what}: gives numbers of shape {alike.shape} from {alike.min(initial=1.0)} to "
            f"{alike.max(initial=0.0)} of {shape[0]} candidates and {shape[1]} others",
            "have its matrix() give a row for each candidate, and in it a number from 0 to 1 for "
            "each other",
        )


class Remembered(Similarity):
    """A similarity that is computed once per pair."""

    def __init__(self, similarity: Similarity) -> None:
        self._similarity = similarity
        self._known: dict[tuple[str, str], float] = {}

    def __call__(self, a: str, b: str) -> float:
        """As the similarity itself."""
        pair = (a, b) if a <= b else (b, a)
        if pair not in self._known:
            self._known[pair] = self._similarity(*pair)
        return self._known[pair]


def different(
    keys: Sequence[str], similarity: Similarity, at_most: float, most: int | None = None
) -> list[str]:
    """Greedy from the first on: the keys that differ from every one taken before them.

    Args:
        keys: Best first.
        at_most: Similarity of two keys that still count as different.
        most: Stop when so many are taken.
    """
    taken: list[str] = []
    for key in keys:
        if len(taken) == most:
            break
        if not any(are_alike(similarity(key, other), at_most) for other in taken):
            taken.append(key)
    return taken


def are_alike(similarity: float, at_most: float) -> bool:
    """Whether two keys of this similarity are more alike than that, by more than rounding."""
    return similarity > at_most + 1e-9


def mean_similarity(keys: Sequence[str], similarity: Similarity) -> float | None:
    """Mean over all pairs of different places in `keys`; lower is more diverse.

    None for fewer than two keys.
    """
    pairs = [similarity(a, b) for i, a in enumerate(keys) for b in keys[:i]]
    return sum(pairs) / len(pairs) if pairs else None


def aligned_identity(alignment: "Alignment") -> float:
    """Equal places over all places of an alignment that lie between its ends' gaps."""
    first, second = alignment.sequences
    # Runs of places with neither or one sequence at a gap: where they start, and their lengths.
    corners = alignment.coordinates.T.tolist()
    runs = [(i, j, to_i - i, to_j - j) for (i, j), (to_i, to_j) in pairwise(corners)]
    matched = [place for place, (_, _, m, n) in enumerate(runs) if m and n]
    if not matched:
        return 0.0
    inner = runs[matched[0] : matched[-1] + 1]
    equal: int = sum(
        x == y
        for i, j, m, n in inner
        if m and n
        for x, y in zip(first[i : i + m], second[j : j + n], strict=True)
    )
    places: int = sum(max(m, n) for _, _, m, n in inner)
    return equal / places


def _point(key: str) -> list[int]:
    return [int(coordinate) for coordinate in key.split(",")]


def _global_aligner(match: float, mismatch: float, gap: float) -> "PairwiseAligner":
    from Bio.Align import PairwiseAligner

    aligner = PairwiseAligner(mode="global")  # type: ignore[no-untyped-call]
    aligner.match_score, aligner.mismatch_score, aligner.gap_score = match, mismatch, gap
    return aligner
