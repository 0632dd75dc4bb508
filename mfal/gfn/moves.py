"""How actions are drawn and rated: from masked logits, or from an environment's own densities."""

from typing import Protocol

import torch
from torch import Generator, Tensor

from mfal.envs.base import Buildable, ContinuousEnvironment, Environment, is_continuous, is_discrete
from mfal.errors import ConfigError
from mfal.gfn.heads import Heads

_CERTAIN = 1e9  # Noise as large as this drowns any logit.


class Moves(Protocol):
    """What a rollout needs to know about the actions of an environment."""

    def going(self, states: Tensor) -> Tensor:
        """Whether each state is unfinished, bool ``n``; comes before `draw`, once a step."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Only these of the rows last looked at go on."""
        ...

    def draw(self, states: Tensor, outputs: Tensor, time: int) -> Tensor:
        """The next action of each state, ``n`` or ``n x a``."""
        ...

    def log_pf(self, states: Tensor, outputs: Tensor, actions: Tensor) -> Tensor:
        """Log-probability of all actions of a rollout, ``R``; differentiable in the outputs."""
        ...


class DiscreteMoves:
    """Actions as the argmax of masked logits plus Gumbel noise, the noise of all steps at once.

    Args:
        n: Rows of the rollout.
        epsilon: Probability with which a step takes any allowed action uniformly.
        temperature: Above one flattens the policy from which is drawn, below one sharpens it.
    """

    def __init__(
        self,
        environment: Environment,
        heads: Heads,
        n: int,
        generator: Generator,
        *,
        epsilon: float = 0.0,
        temperature: float = 1.0,
    ) -> None:
        self._environment = environment
        self._heads = heads
        self._noise = draw_noise(
            (environment.max_steps, n, environment.n_actions), generator, epsilon, temperature
        )
        self._mask = torch.empty(0)
        self._masks: list[Tensor] = []

    def going(self, states: Tensor) -> Tensor:
        """Whether a mask allows an action."""
        self._mask = self._environment.forward_mask(states)
        return self._mask.any(dim=1)

    def keep(self, rows: Tensor) -> None:
        """Keep the masks of these rows."""
        self._mask = self._mask.index_select(0, rows)

    def draw(self, states: Tensor, outputs: Tensor, time: int) -> Tensor:
        """The allowed action with the highest noisy logit."""
        self._masks.append(self._mask)
        # Any row's noise will do for any other.
        noise = self._noise[time, : states.shape[0]]
        return masked_argmax(self._heads.forward_of(outputs) + noise, self._mask)

    def log_pf(self, states: Tensor, outputs: Tensor, actions: Tensor) -> Tensor:
        """Log-softmax over the allowed actions."""
        return taken(self._heads.forward_of(outputs), torch.cat(self._masks), actions)


class ContinuousMoves:
    """Actions from the distributions that a continuous environment makes of the outputs."""

    def __init__(
        self,
        environment: ContinuousEnvironment,
        heads: Heads,
        generator: Generator,
        *,
        epsilon: float = 0.0,
    ) -> None:
        self._environment = environment
        self._heads = heads
        self._generator = generator
        self._epsilon = epsilon

    def going(self, states: Tensor) -> Tensor:
        """Whether the environment calls them unfinished."""
        return ~self._environment.finished(states)

    def keep(self, rows: Tensor) -> None:
        """Nothing to keep."""

    def draw(self, states: Tensor, outputs: Tensor, time: int) -> Tensor:
        """Draw from the environment's distribution."""
        actions = self._environment.forward_actions(states, self._heads.forward_of(outputs))
        return actions.draw(self._generator, epsilon=self._epsilon)

    def log_pf(self, states: Tensor, outputs: Tensor, actions: Tensor) -> Tensor:
        """Log-densities."""
        outputs = self._heads.forward_of(outputs)
        return self._environment.forward_actions(states, outputs).log_prob(actions)


def make_moves(
    environment: Buildable,
    heads: Heads,
    n: int,
    generator: Generator,
    *,
    epsilon: float = 0.0,
    temperature: float = 1.0,
) -> Moves:
    """The moves of an environment, for a rollout of n rows."""
    if is_continuous(environment):
        if temperature != 1.0:
            raise ConfigError(
                f"the temperature is {temperature:g}, and densities cannot be flattened by one",
                "leave it at 1 and explore by epsilon",
            )
        return ContinuousMoves(environment, heads, generator, epsilon=epsilon)
    if is_discrete(environment):
        return DiscreteMoves(
            environment, heads, n, generator, epsilon=epsilon, temperature=temperature
        )
    raise TypeError(f"{type(environment).__name__} has neither masks nor action distributions")


def draw_noise(
    size: tuple[int, int, int], generator: Generator, epsilon: float, temperature: float
) -> Tensor:
    """Noise that, added to logits, makes the argmax a draw from the policy, ``T x n x A``.

    Gumbel noise; `temperature` times as much where the policy is to be flatter, and so much
    that logits do not count in the steps (a share `epsilon` of them) that explore.
    """
    noise = gumbel(size, generator)
    if temperature != 1.0:
        noise *= temperature
    if epsilon > 0.0:
        explores = torch.rand(size[:2], generator=generator, device=generator.device) < epsilon
        noise = torch.where(explores[:, :, None], noise * _CERTAIN, noise)
    return noise


def gumbel(size: tuple[int, ...], generator: Generator) -> Tensor:
    """Standard Gumbel noise: minus the log of exponential noise."""
    noise = torch.empty(size, device=generator.device)
    return noise.exponential_(generator=generator).log_().neg_()


def masked_argmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Best allowed action of each row; an action that is not allowed never comes out."""
    return torch.where(mask, scores, -torch.inf).argmax(dim=1)


def log_probabilities(logits: Tensor, mask: Tensor) -> Tensor:
    """Log-probabilities of all actions, ``n x n_actions``; -inf for those not allowed."""
    return torch.where(mask, logits, -torch.inf).log_softmax(dim=1)


def taken(logits: Tensor, mask: Tensor, actions: Tensor) -> Tensor:
    """Log-probability of one action a row, ``n``."""
    return log_probabilities(logits, mask).gather(1, actions[:, None])[:, 0]
