"""What cannot read the candidates, name a quantity or show a candidate, before money is spent."""

import re
from pathlib import Path
from typing import Any

import pytest

from mfal.campaign import open_campaign
from mfal.config import load_config, parse_config
from mfal.errors import ConfigError, MfalError
from tests.support import ROOT, motif_settings

GRID = """
from mfal import Fidelity, Objective, Problem, oracle

def problem(similarity: str = "edit"):
    @oracle(fidelities=[Fidelity("low", 1, 0.5), Fidelity("high", 4, 1.0)],
            objectives=[Objective("yield", "%", "max")])
    def total(key: str, fidelity: Fidelity) -> float:
        return sum(map(int, key.split(",")))

    def environment():
        from mfal.envs.hypergrid import HypergridEnvironment
        return HypergridEnvironment(dimensions=3, side=12)

    return Problem("grid", total, environment, similarity=similarity)
"""

PARTS = """
import torch

class Raises:
    width, linear_columns = 1, ()
    def __call__(self, keys):
        return torch.tensor([[1 / (len(key) - len(key))] for key in keys])

class Unbounded(Raises):
    def __call__(self, keys):
        return torch.full((len(keys), 1), float("inf"))

class Narrow(Raises):
    def __call__(self, keys):
        return torch.zeros(len(keys), 2)

def distance():
    return lambda a, b: 2.0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "grid.py").write_text(GRID)
    (tmp_path / "parts.py").write_text(PARTS)
    return tmp_path


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    fits = {"name": "coordinates", "options": {"dimensions": 3, "side": 12}}
    return motif_settings(
        folder,
        **{
            "problem": f"{folder}/grid.py:problem",
            "initial": {"queries": {"low": 4, "high": 2}},
            "features": [fits],
        }
        | changes,
    )


def refused(folder: Path, **changes: Any) -> MfalError:
    """The error of opening the campaign, after which nothing of it is there."""
    config = parse_config(settings(folder, **changes))
    with pytest.raises(MfalError) as raised, open_campaign(config, "here.yaml"):
        pass
    assert not (folder / "data").exists()
    return raised.value


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"name": "coordinates", "options": {"dimensions": 3, "side": 5}}, "has the coordinate"),
        ({"name": "coordinates", "options": {"dimensions": 4, "side": 12}}, "has 3 coordinates"),
        ({"name": "kmers", "options": {"alphabet": "AB", "k": 2}}, "holds ',', "),
        ("{folder}/parts.py:Raises", "it raises: ZeroDivisionError: division by zero (parts.py"),
        ("{folder}/parts.py:Unbounded", "gives [[inf]], not a row of 1 finite numbers"),
        ("{folder}/parts.py:Narrow", "gives [[0.0, 0.0]], not a row of 1 finite numbers"),
    ],
)
def test_features_that_cannot_read_candidates_are_refused(
    folder: Path, part: Any, said: str
) -> None:
    fits = {"name": "coordinates", "options": {"dimensions": 3, "side": 12}}
    odd = part.format(folder=folder) if isinstance(part, str) else part
    error = refused(folder, features=[fits, odd])
    assert isinstance(error, ConfigError)
    name = odd if isinstance(odd, str) else odd["name"]
    assert error.message.startswith(f"here.yaml: features.1: {name} cannot read '")
    assert "a candidate of grid: " in error.message and said in error.message
    assert "its search space" in error.hint


@pytest.mark.parametrize("part", ["morgan", "stems"])
def test_features_of_other_problems_are_refused(folder: Path, part: str) -> None:
    if part == "morgan":
        pytest.importorskip("rdkit")
    error = refused(folder, features=[part])
    assert f"features.0: {part} cannot read" in error.message
    assert ("or set notation: smiles; or name features" in error.hint) == (part == "morgan")


def test_features_that_cannot_read_a_list_are_refused(folder: Path) -> None:
    (folder / "keys.txt").write_text("1,2,3\n11,11,11\n")
    error = refused(
        folder,
        sampler={"name": "pool", "options": {"file": str(folder / "keys.txt")}},
        features=[{"name": "coordinates", "options": {"dimensions": 3, "side": 5}}],
    )
    assert "cannot read '11,11,11'" in error.message


def test_an_unknown_similarity_of_a_problem_is_refused(folder: Path) -> None:
    grid = {"name": f"{folder}/grid.py:problem", "options": {"similarity": "foo"}}
    error = refused(folder, problem=grid)
    assert error.message.startswith("here.yaml: problem: similarity: similarity 'foo' is not")
    assert "edit" in error.hint


def test_a_similarity_above_one_is_refused(folder: Path) -> None:
    distance = f"{folder}/parts.py:distance"
    error = refused(folder, diversity={"at_most": 0.5, "similarity": distance})
    said = f"here.yaml: diversity.similarity: {distance} cannot compare '"
    assert error.message.startswith(said)
    assert re.search(r": gives 2\.0 of '\S+' and '\S+'$", error.message)


def test_tanimoto_of_no_molecules_is_refused(folder: Path) -> None:
    pytest.importorskip("rdkit")
    error = refused(folder, diversity={"at_most": 0.5, "similarity": "tanimoto"})
    assert "here.yaml: diversity.similarity: tanimoto cannot compare" in error.message
    assert "or set notation: smiles; or name a measure" in error.hint


def test_a_campaign_is_looked_at_whatever_its_features(folder: Path) -> None:
    with open_campaign(parse_config(settings(folder))):
        pass
    odd = {"name": "coordinates", "options": {"dimensions": 3, "side": 5}}
    with open_campaign(parse_config(settings(folder, features=[odd])), to_read=True) as campaign:
        assert campaign.store.observations() == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*.yaml")), ids=lambda p: p.stem)
def test_shipped_features_read_their_candidates(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    config = load_config(path, [f"data_dir={tmp_path}"])
    with open_campaign(config, str(path)):
        pass
