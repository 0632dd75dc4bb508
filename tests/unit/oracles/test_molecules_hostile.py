"""Texts meant to break the molecules' oracle: each has a value, or a reason why it has none."""

import math
import random
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from mfal.envs.selfies import SELFIES_TOKENS
from mfal.types import Outcome
from oracles.molecules import MoleculeOracle
from tests.support import ROOT

LIMIT_SECONDS = 120.0  # of process time, for one text at any rung; the embedding's own is 20

FOREIGN = ("[Si]", "[Se]", "[I]", "[Fe]", "[U]", "[Og]", "[He]", "[Na]", "[As]", "[Pt]", "[H]")
CHARGED = ("[N+1]", "[O-1]", "[NH4+1]", "[C+1]", "[B-1]", "[S+1]", "[C-2]", "[H+1]", "[Fe+9]")
RADICAL = ("[CH3]", "[NH1]", "[OH0]", "[CH2]", "[CH0]", "[N]", "[SH0]", "[BH1]", "[13CH3]")
RINGS = ("[Ring1]", "[=Ring1]", "[Ring2]", "[=Ring2]", "[#Ring1]", "[Ring3]")
CAGES = (
    # Every atom bound to those one, two and three before it, and worse.
    "[C][C][Ring1][C]" * 5,
    "[C]" * 4 + "[C][Ring1][Ring1][Ring1][Ring2]" * 4,
    "[C][=C][C][Ring1][Ring1][=C][Ring1][Ring1][Ring1][Ring2]" * 3,
    "[B]" * 3 + "[B][Ring1][Ring1][Ring1][C]" * 5,
    "[P][P][P][P][Ring1][Ring2][Ring1][Ring1][=Ring1][C]",
    "[C][#C][C][#C][C][#C][Ring1][=Branch1]",
)
# A ring of three and one of four, bound to each other the wrong way round.
TWISTED = "[F][C@][C][C@][Ring1][Ring1][Branch1][C][F][C][Ring1][Branch1]"
UNKNOWN_BENDS = "[P][O][C][S][Branch1][C][S][=N][C][N][=C][=N][O][Ring1][Branch2]"
UNICODE = ("☃", "[☃]", "[С]", "［C］", "[C]\u200b[C]", "\x00", "[C]\n[O]", "𝔠", "[C]\ud800", "é[C]")
SHAPELESS = ("", " ", "C", "c1ccccc1", "[", "]", "[]", "[[C]]", "[C", "C]", "[C][nop]", "[Xx]")


def _junk(source: random.Random) -> str:
    return "".join(chr(source.randrange(32, 0x3000)) for _ in range(source.randrange(40)))


def _mixed(source: random.Random) -> str:
    pool = [*SELFIES_TOKENS, *FOREIGN, *CHARGED, *RADICAL, *RINGS, "[nop]", "."]
    return "".join(source.choices(pool, k=source.randrange(1, 20)))


def _published(source: random.Random) -> str:
    return "".join(source.choices(SELFIES_TOKENS, k=source.randrange(1, 30)))


def _fragments(source: random.Random) -> str:
    return ".".join(_published(source) for _ in range(source.randrange(2, 4)))


def _charged(source: random.Random) -> str:
    return "[C]" * source.randrange(4) + source.choice(CHARGED) + "[C]" * source.randrange(3)


def _radical(source: random.Random) -> str:
    return source.choice(RADICAL) + "[C]" * source.randrange(3) + source.choice(["", *RADICAL])


def _foreign(source: random.Random) -> str:
    return "[C]" * source.randrange(3) + source.choice(FOREIGN) + "[C]" * source.randrange(3)


def _huge_ring(source: random.Random) -> str:
    return "[C]" * source.randrange(40, 300) + source.choice(RINGS) + "[P]" * 3


def _cage(source: random.Random) -> str:
    tokens = source.choices(["[C]", "[=C]", "[B]", "[P]", "[N]"], k=source.randrange(4, 9))
    closures = [source.choice(RINGS[:2]) + f"[Ring{source.randrange(1, 3)}]" for _ in tokens]
    return "".join(token + closure for token, closure in zip(tokens, closures, strict=True))


def _long(source: random.Random) -> str:
    return source.choice(["[C]", "[=N]", "x", "[", "[C][Ring1]"]) * source.randrange(200, 200_000)


