"""Every acquisition on inputs that break careless formulas: a number."""

from dataclasses import fields, replace
from typing import Any

import pytest
import torch

from mfal import registry
from mfal.acquisition.base import Acquisition
from mfal.dataset import Dataset
from mfal.sections import Component
from mfal.surrogate.base import Surrogate
from mfal.surrogate.gp import MultiFidelityGP
from tests.unit.acquisition.surrogates import ADVERSARIAL, Given, OneObservation
from tests.unit.surrogate.data import synthetic

NAMES = sorted(registry.BUILTIN["acquisition"])


def build(name: str, surrogate: Surrogate, features: Any, candidate: Any = None) -> Acquisition:
    if candidate is None:
        candidate = torch.full((len(features),), -1)
    acquisition: Acquisition = registry.build(
        "acquisition",
        Component(name=name),
        surrogate=surrogate,
        reference_features=features,
        reference_candidate=candidate,
        seed=0,
    )
    return acquisition


def check(acquisition: Acquisition, features: Any, candidate: Any = None) -> None:
    assert acquisition.log(features, candidate).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_an_acquisition(name: str) -> None:
    assert isinstance(build(name, OneObservation(), torch.ones(2, 4).double()), Acquisition)


@pytest.mark.parametrize("what", list(ADVERSARIAL))
@pytest.mark.parametrize("name", NAMES)
def test_extreme_moments(name: str, what: str) -> None:
    features = torch.tensor([[0.0], [1.0], [-1.0], [1e6], [-1e6]], dtype=torch.float64)
    surrogate = Given(ADVERSARIAL[what])
    check(build(name, surrogate, features), features)
    # And candidates far beyond, or far short of, all that the round knows of.
    check(build(name, surrogate, features[:1]), features)
    check(build(name, surrogate, features[3:4]), features)


@pytest.mark.parametrize("what", sorted(set(ADVERSARIAL) - {"huge variance", "huge mean"}))
@pytest.mark.parametrize("name", NAMES)
def test_moments_of_single_precision(name: str, what: str) -> None:
    features = torch.tensor([[0.0], [1.0], [-1.0]], dtype=torch.float64)
    double = ADVERSARIAL[what]
    single = replace(double, **{f.name: getattr(double, f.name).float() for f in fields(double)})
    acquisition = build(name, Given(single), features)
    check(acquisition, features)
    assert acquisition.log(features).dtype == torch.float64


@pytest.mark.parametrize("name", NAMES)
def test_one_observation(name: str) -> None:
    features = torch.randint(0, 4, (50, 4), generator=torch.Generator().manual_seed(0)).double()
    features[0] = 1.0
    candidate = torch.tensor([0] + [-1] * 49)
    check(build(name, OneObservation(), features, candidate), features, candidate)


@pytest.fixture(scope="module")
def repeated() -> Dataset:
    """Twelve answers about each of three candidates, at each of two fidelities."""
    data = synthetic(3, 1, seed=2)
    candidate = torch.arange(3).repeat(24)
    noise = torch.randn(72, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fidelity = torch.arange(2).repeat_interleave(36)
    utility = data.utility[candidate] + 1e-6 * noise
    return Dataset(data.keys, data.features, candidate, fidelity, utility, n_fidelities=2)


@pytest.mark.parametrize("name", NAMES)
def test_repeated_points_and_ten_thousand_identical_candidates(
    name: str, repeated: Dataset
) -> None:
    surrogate = MultiFidelityGP(linear_columns=(6, 7, 8)).fit(repeated, seed=0)
    same = repeated.features[:1].repeat(10_000, 1)
    for place in (-1, 0):
        candidate = torch.full((10_000,), place)
        acquisition = build(name, surrogate, same, candidate)
        check(acquisition, same, candidate)
        log = acquisition.log(same, candidate)
        torch.testing.assert_close(log, log[:1].expand_as(log), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_fidelity_is_worth_as_much_as_the_target(name: str) -> None:
    features = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    acquisition = build(name, Given(ADVERSARIAL["correlation 1"]), features)
    log = acquisition.log(features)
    torch.testing.assert_close(log[:, 0], log[:, 1], rtol=0, atol=1e-9)
