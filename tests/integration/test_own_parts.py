"""Acquisitions and samplers of a user's own that do not do what a round relies on."""

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mfal.campaign import open_campaign
from mfal.config import CampaignConfig
from mfal.errors import ConfigError
from mfal.round import run_rounds
from mfal.view import View
from tests.commands import mfal_process
from tests.integration.test_cli import write
from tests.support import motif_settings

PARTS = """
import torch
from mfal.gfn.base import Proposals
from mfal.surrogate.base import JointMoments
from mfal.similarity import EditSimilarity
from mfal.surrogate.gp import MultiFidelityGP
from mfal.types import Query

class Acquisition:
    def __init__(self, surrogate):
        self.surrogate = surrogate
    def log(self, features, candidate=None):
        return self.of(self.surrogate.joint(features, candidate).mean)
    def of(self, mean):
        return mean

class Row(Acquisition):
    def of(self, mean): return mean[:, -1]
class Column(Acquisition):
    def of(self, mean): return mean[:, -1:]
class Listed(Acquisition):
    def of(self, mean): return mean.tolist()
class Nan(Acquisition):
    def of(self, mean): return mean * float("nan")
class Raises(Acquisition):
    def of(self, mean): return mean[:, 7]
class RaisesLater(Acquisition):
    def of(self, mean): return mean if len(mean) < 18 else mean[:, 7]
class TakesNothing(Acquisition):
    def log(self): pass

class Sampler:
    needs_reward = False
    def __init__(self, environment, fidelities):
        self.environment = environment
    def sample(self, log_reward, n, *, seed, start, weights, on_step):
        return self.give(start[0])
class SamplerRaises(Sampler):
    def give(self, key): return 1 / 0
class SamplerOfAList(Sampler):
    def give(self, key): return [Query(key, "whole")]
class SamplerOfAnotherLadder(Sampler):
    def give(self, key): return Proposals((Query(key, "full"), Query(key, "whole")))
class SamplerTakesLess(Sampler):
    def sample(self, log_reward, n): pass

class Process:
    def __init__(self, n_fidelities):
        pass
class FitRaises(Process):
    def fit(self, data, *, seed): return {}[seed]
class JointRaises(Process):
    def fit(self, data, *, seed): return self
    def diagnostics(self): return {}
    def joint(self, features, candidate=None): return features.mean(dim=7)
class JointOfAnotherShape(JointRaises):
    def joint(self, features, candidate=None): return JointMoments(*4 * [features.mean(dim=1)])
class Works(MultiFidelityGP):
    def fallback(self): return "a stand-in"
class CovarianceRaises(MultiFidelityGP):
    def covariance(self, features, candidate, fidelity): return 1 / 0
class MeanRaises(MultiFidelityGP):
    def mean(self, features, candidate=None): return 1 / 0
class LateRaises(MultiFidelityGP):
    asked = 0
    def joint(self, features, candidate=None):
        self.asked += 1
        return 1 / 0 if self.asked == 15 else super().joint(features, candidate)

class Alike(EditSimilarity):
    asked = 0
    def __call__(self, a, b):
        self.asked += 1
        return 1 / 0 if self.asked == 60 else super().__call__(a, b)
    def matrix(self, keys, others): return 1 / 0
"""
ACQUISITIONS = [
    ("Row", "Row: log() of 16 candidates at 2 fidelities gives (16,)", "the shape (16, 2)"),
    ("Column", "Column: log() of 16 candidates at 2 fidelities gives (16, 1)", "(16, 2)"),
    ("Listed", "Listed: log() of 16 candidates at 2 fidelities gives list", "a tensor"),
    ("Nan", "Nan: the logarithm of the worth of some of the 16", "log() is finite"),
    ("Raises", "acquisition Raises: IndexError: ", "mend its log()"),
    ("TakesNothing", "acquisition TakesNothing: TypeError: ", "mend its log()"),
]
SAMPLERS = [
    ("SamplerRaises", "ZeroDivisionError: division by zero (parts.py, line 39)", "mend its"),
    ("SamplerOfAList", "its sample() gives a list", "Proposals(queries)"),
    ("SamplerOfAnotherLadder", "proposes queries at full", "the fidelities are half, whole"),
    ("SamplerTakesLess", "TypeError: ", "mend its sample()"),
]
SURROGATES = [
    ("FitRaises", "KeyError: "),
    ("JointRaises", "IndexError: Dimension out"),
    ("JointOfAnotherShape", "its joint() gives no means of the shape ("),
    ("LateRaises", "ZeroDivisionError: division by zero (parts.py, line "),
    ("MeanRaises", "ZeroDivisionError: division by zero (parts.py, line "),
    ("CovarianceRaises", "ZeroDivisionError: division by zero (parts.py, line "),
]

MakeConfig = Callable[..., CampaignConfig]
ReadCalls = Callable[[], list[str]]


