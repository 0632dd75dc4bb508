"""Does a trained GFlowNet sample in proportion to the reward? Exactly, where that is known."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Generator, Tensor

from mfal.gfn.agent import Agent
from mfal.gfn.base import TrainMetrics
from mfal.gfn.exact import (
    exact_distribution,
    finished_states,
    jensen_shannon,
    total_variation,
)
from mfal.gfn.policy import PolicySettings, make_policy
from mfal.gfn.settings import TrainSettings
from mfal.gfn.train import Trainer
from mfal.verification.exercises import Exercise


@dataclass(frozen=True)
class Verdict:
    """How far what was learnt is from the target.

    Attributes:
        trajectories: Fresh trajectories trained on.
        rewards_asked: States whose reward was asked, guided and validation ones included.
        seconds: CPU seconds of training.
        total_variation: Of the exact distribution of trajectories' ends to the target.
        jensen_shannon: The same, as a divergence in nats.
        log_z: What the loss has learnt log Z to be, or its estimate.
        exact_log_z: Log of the sum of the reward over all candidates.
        keys: Of all candidates.
        learnt: Their probabilities under the policy.
        target: Their probabilities in proportion to the reward.
        is_mode: Which of them are modes.
        modes_found: Modes among all that training came upon.
        modes_learnt: Modes that the policy gives at least half of their probability.
        random_actions: Share of actions taken at random in `mode_share_with_random_actions`.
    """

    exercise: str
    settings: dict[str, Any]
    policy: dict[str, Any]
    seed: int
    trajectories: int
    rewards_asked: int
    seconds: float
    total_variation: float
    jensen_shannon: float
    log_z: float
    exact_log_z: float
    modes_found: int
    modes_learnt: int
    mode_share: float
    exact_mode_share: float
    random_actions: float
    mode_share_with_random_actions: float
    keys: list[str] = field(repr=False)
    learnt: list[float] = field(repr=False)
    target: list[float] = field(repr=False)
    is_mode: list[bool] = field(repr=False)
    history: list[TrainMetrics] = field(repr=False)

    def modes(self) -> list[tuple[str, float, float]]:
        """Key, probability learnt and exact probability of each mode."""
        rows = zip(self.keys, self.learnt, self.target, self.is_mode, strict=True)
        return [(key, learnt, target) for key, learnt, target, mode in rows if mode]

    def summary(self) -> dict[str, Any]:
        """The figures, the modes and the training metrics, for JSON."""
        everything = asdict(self)
        for name in ("keys", "learnt", "target", "is_mode"):
            del everything[name]
        modes = [{"key": k, "learnt": p, "exact": q} for k, p, q in self.modes()]
        return {**everything, "candidates": len(self.keys), "modes": modes}


def fresh_per_step(settings: TrainSettings) -> int:
    """Fresh trajectories of a gradient step, once there is something to replay."""
    n = settings.batch_size
    return n - min(round(n * settings.replay_share), n - 1)


def verify(
    exercise: Exercise,
    settings: TrainSettings,
    *,
    policy: PolicySettings = PolicySettings(),
    seed: int = 0,
    random_actions: float = 0.1,
    device: str = "cpu",
    on_step: Callable[[TrainMetrics], None] = lambda _: None,
) -> Verdict:
    """Train on the exercise and compare with the exact answer.

    Args:
        random_actions: Share of actions taken at random in one of the figures, as by a sampler
            that goes on exploring.
    """
    environment, heads = exercise.environment, settings.heads(exercise.environment)
    network = make_policy(policy, environment, heads, Generator().manual_seed(seed)).to(device)
    agent = Agent(environment, network, heads, device)
    states = finished_states(environment)
    log_rewards = exercise.log_reward(states).double()
    is_mode = exercise.is_mode or _best_of(exercise, float(log_rewards.max()))
    target, modes = log_rewards.softmax(dim=0), is_mode(states)
    asked = 0

    def log_reward(states: Tensor, context: Tensor | None) -> Tensor:
        nonlocal asked
        asked += len(states)
        return exercise.log_reward(states)

    trainer = Trainer(agent, log_reward, settings, seed=seed, is_mode=is_mode)
    started = time.process_time()
    history = trainer.run(on_step=on_step)
    seconds = time.process_time() - started
    learnt = exact_distribution(agent)[1].cpu()
    noisy = exact_distribution(agent, epsilon=random_actions)[1].cpu()
    return Verdict(
        exercise=exercise.title,
        settings=asdict(settings),
        policy=asdict(policy),
        seed=seed,
        trajectories=settings.steps * fresh_per_step(settings),
        rewards_asked=asked,
        seconds=seconds,
        total_variation=total_variation(learnt, target),
        jensen_shannon=jensen_shannon(learnt, target),
        log_z=history[-1].log_z,
        exact_log_z=float(log_rewards.logsumexp(dim=0)),
        modes_found=history[-1].modes,
        modes_learnt=int((learnt[modes] >= target[modes] / 2).sum()),
        mode_share=float(learnt[modes].sum()),
        exact_mode_share=float(target[modes].sum()),
        random_actions=random_actions,
        mode_share_with_random_actions=float(noisy[modes].sum()),
        keys=environment.keys(states),
        learnt=learnt.tolist(),
        target=target.tolist(),
        is_mode=modes.tolist(),
        history=list(history),
    )


def _best_of(exercise: Exercise, log_best: float) -> Callable[[Tensor], Tensor]:
    """Modes as the states with the highest reward."""

    def is_mode(states: Tensor) -> Tensor:
        return exercise.log_reward(states) >= log_best - 1e-6

    return is_mode
