"""The DNA problem: its ladder, its checks, its failures, and what importing it costs."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from mfal.errors import (
    ConfigError,
    InvalidKeyError,
    MfalError,
    MissingDependencyError,
    UnknownNameError,
)
from mfal.testing import OracleChecks
from mfal.types import Fidelity, Objective, Oracle, Outcome
from oracles.dna import FOLDING, TRANSFORMER, DnaOracle, problem
from oracles.dna_weights import TRAINED_LENGTH, WEIGHTS

HAIRPIN = "CAGCCCGTCAGAGCACGCTGACGGGCCAAG"
WEAK = "GTCACGGGTGCGTGGTGCGCAGTGGAGACA"


@pytest.mark.slow
class TestLaws(OracleChecks):
    problem = "dna"

    def hostile_keys(self) -> list[str]:
        return [*super().hostile_keys(), HAIRPIN[:-1], HAIRPIN.lower(), HAIRPIN[:-1] + "U"]


def _oracle() -> Oracle:
    return problem(backend="viennarna").oracle


def test_the_ladder() -> None:
    oracle = _oracle()
    assert oracle.fidelities == (
        Fidelity("transformer", cost=1.0, level=0.5),
        Fidelity("folding", cost=7.0, level=1.0),
    )
    assert oracle.objectives == (Objective("energy", "kcal/mol", "min"),)
    assert isinstance(oracle, Oracle)


def test_folding_gives_energies_in_the_order_of_the_keys() -> None:
    outcomes = _oracle().evaluate([HAIRPIN, WEAK, HAIRPIN], FOLDING)
    assert [outcome.values for outcome in outcomes] == [(-10.9,), (-4.5,), (-10.9,)]
    assert all(outcome.error is None and outcome.seconds > 0 for outcome in outcomes)


def test_the_transformer_is_near_in_the_order_of_the_keys() -> None:
    outcomes = _oracle().evaluate([HAIRPIN, WEAK], TRANSFORMER)
    energies = [outcome.values[0] for outcome in outcomes if outcome.values]
    assert energies == pytest.approx([-10.9, -4.5], abs=1.5)


def test_dispatch_is_by_name_whatever_the_cost() -> None:
    oracle = _oracle()
    renamed = Fidelity("folding", cost=20.0, level=0.7)
    assert oracle.evaluate([WEAK], renamed)[0].values == (-4.5,)
    with pytest.raises(UnknownNameError, match="nupack") as caught:
        oracle.evaluate([WEAK], Fidelity("nupack", cost=1.0, level=1.0))
    assert "transformer, folding" in caught.value.hint


@pytest.mark.parametrize("fidelity", [TRANSFORMER, FOLDING])
def test_no_keys_no_outcomes(fidelity: Fidelity) -> None:
    assert _oracle().evaluate([], fidelity) == []


@pytest.mark.parametrize("fidelity", [TRANSFORMER, FOLDING])
@pytest.mark.parametrize("bad", ["N" + HAIRPIN[1:], HAIRPIN.lower(), HAIRPIN[1:], HAIRPIN + "A"])
def test_keys_outside_the_search_space_stop_before_the_engine(
    fidelity: Fidelity, bad: str, fake_folding: Any
) -> None:
    oracle = DnaOracle(fake_folding)
    with pytest.raises(InvalidKeyError) as caught:
        oracle.evaluate([HAIRPIN, bad], fidelity)
    assert bad in caught.value.message
    assert fake_folding.folded == []
    with pytest.raises(InvalidKeyError):
        oracle.describe(bad)


def test_one_strand_fails_without_the_rest(fake_folding: Any) -> None:
    keys = ["AAAA" + WEAK[4:], "CCCC" + WEAK[4:], "GGGG" + WEAK[4:], WEAK]
    outcomes = DnaOracle(fake_folding).evaluate(keys, FOLDING)
    assert [outcome.values for outcome in outcomes] == [None, None, None, (-1.5,)]
    assert outcomes[0].error == "RuntimeError: the engine gave up"
    assert [outcome.error for outcome in outcomes[1:3]] == [
        "the energy is nan",
        "the energy is inf",
    ]


def test_backends_are_labelled(fake_folding: Any) -> None:
    backends = DnaOracle(fake_folding).backends
    assert backends["folding"] == "fake 1.0"
    name, digits, size = backends["transformer"].replace(",", "").split(" ", 2)
    assert (name, size) == ("transformer", "116k parameters")
    readme = (WEIGHTS.parent / "README.md").read_text(encoding="utf-8")
    assert f"`{digits}" in readme, "data/README.md describes other weights"


def test_describe_shows_the_structure() -> None:
    describe = problem(backend="viennarna").describe
    assert describe is not None
    assert describe(HAIRPIN) == "..(((((((((......)))))))))...."


def test_the_environment_builds_strands_of_the_length() -> None:
    environment = problem(backend="viennarna").environment()
    assert environment.keys(environment.states([HAIRPIN])) == [HAIRPIN]
    assert (environment.n_actions, environment.max_steps) == (4, TRAINED_LENGTH)


@pytest.mark.usefixtures("no_nupack")
def test_a_missing_backend_is_an_error_at_construction() -> None:
    with pytest.raises(MissingDependencyError, match="nupack"):
        problem(backend="nupack")
    assert problem().oracle.backends["folding"].startswith("ViennaRNA ")


def test_nupack_answers_where_it_is_installed(nupack: Any) -> None:
    oracle = problem().oracle
    assert oracle.backends["folding"].startswith("NUPACK 4.9.9, dna04.1")
    assert oracle.evaluate(["G" * 30], FOLDING)[0].values == (-30.0,)


def test_another_length_has_no_transformer() -> None:
    with pytest.raises(ConfigError, match="length is 60") as caught:
        problem(length=60, backend="viennarna")
    assert "length: 30" in caught.value.hint


def test_missing_weights_say_how_to_make_them(fake_folding: Any, tmp_path: Path) -> None:
    with pytest.raises(MfalError, match=r"none\.safetensors cannot be read") as caught:
        DnaOracle(fake_folding, weights=tmp_path / "none.safetensors")
    assert "python -m oracles.dna_training train --out" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"not weights", WEIGHTS.read_bytes()[:-100]])
def test_corrupt_weights_say_how_to_make_them(
    content: bytes, fake_folding: Any, tmp_path: Path
) -> None:
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(content)
    with pytest.raises(MfalError, match="cannot be read"):
        DnaOracle(fake_folding, weights=weights)


def test_weights_that_vanish_before_first_use(fake_folding: Any, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(WEIGHTS.read_bytes())
    oracle = DnaOracle(fake_folding, weights=weights)
    weights.unlink()
    with pytest.raises(MfalError, match="cannot be read"):
        oracle.evaluate([HAIRPIN], TRANSFORMER)


def test_outcomes_are_json_numbers() -> None:
    for fidelity in (TRANSFORMER, FOLDING):
        (outcome,) = _oracle().evaluate([HAIRPIN], fidelity)
        assert TypeAdapter(Outcome).dump_json(outcome).startswith(b'{"values":[-')


def _loaded_by(code: str) -> set[str]:
    script = (
        f"import sys\n{code}\nprint(*({{'torch', 'RNA', 'nupack', 'numpy'}} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_problem_loads_no_engine() -> None:
    assert _loaded_by("import oracles.dna") == set()


def test_constructing_the_problem_loads_no_torch() -> None:
    loaded = _loaded_by("import oracles.dna; oracles.dna.problem(backend='viennarna')")
    assert "torch" not in loaded
    assert "RNA" in loaded
