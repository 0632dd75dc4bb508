"""What a round makes of its reference set: draws of a high value, and one pass for all."""

import pytest
import torch
from torch import Tensor

from mfal.acquisition.gibbon import Gibbon
from mfal.acquisition.maxvalues import sample_max_values
from mfal.acquisition.remember import RemembersReference
from mfal.acquisition.reward import AcquisitionReward
from mfal.dataset import Dataset
from mfal.errors import SurrogateError
from mfal.surrogate.base import JointMoments
from mfal.surrogate.gp import MultiFidelityGP
from tests.unit.acquisition.surrogates import Given, moments_of

KEYS = [f"k{i}" for i in range(101)]


def features(keys: list[str]) -> Tensor:
    """A hundred alike, and one that stands out by ten standard deviations."""
    place = torch.tensor([KEYS.index(key) for key in keys])
    return 10.0 * (place == 100).to(torch.float64)[:, None]


class Counting(Given):
    """Independent standard normals, which count how many candidates they are asked about."""

    def __init__(self) -> None:
        super().__init__(moments_of(0.0, 1.0, 1.0, 0.8))
        self.asked = 0

    def joint(self, features: Tensor, candidate: Tensor | None = None) -> JointMoments:
        self.asked += len(features)
        return super().joint(features, candidate)


# The expected maximum of a hundred standard normals is 2.5076; the one that stands out is first.
@pytest.mark.parametrize(("rank", "expected"), [(1, 10.0), (2, 2.5076)])
def test_the_second_highest_value_is_the_highest_of_the_others(rank: int, expected: float) -> None:
    unknown = torch.full((101,), -1)
    draws = sample_max_values(Counting(), features(KEYS), unknown, 8000, rank=rank, seed=0)
    # No draw of the first lies below its own mean: half of a normal is cut off and put there.
    cut = (2 * torch.pi) ** -0.5 if rank == 1 else 0.0
    assert float(draws.mean()) == pytest.approx(expected + cut, abs=0.03)


def test_what_is_known_almost_exactly_has_draws_all_the_same() -> None:
    """Its covariance is of rounding errors, and not even padded positive definite."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(250, 2, generator=generator, dtype=torch.float64)
    value = torch.sin(3 * points[:, 0]) + points.square().sum(dim=1)
    rows = torch.arange(250)
    data = Dataset(tuple(map(str, range(250))), points, rows, torch.zeros_like(rows), value, 1)
    gp = MultiFidelityGP(n_fidelities=1, kernel="rbf", structure="icm", noise_floor=1e-8)
    fitted = gp.fit(data, seed=0)
    grid = torch.rand(700, 2, generator=generator, dtype=torch.float64)
    reference = torch.cat([points, grid])
    candidate = torch.cat([rows, torch.full((700,), -1)])
    draws = sample_max_values(fitted, reference, candidate, 16, seed=1)
    truth = torch.sin(3 * reference[:, 0]) + reference.square().sum(dim=1)
    assert float((draws - truth.max()).abs().max()) < 1e-3


def test_a_covariance_that_is_no_number_is_told() -> None:
    class Broken(Counting):
        def covariance(self, features: Tensor, candidate: Tensor, fidelity: Tensor) -> Tensor:
            return torch.full((len(features), len(features)), torch.nan)

    with pytest.raises(SurrogateError, match="not positive definite"):
        sample_max_values(Broken(), features(KEYS), torch.full((101,), -1), 4, seed=0)


def test_a_rank_beyond_the_reference_takes_its_lowest() -> None:
    two = features(["k0", "k100"])
    draws = sample_max_values(Counting(), two, torch.full((2,), -1), 100, rank=10, seed=0)
    assert float(draws.min()) == 0.0 and float(draws.max()) < 5


def test_the_reference_is_asked_about_once_for_all_who_want_to_know() -> None:
    surrogate, known = Counting(), torch.full((101,), -1)
    reference = RemembersReference(surrogate, features(KEYS), known)
    acquisition = Gibbon(reference, features(KEYS), known, rank=2, seed=0)
    reward = AcquisitionReward(acquisition, lambda keys: features(list(keys)), {}, [1.0, 3.0], KEYS)
    value = reward.value([*reversed(KEYS), "k7"])
    assert surrogate.asked == 101
    plain = Gibbon(Counting(), features(KEYS), known, rank=2, seed=0)
    assert torch.equal(value[:101].flip(0), plain.log(features(KEYS), known).exp())
    assert torch.equal(value[101], value[93])


def test_other_questions_about_the_reference_are_answered_anew() -> None:
    surrogate, known = Counting(), torch.full((101,), -1)
    reference = RemembersReference(surrogate, features(KEYS), known)
    moved = reference.joint(features(KEYS) + 1, known).mean
    assert torch.equal(moved, surrogate.joint(features(KEYS) + 1, known).mean)
    before = surrogate.asked
    reference.joint(features(KEYS), torch.arange(101))
    reference.joint(features(KEYS))
    assert surrogate.asked == before + 202
    assert reference.diagnostics() == {}