MAKERS: tuple[Callable[[random.Random], str], ...] = (
    *(_junk, _mixed, _published, _fragments, _charged),
    *(_radical, _foreign, _huge_ring, _cage, _long),
)


def hostile(n: int, seed: int = 0) -> list[str]:
    """Different texts: those listed above first, then of all kinds in turn."""
    source = random.Random(seed)
    singles = [f"[{symbol}]" for symbol in ("B", "C", "N", "O", "F", "P", "S", "Cl", "Br")]
    listed = [*SHAPELESS, *UNICODE, *singles, *CAGES, *FOREIGN, *CHARGED, *RADICAL]
    texts = dict.fromkeys(listed)
    while len(texts) < n:
        for make in MAKERS:
            texts[make(source)] = None
    return list(texts)[:n]


def _check(text: str, outcome: Outcome) -> None:
    if outcome.values is None:
        assert outcome.error and outcome.error.strip(), f"no reason for {text[:80]!r}"
        assert len(outcome.error) < 500, f"a reason of {len(outcome.error)} for {text[:80]!r}"
    else:
        assert math.isfinite(outcome.values[0]) and abs(outcome.values[0]) < 40, text[:80]


def _ask(texts: list[str]) -> list[Outcome]:
    found = []
    for place, text in enumerate(texts):
        oracle = MoleculeOracle(1 if place % 2 else -1)
        fidelity = oracle.fidelities[place // 2 % 3]
        start = time.process_time()
        (outcome,) = oracle.evaluate([text], fidelity)
        assert time.process_time() - start < LIMIT_SECONDS, f"{fidelity.name} {text[:80]!r}"
        _check(text, outcome)
        found.append(outcome)
    return found


def test_a_sample_of_hostile_texts() -> None:
    texts = hostile(500)
    sample = list(dict.fromkeys([*texts[:12], *texts[12::9]]))[:66]
    outcomes = _ask(sample)
    assert sum(o.values is None for o in outcomes) > 20
    assert sum(o.values is not None for o in outcomes) > 5


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_five_hundred_hostile_texts() -> None:
    texts = hostile(500)
    assert len(set(texts)) == 500
    outcomes = _ask(texts)
    assert sum(o.values is not None for o in outcomes) > 50


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a SELFIES: tokens in square brackets"),
        ("c1ccccc1", "not a SELFIES: tokens in square brackets"),
        ("[C]x[C]", "not a SELFIES: tokens in square brackets"),
        ("[Xx]", "not a SELFIES: invalid symbol '[Xx]'"),
        ("[Ring1][Ring2]", "the text spells no atom"),
        ("[C].[O]", "2 separate molecules"),
        ("[C][Si][C]", "no parameters for Si"),
        ("[N+1][C]", "a charge of +1: only neutral molecules are ionised"),
        ("[C]" * 64, "194 atoms, and at most 120 are computed"),
        ("[C]" * 1000, "a text of 3000 characters is longer than 2000"),
        ("[H]", "charge +1 leaves 0 valence electrons"),
        (TWISTED, "no conformer could be embedded"),
        (UNKNOWN_BENDS, "no force field has parameters for all of its atoms"),
    ],
)
def test_reasons(text: str, reason: str) -> None:
    oracle = MoleculeOracle(1)
    for fidelity in oracle.fidelities:
        (outcome,) = oracle.evaluate([text], fidelity)
        assert outcome.values is None and outcome.error is not None
        assert outcome.error.startswith(reason), outcome.error


def test_a_bad_text_costs_itself_alone() -> None:
    oracle = MoleculeOracle(1)
    outcomes = oracle.evaluate(["[C]", "☃", "[C].[C]", "[C]"], oracle.fidelities[0])
    assert [o.values is None for o in outcomes] == [False, True, True, False]
    assert outcomes[0].values == outcomes[3].values


def test_nothing_is_written_to_the_terminal() -> None:
    code = """
from oracles.molecules import MoleculeOracle
oracle = MoleculeOracle(-1)
for text in ("[Xx]", "[C][S][#C]", "[C]", "[B][C]", "[C].[C]", "[NH1]"):
    oracle.evaluate([text], oracle.fidelities[2])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
