"""The engine against answers that are known exactly, with its default recipe.

One seed in the default suite, five in the long one. Where there is a GPU, on it, too.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from mfal.gfn.policy import PolicySettings
from mfal.gfn.settings import TrainSettings
from mfal.verification import exercises
from mfal.verification.exercises import Exercise
from mfal.verification.verify import Verdict, fresh_per_step, verify

SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3, 4))]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@cache
def trained(kind: Callable[[], Exercise], seed: int, device: str, **settings: Any) -> Verdict:
    exercise = kind()
    recipe = TrainSettings(**settings)
    steps = math.ceil(exercise.trajectories / fresh_per_step(recipe))
    policy = settings.pop("policy", PolicySettings())
    return verify(exercise, replace(recipe, steps=steps), policy=policy, seed=seed, device=device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("loss", ["fm", pytest.param("tb", marks=pytest.mark.slow), "vargrad"])
def test_the_narrow_board_of_tetris(loss: str, seed: int, device: str) -> None:
    verdict = trained(exercises.tetris, seed, device, loss=loss)
    assert verdict.total_variation <= 0.005
    assert abs(verdict.log_z - math.log(10)) <= 0.01
    assert verdict.exact_log_z == pytest.approx(math.log(10), abs=1e-6)
    modes = verdict.modes()
    assert len(modes) == 5 == verdict.modes_found
    assert all(abs(learnt - 0.1) <= 0.001 and abs(exact - 0.1) < 1e-6 for _, learnt, exact in modes)
    # The published share of the modes is 43.24 %, of a sampler with a tenth of random actions.
    assert abs(verdict.mode_share_with_random_actions - 0.434) <= 0.015


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("backward", ["uniform", pytest.param("learnt", marks=pytest.mark.slow)])
@pytest.mark.parametrize("loss", [pytest.param("tb", marks=pytest.mark.slow), "vargrad"])
def test_a_board_on_which_orders_of_play_merge(
    loss: str, backward: str, seed: int, device: str
) -> None:
    verdict = trained(exercises.tetris_4x4, seed, device, loss=loss, backward=backward)
    assert verdict.exact_log_z == pytest.approx(math.log(157.730469), abs=1e-6)
    assert verdict.total_variation <= 0.02
    assert verdict.modes_found == verdict.modes_learnt == 19


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("guided_every", [TrainSettings().guided_every, 0])
def test_short_sequences_within_8000_trajectories(
    guided_every: int, seed: int, device: str
) -> None:
    verdict = trained(exercises.dna6, seed, device, guided_every=guided_every)
    assert verdict.trajectories <= 8_000
    assert verdict.total_variation <= 0.03


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "exercise", [pytest.param(exercises.tetris_4x4, marks=pytest.mark.slow), exercises.dna6]
)
def test_guidance_leaves_the_target_what_it_is(exercise: Any, seed: int) -> None:
    guided, plain = (
        trained(exercise, seed, "cpu", guided_every=every).total_variation for every in (8, 0)
    )
    assert abs(guided - plain) <= 0.01


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_every_sparse_mode_is_found_and_sampled(seed: int) -> None:
    verdict = trained(exercises.sparse_hypergrid, seed, "cpu")
    assert verdict.modes_found == verdict.modes_learnt == 16


@pytest.mark.parametrize("seed", SEEDS)
def test_a_recurrent_policy_learns_the_same(seed: int) -> None:
    exercise = exercises.dna6()
    settings = TrainSettings(steps=250)
    policy = PolicySettings(kind="gru")
    assert verify(exercise, settings, policy=policy, seed=seed).total_variation <= 0.03
