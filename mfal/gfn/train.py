"""Training a policy on a reward: fresh and replayed trajectories, and guided proposals."""

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from mfal.envs.base import hook
from mfal.errors import ConfigError, MfalError
from mfal.gfn.agent import Agent
from mfal.gfn.base import TrainMetrics
from mfal.gfn.checkpoint import read_checkpoint, write_checkpoint
from mfal.gfn.guided import offspring, rebuild
from mfal.gfn.losses import Loss, effective_share
from mfal.gfn.modes import BEST, apart, count_modes
from mfal.gfn.objectives import make_loss
from mfal.gfn.replay import ReplayBuffer
from mfal.gfn.rollout import rollout, ways_back
from mfal.gfn.settings import TrainSettings
from mfal.gfn.trajectories import Trajectories

StateReward = Callable[[Tensor, Tensor | None], Tensor]
"""Finished states ``n x d`` and their contexts ``n x c`` -> log reward ``n``."""

Contexts = Callable[[int, Generator], Tensor]
"""How many trajectories, and what draws -> what the policy is conditioned on, ``n x c``."""


class DivergedError(MfalError):
    """Training has left the finite numbers."""


class Trainer:
    """Trains one policy.

    Beside the policy its state, which a checkpoint holds, is that of the loss, the optimiser, the
    replay buffer and two generators, the number of steps done, and the lines of metrics so far.

    Args:
        agent: The policy in its environment; the policy is trained in place.
        log_reward: Scores finished states.
        settings: How to train.
        seed: Of everything that is drawn here.
        contexts: Draws what the policy is conditioned on; None where on nothing.
        is_mode: Which finished states (``n x d``) are modes, bool ``n``, for the metrics.
        loss: Another than that of the settings, which then only says whether there are flows.
    """

    def __init__(
        self,
        agent: Agent,
        log_reward: StateReward,
        settings: TrainSettings,
        *,
        seed: int,
        contexts: Contexts | None = None,
        is_mode: Callable[[Tensor], Tensor] | None = None,
        loss: Loss | None = None,
    ) -> None:
        wanted = settings.heads(agent.environment)
        if (agent.heads.backward > 0) != (wanted.backward > 0) or agent.heads.flow < wanted.flow:
            raise ConfigError(
                f"the policy has the heads {agent.heads}, and the settings need {wanted}",
                "make its outputs with TrainSettings.heads(environment)",
            )
        self.agent = agent
        self.log_reward = log_reward
        self.settings = settings
        self.buffer = ReplayBuffer(settings.capacity)
        self.history: list[TrainMetrics] = []
        self.steps_done = 0
        self._contexts = contexts
        self._is_mode = is_mode
        self._generator = Generator(agent.device).manual_seed(seed)
        # Its own stream, so that how often one looks does not change what is learnt.
        self._validation_generator = Generator(agent.device).manual_seed(seed + 1)
        width = 0 if contexts is None else contexts(1, Generator(agent.device)).shape[1]
        if loss is None:
            loss = make_loss(
                settings.loss,
                agent,
                decay=settings.decay,
                context_features=width,
                generator=Generator().manual_seed(seed),
            )
        self.loss = loss.to(agent.device)
        policy = {"params": list(agent.policy.parameters()), "lr": settings.learning_rate}
        groups = [policy, *self.loss.parameter_groups(settings.learning_rate)]
        self._optimiser = torch.optim.Adam(groups, fused=True)
        self._rates = [float(group["lr"]) for group in groups]

    def run(
        self,
        *,
        start: Tensor | None = None,
        steps: int | None = None,
        on_step: Callable[[TrainMetrics], None] = lambda _: None,
    ) -> tuple[TrainMetrics, ...]:
        """Train for the steps that are left; returns the metrics of all.

        Args:
            start: Finished states to put into the replay buffer first, ``n x d``.
            steps: Stop after so many steps, for a checkpoint.
            on_step: Called with each line of metrics.
        """
        if start is not None and len(start):
            self.learn_of(start.to(self.agent.device))
        end = self.settings.steps if steps is None else self.steps_done + steps
        while self.steps_done < min(end, self.settings.steps):
            self._advance(on_step)
        return tuple(self.history)

    def step(self) -> float:
        """One gradient step on fresh and replayed trajectories; returns its loss.

        Raises:
            DivergedError: if the loss is not finite.
        """
        pace = self.settings.pace(max(1, self.steps_done))
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * pace
        trajectories, log_reward = self._batch()
        loss: Tensor = self.loss(trajectories, log_reward)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DivergedError(
                f"the loss of training step {self.steps_done} is {value:g}",
                "lower sampler.options.train.learning_rate",
            )
        self._optimiser.zero_grad(set_to_none=True)
        # torch does not annotate `backward`.
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return value

    def guide(self) -> None:
        """Score offspring of the buffer's best and put them into the buffer."""
        parents = self._parents()
        size, generator = self.settings.guided_size, self._generator
        if self.settings.guide == "genetic":
            found = offspring(self.agent.environment, parents, size, generator)
            self.learn_of(found)
            return
        rows = torch.randint(len(parents), (size,), generator=generator, device=generator.device)
        context = self._draw_contexts(size, generator)
        self.learn_of(rebuild(self.agent, parents[rows], generator, context), context)

    def _parents(self) -> Tensor:
        """The best in the buffer, as far apart as is asked for."""
        n, least = self.settings.guided_parents, self.settings.guided_apart
        if least == 0:
            return self.buffer.best(n)[0]
        best = self.buffer.best(10 * n)[0]
        return best[apart(self.agent.environment, best, least, n)]

    def learn_of(self, states: Tensor, context: Tensor | None = None) -> None:
        """Score finished states (``n x d``) and remember them."""
        if context is None:
            context = self._draw_contexts(len(states), self._generator)
        self._remember(states, self.log_reward(states, context))

    def save(self, path: Path) -> None:
        """Write a checkpoint from which `load` goes on to the same result."""
        write_checkpoint(path, self._state())

    def load(self, path: Path) -> None:
        """Go on where a checkpoint left off.

        Raises:
            CheckpointError: if it is unreadable, or of another policy or other settings.
        """
        state = read_checkpoint(path, like=self._state(), same=("settings",))
        device = self.agent.device
        self.agent.policy.load_state_dict(state["policy"])
        self.loss.load_state_dict(state["loss"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._generator.set_state(state["generator"])
        self._validation_generator.set_state(state["validation_generator"])
        self.buffer.restore(state["buffer"], device)
        self.steps_done = state["steps_done"]
        self.history = [TrainMetrics(**line) for line in state["history"]]

    def _state(self) -> dict[str, Any]:
        return {
            "settings": asdict(self.settings),
            "policy": self.agent.policy.state_dict(),
            "loss": self.loss.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "generator": self._generator.get_state(),
            "validation_generator": self._validation_generator.get_state(),
            "buffer": self.buffer.state(),
            "steps_done": self.steps_done,
            "history": [asdict(line) for line in self.history],
        }

    def _advance(self, on_step: Callable[[TrainMetrics], None]) -> None:
        self.steps_done += 1
        if self._guided_now():
            self.guide()
        loss = self.step()
        if self._reports_now():
            self.history.append(self._report(loss))
            on_step(self.history[-1])

    def _guided_now(self) -> bool:
        every = self.settings.guided_every
        return every > 0 and self.steps_done % every == 0 and len(self.buffer) > 0

    def _reports_now(self) -> bool:
        last = self.steps_done == self.settings.steps
        return last or self.steps_done % self.settings.report_every == 0

    def _batch(self) -> tuple[Trajectories, Tensor]:
        n, share = self.settings.batch_size, self.settings.replay_share
        n_replayed = min(round(n * share), n - 1) if len(self.buffer) else 0
        n_fresh, context = n - n_replayed, self._draw_contexts(n, self._generator)
        given, known = None, []
        if n_replayed:
            states, log_reward = self.buffer.draw(self.settings.replay, n_replayed, self._generator)
            own = None if context is None else context[n_fresh:]
            given = ways_back(self.agent, states, self._generator, own).after_free(n_fresh)
            # Under another context the reward is another.
            known = [log_reward if own is None else self.log_reward(states, own)]
        with torch.set_grad_enabled(not self.loss.looks_anew):
            trajectories = rollout(
                self.agent,
                self.agent.start(n),
                self._generator,
                given=given,
                context=context,
                epsilon=self.settings.epsilon,
                temperature=self.settings.temperature,
                with_states=self.loss.looks_anew,
            )
        fresh = trajectories.final[:n_fresh]
        log_reward = self.log_reward(fresh, None if context is None else context[:n_fresh])
        self._remember(fresh, log_reward)
        return trajectories, torch.cat([log_reward, *known])

    def _remember(self, states: Tensor, log_reward: Tensor) -> None:
        """Put finished states into the buffer, in one guise where a candidate has several.

        Or else the best of the buffer, which are bred from, are soon one candidate many times.
        """
        canonical = hook(self.agent.environment, "canonical")
        self.buffer.add(states if canonical is None else canonical(states), log_reward)

    def _draw_contexts(self, n: int, generator: Generator) -> Tensor | None:
        return None if self._contexts is None else self._contexts(n, generator)

    @torch.no_grad()
    def _report(self, loss: float) -> TrainMetrics:
        """Metrics on fresh trajectories, which are not learnt from."""
        n, generator = max(2, self.settings.batch_size // 4), self._validation_generator
        context = self._draw_contexts(n, generator)
        trajectories = rollout(
            self.agent,
            self.agent.start(n),
            generator,
            context=context,
            with_states=self.loss.looks_anew,
        )
        log_reward = self.log_reward(trajectories.final, context)
        weight = self.loss.log_weight(trajectories, log_reward)
        return TrainMetrics(
            step=self.steps_done,
            steps=self.settings.steps,
            loss=loss,
            validation_loss=float(self.loss(trajectories, log_reward)),
            log_z=float(self.loss.log_z(trajectories, log_reward)),
            effective_sample_size=effective_share(weight, context),
            modes=self._count_modes(),
        )

    def _count_modes(self) -> int:
        """Among all in the replay buffer, or among its best where the problem does not say."""
        if self._is_mode is not None:
            return int(self._is_mode(self.buffer.states).sum())
        return count_modes(self.agent.environment, self.buffer.best(BEST)[0])
