"""What one round's sampler leaves to the next."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mfal.gfn.base import Proposals
from mfal.gfn.checkpoint import CheckpointError, from_bytes, to_bytes
from mfal.gfn.policy import PolicySettings
from tests.unit.gfn.test_checkpoint import Malicious
from tests.unit.gfn.test_sampler import POTTS, SMALL, quick

# So little training that the weights stay what they were.
STILL = {"steps": 1, "learning_rate": 1e-12}


def warm(weights: bytes | None = None, seed: int = 0, **changes: Any) -> Proposals:
    return quick(warm_start=True, **changes).sample(POTTS, 40, seed=seed, weights=weights)


def values(proposals: Proposals) -> dict[str, Tensor]:
    assert proposals.weights is not None
    return from_bytes(proposals.weights, "proposals")


def test_weights_are_left_where_the_next_round_starts_warm() -> None:
    assert quick().sample(POTTS, 5, seed=0).weights is None
    left = values(warm())
    assert set(left) == {"first", "first_bias", "weights.0", "weights.1", "biases.0", "biases.1"}
    assert left["first_bias"].shape == (SMALL.hidden,)


@pytest.mark.parametrize("policy", [SMALL, PolicySettings(kind="gru", hidden=16)])
def test_the_next_round_starts_from_them(policy: PolicySettings) -> None:
    first = warm(policy=policy, steps=40)
    goes_on = values(warm(first.weights, seed=7, policy=policy, **STILL))
    anew = values(warm(None, seed=7, policy=policy, **STILL))
    for name, trained in values(first).items():
        torch.testing.assert_close(goes_on[name], trained, rtol=0, atol=1e-6)
        assert (anew[name] - trained).abs().max() > 1e-2


def test_a_warm_start_is_ahead() -> None:
    """A policy trained in the last round draws well with next to no training in this one."""
    first = warm(steps=150)
    ahead, behind = (
        float(POTTS([query.key for query in warm(w, keep=0, seed=1, **STILL).queries]).mean())
        for w in (first.weights, None)
    )
    assert ahead > behind + 1.0


def test_without_a_warm_start_weights_are_ignored() -> None:
    first = warm(steps=40)
    cold = quick()
    with_weights = cold.sample(POTTS, 40, seed=3, weights=first.weights)
    assert with_weights == cold.sample(POTTS, 40, seed=3)
    assert cold.sample(POTTS, 40, seed=3, weights=b"garbage") == with_weights


def test_without_weights_a_warm_start_is_a_cold_one() -> None:
    assert warm(seed=3).queries == quick().sample(POTTS, 40, seed=3).queries


@pytest.mark.parametrize(
    "weights", [b"", b"garbage", to_bytes({}), to_bytes({"first": torch.zeros(2, 2)})]
)
def test_garbage_is_refused(weights: bytes) -> None:
    with pytest.raises(CheckpointError, match="last round"):
        warm(weights)


def test_truncated_weights_are_refused() -> None:
    left = warm().weights
    assert left is not None
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        warm(left[:-50])


@pytest.mark.parametrize(
    "changes",
    [
        {"policy": PolicySettings(hidden=33)},
        {"policy": PolicySettings(hidden=32, layers=3)},
        {"policy": PolicySettings(kind="gru", hidden=32)},
        {"loss": "db"},
        {"backward": "learnt"},
    ],
)
def test_weights_of_another_policy_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="another policy") as raised:
        warm(warm(**STILL).weights, **changes)
    assert "differ in shape" in raised.value.message and raised.value.hint


def test_code_in_weights_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    bad: Any = {"first": Malicious(trace)}
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        warm(to_bytes(bad))
    assert not trace.exists()


def test_weights_are_tensors_and_nothing_else() -> None:
    for tensor in values(warm(**STILL)).values():
        assert isinstance(tensor, Tensor) and not isinstance(tensor, nn.Parameter)
