"""Ehrlich functions: sequence problems with a known optimum, and as hard as one likes.

Stanton et al. 2024 (arXiv 2407.00236): a sequence is feasible if each letter may follow the one
before it. Its value is the product over c motifs of how much of each is there, with the motif's
letters at given distances, counted in q steps; 1 is reached, and never exceeded. An infeasible
sequence has no value (minus infinity in the paper): here a failed outcome, which is paid for. The
environment builds feasible sequences only, unless told otherwise.

The cheap rung gives the same value with Gaussian noise, which is drawn from a hash of the
sequence: asking again gives the same answer.
"""

import hashlib
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from mfal.errors import ConfigError, InvalidKeyError, UnknownNameError
from mfal.features.residues import ALPHABET
from mfal.types import Fidelity, Objective, Outcome, Problem

if TYPE_CHECKING:
    from mfal.envs.base import Environment

LADDER = (Fidelity("noisy", cost=1.0, level=0.5), Fidelity("exact", cost=7.0, level=1.0))
VALUE = Objective("Ehrlich", "1", "max")

_BANNED = 0.2  # share of the letters that may not follow a letter


@dataclass(frozen=True)
class Ehrlich:
    """One Ehrlich function.

    Attributes:
        alphabet: Its letters.
        length: Letters of a sequence.
        followers: For each letter those that may follow it, itself among them.
        motifs: What has to be in a sequence.
        offsets: Of each motif's letters from its first, rising from 0.
        quantization: Steps q in which the presence of a motif is counted.
    """

    alphabet: str
    length: int
    followers: tuple[str, ...]
    motifs: tuple[str, ...]
    offsets: tuple[tuple[int, ...], ...]
    quantization: int

    def __call__(self, key: str) -> float:
        """The value of a feasible sequence, in [0, 1]."""
        return prod(self.presence(key))

    def presence(self, key: str) -> list[float]:
        """How much of each motif is there, at the best place, in [0, 1]."""
        return [
            self._present(key, motif, offsets)
            for motif, offsets in zip(self.motifs, self.offsets, strict=True)
        ]

    def infeasibility(self, key: str) -> str | None:
        """Which letter may not follow which; None for a feasible sequence."""
        after = dict(zip(self.alphabet, self.followers, strict=True))
        for position, (first, second) in enumerate(pairwise(key), start=2):
            if second not in after[first]:
                return f"infeasible: {second} may not follow {first}, at position {position}"
        return None

    def optimum(self) -> str:
        """A feasible sequence of value 1: motif after motif, gaps filled by repetition."""
        letters = ""
        for motif, offsets in zip(self.motifs, self.offsets, strict=True):
            ends = [*offsets[1:], offsets[-1] + 1]
            for letter, start, end in zip(motif, offsets, ends, strict=True):
                letters += letter * (end - start)
        return letters + letters[-1] * (self.length - len(letters))

    def _present(self, key: str, motif: str, offsets: tuple[int, ...]) -> float:
        most = max(
            sum(
                key[start + offset] == letter for letter, offset in zip(motif, offsets, strict=True)
            )
            for start in range(len(key) - offsets[-1])
        )
        return most * self.quantization // len(motif) / self.quantization


def make_ehrlich(
    letters: int, length: int, motifs: int, motif_length: int, quantization: int, seed: int
) -> Ehrlich:
    """A random Ehrlich function; the same for the same arguments.

    A fifth of the letters may not follow a letter. Some order of all letters in a circle stays
    open, and each may repeat, so that every letter can be reached from every other. All motifs
    together are one walk through what is allowed, so that the optimum is feasible.

    Raises:
        ConfigError: for motifs that do not fit into a sequence.
    """
    if motifs * motif_length > length:
        raise ConfigError(
            f"{motifs} motifs of {motif_length} letters do not fit into {length}",
            "length is at least motifs times motif_length",
        )
    if quantization > motif_length:
        raise ConfigError(
            f"quantization is {quantization} and motif_length {motif_length}",
            "the presence of a motif is counted in at most as many steps as it has letters",
        )
    rng = random.Random(seed)
    alphabet = ALPHABET[:letters]
    followers = _followers(alphabet, rng)
    walk = _walk(dict(zip(alphabet, followers, strict=True)), motifs * motif_length, rng)
    span = length // motifs
    return Ehrlich(
        alphabet,
        length,
        followers,
        tuple(walk[i : i + motif_length] for i in range(0, len(walk), motif_length)),
        tuple((0, *sorted(rng.sample(range(1, span), motif_length - 1))) for _ in range(motifs)),
        quantization,
    )


