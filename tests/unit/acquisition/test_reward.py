"""Log rewards: their order, their scale, and what they do where the acquisition is extreme."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from mfal.acquisition.reward import AcquisitionReward
from mfal.acquisition.ucb import UpperBound
from mfal.errors import ConfigError, SurrogateError
from mfal.surrogate.gp import MultiFidelityGP
from tests.unit.surrogate.data import synthetic


class Given:
    """The key is the log worth at the target; a cheap rung is worth a tenth of it."""

    def log(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        known = torch.zeros(len(features)) if candidate is None else (candidate >= 0).double()
        target = features[:, :1] + 100.0 * known[:, None]
        return torch.cat([target + math.log(0.1), target], dim=1)


class Information(Given):
    """The same, in nats."""

    is_information = True


def number(keys: Sequence[str]) -> Tensor:
    return torch.tensor([[float(key)] for key in keys], dtype=torch.float64)


def reward(reference: Sequence[float], **options: float) -> AcquisitionReward:
    keys = [str(value) for value in reference]
    return AcquisitionReward(Given(), number, {}, [1.0, 7.0], keys, **options)


def test_the_best_of_the_reference_is_zero_and_its_median_minus_the_temperature() -> None:
    log_reward = reward([-9.0, -6.0, -3.0])
    assert log_reward(["-3"]).max().item() == pytest.approx(0)
    assert log_reward(["-6"]).max().item() == pytest.approx(-15)
    assert log_reward(["-4.5"]).max().item() == pytest.approx(-7.5)
    lopsided = reward([-9.0, -4.0, -3.0])
    assert lopsided(["-4"]).max().item() == pytest.approx(-15)
    assert reward([-9.0, -6.0, -3.0], temperature=4.0)(["-6"]).max().item() == pytest.approx(-4)


def test_beyond_the_reference_it_goes_on_linearly() -> None:
    assert reward([-9.0, -6.0, -3.0])(["0", "3"]).max(dim=1).values.tolist() == pytest.approx(
        [15.0, 30.0]
    )


def test_cost_divides_the_worth() -> None:
    rows = reward([-2.0, -1.0, 0.0])(["0"])
    # One nat is one spread here: log 10 more worth, log 7 more cost.
    assert float(rows[0, 1] - rows[0, 0]) == pytest.approx(15 * (math.log(10) - math.log(7)))


@pytest.mark.parametrize("reference", [[-800.0, -700.0, -1.0], [-1e5, -1e4, -3.0], [-2.0, -1.0]])
def test_order_is_kept_and_nothing_is_flat(reference: list[float]) -> None:
    worth = [*range(-3000, -100, 50), *range(-100, 30)]
    rewards = reward(reference)([str(value) for value in worth])
    assert rewards.isfinite().all()
    assert (rewards.diff(dim=0) > 1e-3).all()


def test_a_median_far_down_leaves_the_reward_no_flatter_than_worth_by_cost() -> None:
    rows = reward([-900.0, -800.0, -1.0])(["-1", "-3"]).max(dim=1).values
    assert float(rows[0] - rows[1]) == pytest.approx(2.0)


def test_the_tail_bends_without_a_jump() -> None:
    log_reward = reward([-9.0, -6.0, -3.0])
    left, at, right = log_reward(["-6.001", "-6", "-5.999"]).max(dim=1).values.tolist()
    assert at - left == pytest.approx(right - at, rel=1e-2)
    assert float(log_reward(["-3000"]).max()) > -15 * (1 + math.log(1000) + 1e-6)


def test_known_candidates_are_looked_up() -> None:
    log_reward = AcquisitionReward(Given(), number, {"2": 0}, [1.0, 7.0], ["0", "1", "2"])
    assert log_reward.value(["1"])[0, 1].item() == pytest.approx(math.e)
    assert log_reward.log_worth(["2"])[0, 1].item() == pytest.approx(102)


def test_flatness_is_told() -> None:
    assert reward([-1.0, -1.01, -1.02]).is_flat  # candidates cannot be told apart
    assert not reward([-60.0, -50.0, -40.0]).is_flat  # a small unit, for all that is known
    nats = ["-60", "-50", "-40"]
    assert AcquisitionReward(Information(), number, {}, [1.0, 7.0], nats).is_flat
    assert not reward([-3.0, -2.0, -1.0]).is_flat
    assert not reward([-800.0, -700.0, -1.0]).is_flat
    same = reward([-1.0, -1.0])
    assert same.is_flat
    assert same(["-1", "-2"]).isfinite().all()


def test_statistics_are_numbers_for_the_record() -> None:
    figures = reward([-9.0, -6.0, -3.0]).statistics()
    assert figures["spread"] == pytest.approx(3.0)
    assert figures["maximum"] - figures["median"] == pytest.approx(3.0)
    assert figures["temperature"] == 15.0
    assert figures["is_flat"] == 0.0


def test_an_empty_reference_is_refused() -> None:
    with pytest.raises(ConfigError, match="reference"):
        reward([])


def test_the_fallback_prefers_high_bounds_and_promotes_what_is_known() -> None:
    data = synthetic(48, 2, seed=2)
    surrogate = MultiFidelityGP(linear_columns=(6, 7, 8)).fit(data, seed=0)
    places = torch.arange(48)
    fallback = UpperBound(surrogate, data.features, places)
    new = synthetic(300, 1, seed=5).features
    log = fallback.log(new)
    mean = surrogate.joint(new).mean[:, -1]
    assert torch.corrcoef(torch.stack([log[:, 1], mean]))[0, 1] > 0.9
    assert (log.diff(dim=1) > 0).all()  # before cost the target is always worth more
    # Asking a candidate again at the rung where it is known says next to nothing.
    gain_new = (log[:, 1] - log[:, 0]).median()
    known = fallback.log(data.features[30:], places[30:])
    assert (known[:, 1] - known[:, 0]).median() > gain_new + 1


def test_a_worth_that_is_no_number_is_refused() -> None:
    with pytest.raises(SurrogateError, match="is not a finite number"):
        reward([-1.0, -2.0, float("nan")])


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_reward_does_not_depend_on_the_scale_of_the_worth(scale: float) -> None:
    # A factor of the worth is a sum in its logarithm.
    keys = [str(v) for v in (-9.0, -6.0, -3.0, -1.0)]
    moved = [str(float(key) + math.log(scale)) for key in keys]
    torch.testing.assert_close(
        reward([float(k) for k in moved])(moved), reward([float(k) for k in keys])(keys)
    )


def test_crowding_lowers_the_log_reward_by_temperatures_and_leaves_the_worth() -> None:
    def crowding(keys: Sequence[str]) -> NDArray[np.float64]:
        return np.array([0.5 if key == "1" else 0.0 for key in keys])

    keys = ["0", "1", "2"]
    free = AcquisitionReward(Given(), number, {}, [1.0, 7.0], keys, temperature=4.0)
    lowered = AcquisitionReward(Given(), number, {}, [1.0, 7.0], keys, crowding, temperature=4.0)
    expected = free(keys) - torch.tensor([[0.0], [2.0], [0.0]])
    assert torch.allclose(lowered(keys), expected)
    assert torch.equal(lowered.value(keys), free.value(keys))
    assert lowered.scale == free.scale


def test_worth_is_multiplied_by_the_probability_of_a_value() -> None:
    def feasibility(keys: Sequence[str]) -> Tensor:
        return torch.tensor([[0.9, 0.5], [0.2, 0.8], [1.0, 1.0]]).double()[[int(k) for k in keys]]

    keys = ["0", "1", "2"]
    free = AcquisitionReward(Given(), number, {}, [1.0, 7.0], keys)
    expected = AcquisitionReward(Given(), number, {}, [1.0, 7.0], keys, feasibility=feasibility)
    # At the lower fidelity no more than at the target counts.
    factor = torch.tensor([[0.5, 0.5], [0.2, 0.8], [1.0, 1.0]]).double()
    assert torch.allclose(expected.value(keys), free.value(keys) * factor)
    best = (expected.log_worth(keys) - torch.tensor([1.0, 7.0]).double().log()).max()
    assert expected.scale.maximum == pytest.approx(float(best))


def test_candidates_that_differ_in_feasibility_alone_are_not_told_apart() -> None:
    class Constant:
        def log(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
            return torch.zeros(len(features), 2, dtype=torch.float64)

    def feasibility(keys: Sequence[str]) -> Tensor:
        return torch.tensor([[float(key), float(key)] for key in keys]).double()

    keys = ["0.1", "0.5", "0.9"]
    reward = AcquisitionReward(Constant(), number, {}, [1.0, 7.0], keys, feasibility=feasibility)
    assert reward.is_flat
    assert reward(keys)[0, 0] < reward(keys)[2, 0]


def test_what_failures_level_is_not_told_apart_by_less_than_a_flat_spread() -> None:
    def feasibility(keys: Sequence[str]) -> Tensor:
        # As improbable as each is worth more: their products are the same.
        return torch.tensor([[math.exp(-float(key))] * 2 for key in keys]).double()

    keys = ["1", "2", "3"]
    reward = AcquisitionReward(Given(), number, {}, [1.0, 7.0], keys, feasibility=feasibility)
    assert not reward.is_flat
    # Half a nat above them all stands out by no more than ten flat spreads of .05.
    reward.feasibility = lambda keys: torch.ones(len(keys), 2).double()
    assert float(reward(["0.5"]).max()) == pytest.approx(15 * 0.5 / 0.05)
