"""After a thousand queries around one optimum nothing else is taken for known."""

import math
import random

import pytest
import torch
from torch import Tensor

from mfal.acquisition.gibbon import Gibbon
from mfal.dataset import Dataset
from mfal.surrogate.gp import MultiFidelityGP
from tests.unit.surrogate.data import dna_features, folded, folding_energies, strands
from tests.unit.surrogate.test_learning import plain_correlation

START = strands(60, seed=0)
FEATURES = dna_features()


def hairpin(stem: str) -> str:
    back = stem[::-1].translate(str.maketrans("ACGT", "TGCA"))
    return f"AA{stem}GAAA{back}"


def mutants(key: str, n: int, seed: int) -> list[str]:
    """Strands that differ from one in a letter or two."""
    rng = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < n:
        letters = list(key)
        for _ in range(rng.choice([1, 2])):
            letters[rng.randrange(len(key))] = rng.choice("ACGT")
        found["".join(letters)] = None
    return list(found)


OPTIMUM = hairpin("GCGGCACGTCCG")
NEAR = mutants(OPTIMUM, 1000, seed=1)
UNSEEN_NEAR = [key for key in mutants(OPTIMUM, 150, seed=99) if key not in NEAR]
OTHERS = [hairpin(key[:12]) for key in strands(100, seed=7)]  # families never asked about
RANDOM = strands(100, seed=8)


def asked(history: str, n: int) -> tuple[list[str], list[str]]:
    """What was asked at the cheap rung and at the target, n of it near the optimum."""
    near = NEAR[:n]
    return {
        "start": (START, START[:20]),
        "both": (START + near, START[:20] + near),
        "target": (START, START[:20] + near),
        "cheap": (START + near, START[:20] + near[:10]),
        "disjoint": (START[20:] + near[: n // 2], START[:20] + near[n // 2 :]),
    }[history]


def fit(history: tuple[list[str], list[str]]) -> tuple[MultiFidelityGP, Dataset]:
    data = folded(*history, FEATURES)
    settings = MultiFidelityGP(linear_columns=FEATURES.linear_columns)
    return settings.fit(data, seed=0), data


def deviation(surrogate: MultiFidelityGP, keys: list[str]) -> Tensor:
    """At the target, kcal/mol."""
    return surrogate.joint(FEATURES(keys)).variance[:, -1].sqrt()


@pytest.mark.parametrize("n", [200, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "history",
    [
        pytest.param("both", marks=pytest.mark.slow),
        pytest.param("target", marks=pytest.mark.slow),
        pytest.param("cheap", marks=pytest.mark.slow),
        "disjoint",
    ],
)
def test_other_families_stay_unknown_and_wanted(history: str, n: int) -> None:
    before, _ = fit(asked("start", 0))
    after, data = fit(asked(history, n))
    figures = after.diagnostics()
    assert 0.3 < figures["correlation_0"] < 0.99
    units = after.posterior.scale.scale
    assert all(figures[f"noise_{rung}"] > 1e-4 * units[rung].square() for rung in (0, 1))
    assert deviation(after, OTHERS).mean() > 0.25 * deviation(before, OTHERS).mean()
    assert deviation(after, OTHERS).mean() > 1.5 * deviation(after, UNSEEN_NEAR).mean()
    truth = -folding_energies(OTHERS)
    mean = after.joint(FEATURES(OTHERS)).mean[:, -1]
    assert ((mean - truth) / deviation(after, OTHERS)).square().mean().sqrt() < 1.5
    pool = list(data.keys) + OTHERS
    places = torch.cat([torch.arange(len(data.keys)), torch.full((len(OTHERS),), -1)])
    acquisition = Gibbon(
        surrogate=after, reference_features=FEATURES(pool), reference_candidate=places, seed=0
    )
    near, others, plain = (  # logarithms of nats, of candidates that were never asked about
        acquisition.log(FEATURES(keys), torch.full((len(keys),), -1))
        for keys in (UNSEEN_NEAR, OTHERS, RANDOM)
    )
    assert others.quantile(0.9, dim=0).gt(near.median(dim=0).values).all()
    assert others.median(dim=0).values.gt(math.log(1e3) + plain.median(dim=0).values).all()


@pytest.mark.parametrize("n", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_plain_coregionalisation_drifts_and_the_default_does_not(n: int) -> None:
    # The same answers, with a plain index kernel and no nugget.
    data = [folded(*asked(history, n), FEATURES) for history in ("start", "disjoint")]
    before, after = (plain_correlation(d) for d in data)
    assert before > 0.9 and after < 0
    settings = MultiFidelityGP(linear_columns=FEATURES.linear_columns)
    before, after = (settings.fit(d, seed=0).diagnostics()["correlation_0"] for d in data)
    assert min(before, after) > 0.5 and abs(before - after) < 0.4
