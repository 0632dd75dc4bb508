"""What training reaches, against distributions that are known exactly.

The thresholds are half as much again as the worst of the seeds 0 to 3 of each recipe.
"""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mfal.envs.fidelity import FidelityEnvironment
from mfal.envs.sequence import SequenceEnvironment
from mfal.errors import ConfigError
from mfal.gfn.objectives import LossName
from mfal.gfn.rewards import Rewards
from mfal.gfn.settings import TrainSettings
from mfal.gfn.train import DivergedError, Trainer
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.problems import agent, corners, dna, ladder, potts
from tests.unit.gfn.training import Run, trainer

DNA = FidelityEnvironment(dna(4), 3)
POTTS = potts(dna(4))


@pytest.mark.parametrize(
    ("loss", "seed", "distance", "error"),
    [
        ("vargrad", 0, 0.021, 0.018),
        pytest.param("vargrad", 1, 0.021, 0.018, marks=pytest.mark.slow),
        pytest.param("tb", 0, 0.021, 0.018, marks=pytest.mark.slow),
        pytest.param("tb", 1, 0.021, 0.018, marks=pytest.mark.slow),
        ("db", 0, 0.09, 0.038),
        ("subtb", 0, 0.09, 0.038),
    ],
)
def test_dna_with_fidelities_reaches_the_target(
    loss: LossName, seed: int, distance: float, error: float
) -> None:
    environment = FidelityEnvironment(dna(5), 3)
    run = Run(environment, potts(dna(5)), seed=seed, hidden=256, loss=loss, steps=400)
    assert run.untrained > 0.4
    assert run.distance < distance
    assert abs(run.history[-1].log_z - run.log_z) < error
    assert run.history[-1].effective_sample_size > 0.98
    assert run.history[-1].validation_loss < run.history[0].validation_loss / 100


def distance(**changes: Any) -> float:
    """To the target after training with replay, and with guidance at every other step."""
    often = {"guided_every": 2, "guided_size": 64, "guided_parents": 10}
    return Run(DNA, POTTS, hidden=256, steps=400, **{**often, **changes}).distance


def test_replay_and_guidance_leave_the_distribution_what_it_is() -> None:
    plain, genetic = distance(replay_share=0.0, guided_every=0), distance(guide="genetic")
    assert plain < 0.0114
    assert genetic < 0.008
    assert genetic < plain + 0.003


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "bound"),
    [({"guide": "local"}, 0.0094), ({"replay": "prioritised", "guided_every": 0}, 0.0105)],
    ids=["local", "prioritised"],
)
def test_so_do_local_guidance_and_prioritised_replay(changes: dict[str, Any], bound: float) -> None:
    assert distance(**changes) < bound


@pytest.mark.parametrize(
    ("loss", "backward", "distance"),
    [
        ("vargrad", "uniform", 0.00125),
        pytest.param("tb", "uniform", 0.00125, marks=pytest.mark.slow),
        pytest.param("db", "uniform", 0.024, marks=pytest.mark.slow),
        pytest.param("subtb", "uniform", 0.024, marks=pytest.mark.slow),
        pytest.param("fm", "uniform", 0.0051, marks=pytest.mark.slow),
        pytest.param("vargrad", "learnt", 0.0014, marks=pytest.mark.slow),
        ("subtb", "learnt", 0.0174),
    ],
)
def test_a_grid_with_many_ways_to_a_point_reaches_the_target(
    loss: LossName, backward: str, distance: float
) -> None:
    run = Run(ladder(5), corners(GridEnvironment(side=5)), loss=loss, backward=backward, steps=300)
    assert run.untrained > 0.4
    assert run.distance < distance


def test_the_replay_buffer_starts_with_what_is_known() -> None:
    start = DNA.states(["ACGT", "TTTT", "ACGT"])
    run = Run(DNA, POTTS, start=start, steps=1, batch_size=8, guided_every=0)
    states = run.trainer.buffer.states
    assert DNA.keys(states[:2]) == ["ACGT", "TTTT"]
    assert len(states) == 2 + 4  # Half of the first batch is fresh already.


@pytest.mark.parametrize("guide", ["genetic", "local"])
def test_guided_proposals_are_scored_and_remembered(guide: str) -> None:
    run = Run(DNA, POTTS, steps=3, batch_size=8, guided_every=0, guide=guide)
    rewards, buffer = run.trainer.log_reward, run.trainer.buffer
    assert isinstance(rewards, Rewards)
    scored, held = len(rewards), len(buffer)
    run.trainer.guide()
    assert len(rewards) > scored + 20
    assert len(buffer) > held + 20
    assert torch.equal(rewards(buffer.states), buffer.log_rewards)


class Blurred(SequenceEnvironment):
    """DNA that is read as purines (A for A and G) and pyrimidines (C for C and T)."""

    def keys(self, states: Tensor) -> list[str]:
        return super().keys(states % 2)


class Clear(Blurred):
    """The same, knowing that several texts are one candidate."""

    def canonical(self, states: Tensor) -> Tensor:
        return states % 2