def problem(
    length: Annotated[int, Field(ge=2, le=256)] = 32,
    letters: Annotated[int, Field(ge=3, le=20)] = 20,
    motifs: Annotated[int, Field(ge=1)] = 2,
    motif_length: Annotated[int, Field(ge=2)] = 4,
    quantization: Annotated[int, Field(ge=1)] = 4,
    seed: Annotated[int, Field(ge=0)] = 0,
    noise: Annotated[float, Field(ge=0)] = 0.1,
    feasible_only: bool = True,
) -> Problem:
    """The search for a sequence that holds all motifs.

    Args:
        length: Letters of a sequence.
        letters: Size of the alphabet: the first of the twenty amino acids.
        motifs: How many motifs there are.
        motif_length: Letters of each.
        quantization: Steps in which the presence of a motif is counted, at most motif_length.
        seed: Of motifs, distances and what may follow what.
        noise: Standard deviation of the cheap rung; the target's values lie in [0, 1].
        feasible_only: Whether infeasible sequences cannot be built; otherwise they fail.
    """
    function = make_ehrlich(letters, length, motifs, motif_length, quantization, seed)

    def environment() -> "Environment":
        if feasible_only:
            from mfal.envs.chain import ChainEnvironment

            return ChainEnvironment(
                alphabet=function.alphabet, length=length, followers=function.followers
            )
        from mfal.envs.sequence import SequenceEnvironment

        return SequenceEnvironment(alphabet=function.alphabet, length=length)

    def describe(key: str) -> str:
        found = zip(function.motifs, function.presence(key), strict=True)
        return ", ".join(f"{motif} {share:.0%}" for motif, share in found)

    return Problem(
        name=f"Ehrlich({letters}, {length}, {motifs}, {motif_length})",
        oracle=EhrlichOracle(function, noise, seed),
        environment=environment,
        describe=describe,
    )


class EhrlichOracle:
    """Values of an Ehrlich function, with noise at the cheap rung.

    Args:
        function: The function.
        noise: Standard deviation of the cheap rung.
        seed: Of the noise.
    """

    fidelities = LADDER
    objectives = (VALUE,)

    def __init__(self, function: Ehrlich, noise: float, seed: int) -> None:
        self.function = function
        self.noise = noise
        self.seed = seed

    @property
    def backends(self) -> Mapping[str, str]:
        """Name of a fidelity -> the function, its seed and its noise."""
        name = f"Ehrlich, seed {self.seed}"
        return MappingProxyType({"noisy": f"{name}, noise {self.noise:g}", "exact": name})

    def evaluate(self, keys: Sequence[str], fidelity: Fidelity) -> list[Outcome]:
        """One outcome per key, in order; an infeasible sequence is a failed one.

        A key of another length or with another letter raises InvalidKeyError.
        """
        if fidelity.name not in self.backends:
            raise UnknownNameError(
                f"fidelity {fidelity.name!r} is not one of the ladder",
                f"choose from {', '.join(f.name for f in LADDER)}",
            )
        for key in keys:
            self._check(key)
        return [self._answer(key, fidelity.name) for key in keys]

    def _check(self, key: str) -> None:
        f = self.function
        if len(key) != f.length or not set(key) <= set(f.alphabet):
            raise InvalidKeyError(
                f"sequence {key!r} is not of this problem",
                f"it has {f.length} of the letters {f.alphabet}",
            )

    def _answer(self, key: str, fidelity: str) -> Outcome:
        start = time.perf_counter()
        fault = self.function.infeasibility(key)
        if fault is not None:
            return Outcome(None, fault, time.perf_counter() - start)
        value = self.function(key)
        if fidelity == "noisy":
            value += self.noise * _gauss(f"{self.seed} {key}")
        return Outcome((value,), None, time.perf_counter() - start)


def _gauss(text: str) -> float:
    """A standard normal number that depends on nothing but `text`."""
    digest = hashlib.sha256(text.encode()).digest()
    return random.Random(int.from_bytes(digest[:8])).gauss()


def _followers(alphabet: str, rng: random.Random) -> tuple[str, ...]:
    circle = rng.sample(alphabet, len(alphabet))
    following = dict(zip(circle, [*circle[1:], circle[0]], strict=True))
    banned = max(1, round(_BANNED * len(alphabet)))
    allowed = []
    for letter in alphabet:
        others = [other for other in alphabet if other not in (letter, following[letter])]
        out = set(rng.sample(others, min(banned, len(others))))
        allowed.append("".join(other for other in alphabet if other not in out))
    return tuple(allowed)


def _walk(after: Mapping[str, str], steps: int, rng: random.Random) -> str:
    """So many letters, each allowed after the one before it and other than it."""
    walk = rng.choice([*after])
    while len(walk) < steps:
        walk += rng.choice([letter for letter in after[walk[-1]] if letter != walk[-1]])
    return walk
