"""Ehrlich functions: by hand, at their optimum, and with noise."""

from statistics import mean, stdev

import pytest
import torch

from mfal.errors import ConfigError, InvalidKeyError
from mfal.testing import EnvironmentChecks
from mfal.types import Oracle
from oracles.ehrlich import LADDER, Ehrlich, EhrlichOracle, make_ehrlich, problem

NOISY, EXACT = LADDER

# A is never followed by C. The motifs are A..B within four places and BC side by side.
SMALL = Ehrlich(
    alphabet="ABC",
    length=8,
    followers=("AB", "ABC", "ABC"),
    motifs=("AAB", "BC"),
    offsets=((0, 1, 3), (0, 1)),
    quantization=2,
)


@pytest.mark.parametrize(
    ("key", "presence"),
    [
        # AAxB is there from the first letter on, BC at the third.
        ("AABBCCCC", [1.0, 1.0]),
        # Two of the three letters of AAxB are there: one of two steps, as 2 * 2 // 3 = 1.
        ("AAAAAAAA", [0.5, 0.0]),
        # One of three letters is no step: 1 * 2 // 3 = 0; B of BC is one step of two.
        ("BCCCCCCC", [0.0, 1.0]),
        ("BBBBBBBB", [0.0, 0.5]),
        # The motif may end with the last letter, and no further on.
        ("CCCBAABB", [1.0, 0.5]),
        ("CCCBBAAB", [0.5, 0.5]),
    ],
)
def test_presence_by_hand(key: str, presence: list[float]) -> None:
    assert SMALL.presence(key) == presence
    assert SMALL(key) == presence[0] * presence[1]


def test_infeasible_sequences_fail_with_the_reason() -> None:
    oracle = EhrlichOracle(SMALL, noise=0.0, seed=0)
    assert isinstance(oracle, Oracle)
    for fidelity in LADDER:
        good, bad = oracle.evaluate(["AABBCCCC", "BBACCCCC"], fidelity)
        assert good.values == (1.0,)
        assert (bad.values, bad.error) == (None, "infeasible: C may not follow A, at position 4")


@pytest.mark.parametrize("seed", range(40))
def test_the_optimum_is_feasible_and_worth_one(seed: int) -> None:
    sizes = {"letters": 3 + seed % 18, "length": 12 + seed, "motifs": 1 + seed % 3}
    function = make_ehrlich(
        **sizes, motif_length=2 + seed % 3, quantization=1 + seed % 2, seed=seed
    )
    optimum = function.optimum()
    assert len(optimum) == sizes["length"]
    assert function.infeasibility(optimum) is None
    assert function(optimum) == 1.0


def test_a_fifth_of_the_pairs_is_banned_and_every_letter_can_be_reached() -> None:
    function = make_ehrlich(20, 32, 2, 4, 4, seed=1)
    assert all(len(after) == 16 for after in function.followers)
    assert all(a in after for a, after in zip(function.alphabet, function.followers, strict=True))
    allowed = torch.tensor(
        [[c in after for c in function.alphabet] for after in function.followers]
    )
    assert (torch.linalg.matrix_power(allowed.double(), 20) > 0).all()


def test_the_same_arguments_make_the_same_function() -> None:
    assert make_ehrlich(20, 32, 2, 4, 4, seed=7) == make_ehrlich(20, 32, 2, 4, 4, seed=7)
    assert make_ehrlich(20, 32, 2, 4, 4, seed=7) != make_ehrlich(20, 32, 2, 4, 4, seed=8)


def test_noise_has_the_size_asked_for_and_stays_with_its_sequence() -> None:
    made = problem(noise=0.25)
    oracle, environment = made.oracle, made.environment()
    generator = torch.Generator().manual_seed(0)
    start = environment.states([oracle.function.optimum()] * 1000)  # type: ignore[attr-defined]
    keys = list(dict.fromkeys(environment.keys(environment.mutate(start, generator))))  # type: ignore[attr-defined]
    noisy, exact = ([o.values[0] for o in oracle.evaluate(keys, f) if o.values] for f in LADDER)
    noise = [a - b for a, b in zip(noisy, exact, strict=True)]
    n = len(noise)
    assert n > 500
    assert abs(mean(noise)) < 4 * 0.25 / n**0.5
    assert abs(stdev(noise) - 0.25) < 4 * 0.25 / (2 * n) ** 0.5
    again = [o.values[0] for o in oracle.evaluate(keys[::-1], NOISY) if o.values]
    assert again[::-1] == noisy
    quiet = problem(noise=0.0).oracle.evaluate(keys[:50], NOISY)
    assert [o.values for o in quiet] == [(value,) for value in exact[:50]]


class TestFeasibleSequences(EnvironmentChecks):
    def environment(self):  # type: ignore[no-untyped-def]  # noqa: ANN201
        return problem(length=8, letters=6, motif_length=3, quantization=3).environment()


def test_infeasible_sequences_are_built_only_where_they_are_asked_for() -> None:
    for feasible_only in (True, False):
        made = problem(feasible_only=feasible_only)
        function = made.oracle.function  # type: ignore[attr-defined]
        environment = made.environment()
        states = environment.initial(200)
        generator = torch.Generator().manual_seed(0)
        for _ in range(function.length):
            mask = environment.forward_mask(states).double()
            states = environment.step(states, mask.multinomial(1, generator=generator)[:, 0])
        faults = [function.infeasibility(key) for key in environment.keys(states)]
        assert feasible_only == all(fault is None for fault in faults)


def test_describe_says_how_much_of_each_motif_is_there() -> None:
    made = problem()
    function = made.oracle.function  # type: ignore[attr-defined]
    assert made.describe is not None
    shown = made.describe(function.optimum())
    assert shown == ", ".join(f"{motif} 100%" for motif in function.motifs)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="do not fit"):
        problem(length=16, motifs=5, motif_length=4)
    with pytest.raises(ConfigError, match="quantization"):
        problem(motif_length=3, quantization=4)
    oracle = problem().oracle
    for key in ("A" * 31, "A" * 31 + "X", ""):
        with pytest.raises(InvalidKeyError, match=repr(key)):
            oracle.evaluate([key], EXACT)