@pytest.mark.parametrize("guide", ["genetic", "local"])
def test_a_candidate_of_many_states_is_remembered_and_bred_from_as_one(guide: str) -> None:
    reward = potts(dna(8))
    settings: dict[str, Any] = {"steps": 8, "guided_every": 1, "guided_parents": 50}
    held = {}
    for kind in (Blurred, Clear):
        environment = FidelityEnvironment(kind(alphabet="ACGT", length=8), 3)
        run = trainer(environment, reward, guide=guide, **settings)
        run.run()
        held[kind] = [environment.queries(s) for s in (run.buffer.states, run.buffer.best(50)[0])]
        assert torch.equal(run.log_reward(run.buffer.states, None), run.buffer.log_rewards)
    assert all(len(set(queries)) == len(queries) for queries in held[Clear])
    assert len(set(held[Blurred][1])) < 25


def test_looking_more_often_does_not_change_what_is_learnt() -> None:
    often, seldom = (
        Run(DNA, POTTS, steps=12, batch_size=8, report_every=every).trainer for every in (1, 12)
    )
    assert [m.step for m in often.history] == list(range(1, 13))
    assert [m.step for m in seldom.history] == [12]
    for one, other in zip(
        often.agent.policy.parameters(), seldom.agent.policy.parameters(), strict=True
    ):
        assert torch.equal(one, other)


def test_validation_is_not_learnt_from() -> None:
    environment = FidelityEnvironment(dna(5), 3)
    settings: dict[str, Any] = {"steps": 20, "batch_size": 8, "guided_every": 0}
    often, seldom = (
        Run(environment, potts(dna(5)), report_every=every, **settings).trainer for every in (1, 20)
    )
    assert isinstance(often.log_reward, Rewards) and isinstance(seldom.log_reward, Rewards)
    assert len(often.log_reward) > len(seldom.log_reward)
    assert torch.equal(often.buffer.states, seldom.buffer.states)
    assert all(math.isfinite(m.validation_loss) for m in often.history)


def test_training_may_be_done_in_parts() -> None:
    whole, parts = (trainer(DNA, POTTS, steps=20, batch_size=8) for _ in range(2))
    seen: list[int] = []
    whole.run()
    for steps in (7, 1, 100):
        parts.run(steps=steps, on_step=lambda metrics: seen.append(metrics.step))
    assert parts.steps_done == 20 and seen == [10, 20]
    assert parts.run() == whole.run() == tuple(whole.history)


def test_the_learning_rate_falls_along_half_a_cosine() -> None:
    settings = TrainSettings(steps=100, cooldown=0.5)
    paces = [settings.pace(step) for step in range(1, 101)]
    assert paces[:50] == [1.0] * 50
    assert math.isclose(paces[75], 0.5) and paces[-1] > 0
    assert paces[50:] == sorted(paces[50:], reverse=True)
    assert math.isclose(paces[-1], 0.5 - 0.5 * math.cos(math.pi / 50))
    constant = replace(settings, cooldown=0.0)
    assert {constant.pace(step) for step in range(1, 101)} == {1.0}


def test_modes_are_counted_by_the_problem_or_among_the_best() -> None:
    environment = GridEnvironment(side=4)

    def log_reward(states: Tensor, context: Tensor | None) -> Tensor:
        return torch.where(states[:, 0] == 3, 0.0, -1.0) - 0.1 * states[:, 1]

    def is_mode(states: Tensor) -> Tensor:
        return states[:, 1] == 0

    settings = TrainSettings(steps=60, batch_size=32, epsilon=1.0)
    told, untold = (
        Trainer(agent(environment), log_reward, settings, seed=0, is_mode=given)
        for given in (is_mode, None)
    )
    assert told.run()[-1].modes == 4
    # Points of a grid differ in one coordinate of two at least: all sixteen are apart.
    assert untold.run()[-1].modes == 16


def test_prioritised_replay_and_temperature_are_used() -> None:
    """Each of them changes what is learnt."""
    plain = trainer(DNA, POTTS, steps=10, batch_size=8)
    plain.run()
    for changes in (
        {"replay": "prioritised"},
        {"temperature": 2.0},
        {"epsilon": 0.5},
        {"guide": "local"},
        {"cooldown": 0.0},
        {"learning_rate": 1e-3},
    ):
        other = trainer(DNA, POTTS, steps=10, batch_size=8, **changes)
        other.run()
        assert other.history != plain.history, changes


def test_heads_that_do_not_fit_the_settings_are_refused() -> None:
    """Silently, the backward policy would stay uniform."""
    settings = TrainSettings(backward="learnt")
    with pytest.raises(ConfigError, match="heads"):
        Trainer(agent(ladder(3)), lambda states, _: states[:, 0].float(), settings, seed=0)


def test_training_that_leaves_the_finite_numbers_is_stopped() -> None:
    diverging = trainer(DNA, POTTS, steps=40, batch_size=16, learning_rate=1e6)
    with pytest.raises(
        DivergedError, match=r"the loss of training step \d+ is (nan|inf)"
    ) as raised:
        diverging.run()
    assert "learning_rate" in raised.value.hint


def test_flow_matching_refuses_to_learn_a_backward_policy() -> None:
    with pytest.raises(ConfigError, match="its flows imply one"):
        TrainSettings(loss="fm", backward="learnt")
