"""What `verify` says is true of the policy it trained."""

import json
from dataclasses import replace

import pytest

from mfal.gfn.settings import TrainSettings
from mfal.verification import exercises
from mfal.verification.verify import Verdict, fresh_per_step, verify


@pytest.fixture(scope="module")
def trained() -> Verdict:
    return verify(exercises.tetris(), TrainSettings(steps=40, report_every=4), seed=3)


def test_distances_follow_from_the_distributions(trained: Verdict) -> None:
    pairs = list(zip(trained.learnt, trained.target, strict=True))
    assert trained.total_variation == pytest.approx(sum(abs(p - q) for p, q in pairs) / 2)
    assert 0 < trained.total_variation < 0.5 and 0 < trained.jensen_shannon < 0.7
    assert sum(trained.learnt) == pytest.approx(1.0) == sum(trained.target)
    assert trained.mode_share == pytest.approx(sum(p for _, p, _ in trained.modes()))
    assert trained.exact_mode_share == pytest.approx(0.5)


def test_modes_are_the_full_boards(trained: Verdict) -> None:
    assert len(trained.modes()) == 5
    for key, _, exact in trained.modes():
        assert len(key.split()) == 3
        assert exact == pytest.approx(0.1)


def test_random_actions_take_mass_from_what_is_learnt(trained: Verdict) -> None:
    alone = verify(exercises.tetris(), TrainSettings(steps=40), seed=3, random_actions=0.0)
    assert alone.mode_share_with_random_actions == pytest.approx(alone.mode_share)
    random = verify(exercises.tetris(), TrainSettings(steps=1), seed=3, random_actions=1.0)
    assert random.mode_share_with_random_actions < trained.mode_share_with_random_actions


def test_trajectories_and_rewards_are_counted() -> None:
    settings = TrainSettings(steps=10, batch_size=8, guided_every=5, guided_size=20)
    assert fresh_per_step(settings) == 4
    verdict = verify(exercises.tetris(), replace(settings, report_every=10))
    # Nothing to replay at first: 8 rewards are asked there for the 4 that are counted.
    assert verdict.trajectories == 40
    assert verdict.rewards_asked == 8 + 9 * 4 + 2 * 20 + 2


def test_the_same_seed_gives_the_same_verdict(trained: Verdict) -> None:
    again = verify(exercises.tetris(), TrainSettings(steps=40, report_every=4), seed=3)
    assert again.learnt == trained.learnt
    assert again.history == trained.history
    other = verify(exercises.tetris(), TrainSettings(steps=40, report_every=4), seed=4)
    assert other.learnt != trained.learnt


def test_the_summary_is_json(trained: Verdict) -> None:
    summary = json.loads(json.dumps(trained.summary()))
    assert summary["candidates"] == 35
    assert summary["total_variation"] == trained.total_variation
    assert [mode["exact"] for mode in summary["modes"]] == pytest.approx([0.1] * 5)
    assert summary["history"][-1]["step"] == 40
