"""Training a policy on a reward: fresh and replayed trajectories, and guided proposals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from mfal.envs.fidelity import FidelityEnvironment
from mfal.gfn.base import TrainMetrics
from mfal.gfn.guided import offspring
from mfal.gfn.losses import LossName, make_loss
from mfal.gfn.replay import ReplayBuffer
from mfal.gfn.rewards import Rewards
from mfal.gfn.rollout import Trajectories, join, sample_backward, sample_forward


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train.

    Attributes:
        steps: Gradient steps.
        batch_size: Trajectories a step, fresh and replayed together.
        learning_rate: Of Adam, for the policy.
        replay_share: Share of the batch that is replayed, in [0, 1).
        epsilon: Probability with which a fresh trajectory's step is uniform.
        guided_every: Steps between guided proposals; 0 for none.
        guided_size: Offspring each time.
        guided_parents: How many of the best queries may be parents.
        loss: ``vargrad`` or ``tb``.
        capacity: Most queries in the replay buffer.
        report_every: Steps between lines of metrics.
    """

    steps: int = 300
    batch_size: int = 128
    learning_rate: float = 3e-3
    replay_share: float = 0.5
    epsilon: float = 0.05
    guided_every: int = 8
    guided_size: int = 256
    guided_parents: int = 200
    loss: LossName = "vargrad"
    capacity: int = 50_000
    report_every: int = 10


class Trainer:
    """Trains one policy once; its only state beside the policy is the replay buffer.

    Args:
        environment: Builds queries.
        policy: Any module from observations to logits; trained in place.
        rewards: Scores queries.
        settings: How to train.
        seed: Of everything that is drawn here.
        device: Where states live; the policy's.
    """

    def __init__(
        self,
        environment: FidelityEnvironment,
        policy: nn.Module,
        rewards: Rewards,
        settings: TrainSettings,
        *,
        seed: int,
        device: str = "cpu",
    ) -> None:
        self.environment = environment
        self.policy = policy
        self.rewards = rewards
        self.settings = settings
        self.buffer = ReplayBuffer(settings.capacity)
        self.device = device
        self._loss = make_loss(settings.loss).to(device)
        self._optimiser = torch.optim.Adam(
            [
                {"params": list(policy.parameters()), "lr": settings.learning_rate},
                {
                    "params": list(self._loss.parameters()),
                    "lr": settings.learning_rate * self._loss.learning_rate_factor,
                },
            ],
            fused=True,
        )
        self._generator = Generator(device).manual_seed(seed)
        # Its own stream, so that how often one looks does not change what is learnt.
        self._validation_generator = Generator(device).manual_seed(seed + 1)

    def run(
        self, *, start: Sequence[str] = (), on_step: Callable[[TrainMetrics], None] = lambda _: None
    ) -> tuple[TrainMetrics, ...]:
        """Train for all steps.

        Args:
            start: Keys of candidates to put into the replay buffer first.
            on_step: Called with each line of metrics.
        """
        if start:
            self._learn_of(self.environment.environment.states(list(dict.fromkeys(start))))
        history = []
        for step in range(1, self.settings.steps + 1):
            if self._guided_at(step):
                self.propose()
            loss = self.step()
            if step % self.settings.report_every == 0 or step == self.settings.steps:
                history.append(self._report(step, loss))
                on_step(history[-1])
        return tuple(history)

    def step(self) -> float:
        """One gradient step on fresh and replayed trajectories; returns its loss."""
        trajectories, log_reward = self._batch()
        loss: Tensor = self._loss(trajectories, log_reward)
        self._optimiser.zero_grad(set_to_none=True)
        # torch does not annotate `backward`.
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return float(loss.detach())

    def propose(self) -> None:
        """Score offspring of the buffer's best and put them into the buffer."""
        best, _ = self.buffer.best(self.settings.guided_parents)
        parents = self.environment.candidates(best)
        size = self.settings.guided_size
        self._learn_of(offspring(self.environment.environment, parents, size, self._generator))

    def _guided_at(self, step: int) -> bool:
        every = self.settings.guided_every
        return every > 0 and step % every == 0 and len(self.buffer) > 0

    def _batch(self) -> tuple[Trajectories, Tensor]:
        n = self.settings.batch_size
        n_replayed = min(round(n * self.settings.replay_share), n - 1) if len(self.buffer) else 0
        fresh = self._sample(n - n_replayed, self._generator, self.settings.epsilon)
        log_reward = self.rewards(fresh.final)
        parts, log_rewards = [fresh], [log_reward]
        if n_replayed:
            states, replayed_log_reward = self.buffer.uniform(n_replayed, self._generator)
            parts.append(sample_backward(self.environment, self.policy, states, self._generator))
            log_rewards.append(replayed_log_reward)
        self.buffer.add(self.environment.queries(fresh.final), fresh.final, log_reward)
        return join(parts), torch.cat(log_rewards)

    def _learn_of(self, candidates: Tensor) -> None:
        """Score candidates (``n x d``) and remember each at a fidelity drawn by its reward."""
        ladder = self.rewards.ladder(self.environment.environment.keys(candidates))
        chosen = ladder.softmax(dim=1).multinomial(1, generator=self._generator)
        states = self.environment.join(candidates.to(self.device), chosen[:, 0])
        log_rewards = ladder.gather(1, chosen)[:, 0]
        self.buffer.add(self.environment.queries(states), states, log_rewards)

    def _sample(self, n: int, generator: Generator, epsilon: float) -> Trajectories:
        start = self.environment.initial(n).to(self.device)
        return sample_forward(self.environment, self.policy, start, generator, epsilon=epsilon)

    @torch.no_grad()
    def _report(self, step: int, loss: float) -> TrainMetrics:
        """Metrics on fresh trajectories, which are not learnt from."""
        n = max(2, self.settings.batch_size // 4)
        trajectories = self._sample(n, self._validation_generator, 0.0)
        log_reward = self.rewards(trajectories.final)
        return TrainMetrics(
            step=step,
            steps=self.settings.steps,
            loss=loss,
            validation_loss=float(self._loss(trajectories, log_reward)),
            log_z=self._loss.estimate_log_z(trajectories, log_reward),
        )
