"""One policy for many rewards: it is told in a context which of them is wanted.

The bounds are half as much again as the worst of the seeds 0 to 3.
"""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from mfal.gfn import train
from mfal.gfn.exact import exact_distribution, total_variation
from mfal.gfn.guided import rebuild
from mfal.gfn.objectives import LossName
from mfal.gfn.rollout import rollout
from mfal.gfn.settings import TrainSettings
from mfal.gfn.train import Trainer
from mfal.gfn.trajectories import Trajectories
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.enumerated import exact_log_z, exact_target
from tests.unit.gfn.problems import agent, seeded

GRID = GridEnvironment(side=4)

PREFERENCES = torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.1, 0.4]])


def log_reward(states: Tensor, context: Tensor | None) -> Tensor:
    """Log of the sum of two rewards, weighted by the context."""
    assert context is not None
    x, y = states[:, 0].float(), states[:, 1].float()
    rewards = torch.stack([x.exp(), 0.1 * (2 * y - 0.5 * x).exp()], dim=1)
    return (rewards * context.expand(len(states), -1)).sum(dim=1).log()


def draw_preferences(n: int, generator: Generator) -> Tensor:
    return PREFERENCES[torch.randint(len(PREFERENCES), (n,), generator=generator)]


def conditional(loss: LossName, *, seed: int = 0, **changes: Any) -> Trainer:
    recipe = {"batch_size": 64, "learning_rate": 5e-3, "cooldown": 0.7}
    settings = TrainSettings(loss=loss, **{**recipe, **changes})
    heads = settings.heads(GRID)
    seen = agent(
        GRID,
        seed=seed,
        learnt_backward=heads.backward > 0,
        flow=heads.flow > 0,
        context_features=2,
    )
    return Trainer(seen, log_reward, settings, seed=seed, contexts=draw_preferences)


def distances(trainer: Trainer) -> list[float]:
    """From the target of each preference."""
    found = []
    for context in PREFERENCES:
        target = exact_target(GRID, partial(log_reward, context=context))
        reached = exact_distribution(trainer.agent, context=context[None])[1]
        found.append(total_variation(reached, target))
    return found


@torch.no_grad()
def log_z(trainer: Trainer, context: Tensor) -> float:
    """What the loss says log Z is for one context."""
    seen, own = trainer.agent, context.expand(50, -1)
    found = rollout(seen, seen.start(50), seeded(0), context=own)
    return float(trainer.loss.log_z(found, log_reward(found.final, own)))


@pytest.mark.parametrize(
    ("loss", "steps", "distance", "error"),
    [
        ("vargrad", 300, 0.034, 0.017),
        pytest.param("tb", 500, 0.026, 0.083, marks=pytest.mark.slow),
        pytest.param("db", 600, 0.079, 0.057, marks=pytest.mark.slow),
    ],
)
def test_one_policy_reaches_the_target_of_every_preference(
    loss: LossName, steps: int, distance: float, error: float
) -> None:
    trainer = conditional(loss, steps=steps)
    assert min(distances(trainer)) > 0.5
    trainer.run()
    assert max(distances(trainer)) < distance
    exact = [exact_log_z(GRID, partial(log_reward, context=c)) for c in PREFERENCES]
    assert max(exact) - min(exact) > 1.5
    for context, expected in zip(PREFERENCES, exact, strict=True):
        assert abs(log_z(trainer, context) - expected) < error


@pytest.mark.parametrize("loss", ["vargrad", "tb", "db", "subtb", "fm"])
def test_every_loss_learns_under_a_context(loss: LossName) -> None:
    """From replay, too, and from what a random way back and forth and the policy find."""
    for changes in ({"guide": "local"}, {"guide": "genetic", "backward": "learnt"}):
        settings = {"guided_every": 5, "guided_size": 20, "report_every": 1, **changes}
        if loss == "fm":
            settings["backward"] = "uniform"
        trainer = conditional(loss, steps=30, **settings)
        losses = [metrics.validation_loss for metrics in trainer.run()]
        assert len(trainer.buffer) > 10 and trainer.steps_done == 30
        assert sum(losses[-5:]) < sum(losses[:5]) / 2


@pytest.mark.parametrize(
    "changes", [{}, {"loss": "fm"}, {"replay": "prioritised", "guide": "local"}]
)
def test_every_trajectory_is_rewarded_under_its_own_context(changes: dict[str, Any]) -> None:
    """Replayed ones as well: the reward under which a state was found is another's."""
    trainer = conditional(**{"loss": "db", "steps": 12, "guided_every": 4, **changes})
    batches: list[tuple[Trajectories, Tensor]] = []
    trainer.loss.register_forward_pre_hook(lambda _, seen: batches.append(seen))
    trainer.run()
    assert len(batches) == 12 + 2  # Validation looks twice.
    for found, scores in batches:
        assert found.context is not None and len(found.context.unique(dim=0)) > 2
        assert torch.equal(scores, log_reward(found.final, found.context))


def test_replayed_trajectories_end_where_known_ones_did() -> None:
    trainer = conditional("vargrad", steps=2, guided_every=0, report_every=2)
    batches: list[tuple[Trajectories, Tensor]] = []
    trainer.loss.register_forward_pre_hook(lambda _, seen: batches.append(seen))
    trainer.run()
    first, second = (found.final.tolist() for found, _ in batches[:2])
    # The first batch is all fresh, in the second the last half is replayed.
    assert len(first) == len(second) == 64
    assert all(state in first for state in second[32:])


def test_what_the_policy_rebuilds_is_scored_under_the_same_context(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rebuilt: list[tuple[Tensor, Tensor | None]] = []
    asked: list[tuple[Tensor, Tensor | None]] = []

    def spy(*arguments: Any) -> Tensor:
        states = rebuild(*arguments)
        rebuilt.append((states, arguments[3]))
        return states

    def score(states: Tensor, context: Tensor | None) -> Tensor:
        asked.append((states, context))
        return log_reward(states, context)

    monkeypatch.setattr(train, "rebuild", spy)
    trainer = conditional("vargrad", steps=1, guide="local")
    trainer.run()
    trainer.log_reward = score
    trainer.guide()
    assert len(rebuilt) == len(asked) == 1
    assert rebuilt[0][0] is asked[0][0] and rebuilt[0][1] is asked[0][1] is not None


def test_contexts_come_from_the_trainers_seed_alone() -> None:
    first, again, other = (conditional("tb", seed=seed, steps=5) for seed in (0, 0, 1))
    for trainer in (first, again, other):
        trainer.run()
    assert torch.equal(first.buffer.states, again.buffer.states)
    assert first.history == again.history
    assert not torch.equal(first.buffer.states, other.buffer.states)