@pytest.fixture
def parts(tmp_path: Path) -> str:
    path = tmp_path / "parts.py"
    path.write_text(PARTS)
    return str(path)


@pytest.mark.parametrize(("name", "said", "hint"), ACQUISITIONS, ids=[a[0] for a in ACQUISITIONS])
def test_an_acquisition_is_tried_before_anything_is_asked(
    motif: MakeConfig, parts: str, calls: ReadCalls, name: str, said: str, hint: str
) -> None:
    config = motif(acquisition=f"{parts}:{name}")
    with pytest.raises(ConfigError) as raised, open_campaign(config, "c.yaml"):
        pass
    assert raised.value.message.startswith("c.yaml: ") and said in raised.value.message
    assert hint in raised.value.hint and calls() == []


def test_one_that_can_be_used_is_used(motif: MakeConfig, parts: str) -> None:
    with open_campaign(motif(acquisition=f"{parts}:Acquisition")) as campaign:
        run_rounds(campaign, 1)
        assert campaign.store.rounds()[-1].kind == "batch"


def test_one_that_fails_later_says_where(motif: MakeConfig, parts: str) -> None:
    with (
        open_campaign(motif(acquisition=f"{parts}:RaisesLater")) as campaign,
        pytest.raises(ConfigError, match=r"RaisesLater: IndexError: .*\(parts.py, line 28\)"),
    ):
        run_rounds(campaign, 1)


@pytest.mark.parametrize(("name", "said"), SURROGATES)
def test_a_surrogate_that_fails_is_named(
    motif: MakeConfig, parts: str, name: str, said: str
) -> None:
    config = motif(surrogate=f"{parts}:{name}")
    with pytest.raises(ConfigError) as raised, open_campaign(config) as campaign:
        run_rounds(campaign, 1)
    assert raised.value.message.startswith(f"surrogate '{parts}:{name}': {said}")


def test_a_surrogate_of_ones_own_has_what_it_offers(
    motif: MakeConfig, parts: str, caplog: pytest.LogCaptureFixture
) -> None:
    with open_campaign(motif(surrogate=f"{parts}:Works")) as campaign:
        run_rounds(campaign, 1)
        record = campaign.store.rounds()[-1].record
    assert record["held_out"] and record["fallback"] == "a stand-in"
    assert not [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("name", "said"), [("FitRaises", "KeyError: "), ("MeanRaises", "ZeroDivisionError: ")]
)
def test_a_surrogate_that_fails_where_it_recommends_is_named(
    motif: MakeConfig, parts: str, name: str, said: str
) -> None:
    with open_campaign(motif()) as campaign:
        run_rounds(campaign, 1)
    with pytest.raises(ConfigError) as raised:
        View(motif(surrogate=f"{parts}:{name}")).recommended()
    assert raised.value.message.startswith(f"surrogate '{parts}:{name}': {said}")
    assert "(parts.py, line " in raised.value.message


@pytest.mark.parametrize("repulsion", [0, 4])
def test_a_similarity_that_fails_late_is_named(
    motif: MakeConfig, parts: str, repulsion: float
) -> None:
    rule = {"at_most": 0.5, "similarity": f"{parts}:Alike", "repulsion": repulsion}
    with pytest.raises(ConfigError) as raised, open_campaign(motif(diversity=rule)) as campaign:
        run_rounds(campaign, 1)
    said = f"similarity '{parts}:Alike': ZeroDivisionError: division by zero (parts.py, line "
    assert raised.value.message.startswith(said)


@pytest.mark.parametrize(("name", "said", "hint"), SAMPLERS, ids=[s[0] for s in SAMPLERS])
def test_a_sampler_that_gives_no_proposals_is_named(
    motif: MakeConfig, parts: str, name: str, said: str, hint: str
) -> None:
    with open_campaign(motif(sampler=f"{parts}:{name}", surrogate=None)) as campaign:
        with pytest.raises(ConfigError) as raised:
            run_rounds(campaign, 1)
        assert raised.value.message.startswith(f"sampler '{parts}:{name}': ")
        assert said in raised.value.message and hint in raised.value.hint
        assert [r.kind for r in campaign.store.rounds()] == ["initial"]


def test_the_command_line_says_it_in_two_lines(tmp_path: Path, parts: str) -> None:
    settings = motif_settings(tmp_path, sampler=f"{parts}:SamplerRaises")
    done = mfal_process("round", write(tmp_path, settings), "--no-prefect", cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "(parts.py, line 39)\nhint:  mend its sample()" in done.stderr


def test_a_defect_of_mfal_is_a_plain_traceback() -> None:
    code = "import sys; from mfal.cli import app; app.config_schema = None; "
    code += "sys.argv = ['mfal', 'schema']; app.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith("TypeError: 'NoneType' object is not callable\n")
