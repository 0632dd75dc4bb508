"""Points of a torus, such as the torsion angles of a molecule, reached in a few turns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor

from mfal.envs.vonmises import LOG_CIRCUMFERENCE, VonMisesMixture, wrap
from mfal.errors import ConfigError, InvalidKeyError


@dataclass(frozen=True)
class TorusActions:
    """Turns of the angles of n states: from a mixture, uniform, or certain.

    Attributes:
        mixture: Of n rows; uniform where None.
        own: The turns that are certain, where they are, ``n x d``.
        certain: Where the turn is certain, bool ``n``; its probability is 1.
    """

    mixture: VonMisesMixture | None
    own: Tensor
    certain: Tensor

    def draw(self, generator: Generator, *, epsilon: float = 0.0) -> Tensor:
        """One turn a state, ``n x d`` in [-pi, pi); with probability `epsilon` uniform."""
        n, device = len(self.own), generator.device
        uniform = torch.rand(self.own.shape, generator=generator, device=device) * 2 - 1
        turns = wrap(uniform * math.pi)
        if self.mixture is not None:
            strays = torch.rand(n, 1, generator=generator, device=device) < epsilon
            turns = torch.where(strays, turns, self.mixture.draw(generator))
        return torch.where(self.certain[:, None], self.own, turns)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-density of turns (``n x d``) on the torus, ``n``; 0 where they are certain."""
        if self.mixture is None:
            log_density = actions.new_full((len(actions),), -actions.shape[1] * LOG_CIRCUMFERENCE)
        else:
            log_density = self.mixture.log_density(actions)
        return log_density.masked_fill(self.certain, 0.0)


class TorusEnvironment:
    """Angles on a torus, turned a fixed number of times, all at once.

    A state is the d angles in [-pi, pi) and the number of turns so far, ``n x (d + 1)``; the
    source has all angles 0. An action adds to every angle, ``n x d``, drawn from a mixture of
    products of von Mises distributions. This is the torus of Lahlou et al. 2023 (A theory of
    continuous generative flow networks, arXiv 2301.12594).

    The first turn is known from where it led, so the last step back has probability 1. All
    others are undone by any turn at all: uniform, or a mixture that is learnt as well.

    Args:
        steps: Number of turns.
        components: Number K of products in the mixture.
        max_concentration: Upper bound of concentrations; peaks are no narrower than
            1 / sqrt(max_concentration) radians.
        dimensions: Number d of angles.
        harmonics: The policy sees cosine and sine of 1 to this many times each angle.
    """

    def __init__(
        self,
        *,
        steps: Annotated[int, Field(gt=0)],
        components: Annotated[int, Field(gt=0)] = 5,
        max_concentration: Annotated[float, Field(gt=1, le=1e5)] = 500.0,
        dimensions: Annotated[int, Field(gt=0)] = 2,
        harmonics: Annotated[int, Field(gt=0)] = 3,
    ) -> None:
        if min(steps, components, dimensions, harmonics) < 1:
            raise ConfigError(
                f"steps, components, dimensions and harmonics are {steps}, {components}, "
                f"{dimensions} and {harmonics}",
                "each is at least 1",
            )
        if not 1 < max_concentration <= 1e5:
            raise ConfigError(
                f"the largest concentration is {max_concentration}",
                "it is above 1 and at most 100000",
            )
        self.steps, self.components, self.dimensions = steps, components, dimensions
        self.max_concentration, self.harmonics = max_concentration, harmonics
        self.max_steps = steps
        self.n_features = 2 * harmonics * dimensions + steps + 1
        self.n_forward = self.n_backward = components * (1 + 2 * dimensions)
        # Where means lie before anything is learnt: a lattice, to look everywhere at first.
        place = torch.arange(components)[:, None] * torch.arange(1, dimensions + 1)
        self._lattice = place / components * 2 * math.pi

    def initial(self, n: int) -> Tensor:
        """N points with all angles 0, not turned yet, ``n x (d + 1)``."""
        return torch.zeros(n, self.dimensions + 1)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        """Turn each angle by `actions` (``n x d``)."""
        return torch.cat([wrap(states[:, :-1] + actions), states[:, -1:] + 1], dim=1)

    def undo(self, states: Tensor, actions: Tensor) -> Tensor:
        """Turn each angle back by `actions` (``n x d``); the first turn leads from the source."""
        # Exactly 0, not the rounding error of the angle minus itself.
        first = states[:, -1:] == 1
        angles = wrap(states[:, :-1] - actions).masked_fill(first, 0.0)
        return torch.cat([angles, states[:, -1:] - 1], dim=1)

    def finished(self, states: Tensor) -> Tensor:
        """Whether all turns are taken, bool ``n``."""
        return states[:, -1] >= self.steps

    def at_source(self, states: Tensor) -> Tensor:
        """Whether no turn is taken yet, bool ``n``."""
        return states[:, -1] == 0

    def forward_actions(self, states: Tensor, outputs: Tensor) -> TorusActions:
        """The next turn: a mixture from outputs ``n x n_forward``.

        They are K log-weights, K x d means and K x d concentrations; outputs of 0 stand for
        equal weights, means on a lattice and concentrations of 1.
        """
        certain = torch.zeros(len(states), dtype=torch.bool, device=states.device)
        return TorusActions(self._mixture(outputs), states[:, :-1], certain)

    def backward_actions(self, states: Tensor, outputs: Tensor | None) -> TorusActions:
        """The last turn: uniform where `outputs` (``n x n_backward``) is None, else a mixture.

        The first turn is certain: it is the angles themselves.
        """
        mixture = None if outputs is None else self._mixture(outputs)
        return TorusActions(mixture, states[:, :-1], states[:, -1] == 1)

    def observe(self, states: Tensor) -> Tensor:
        """Cosines and sines of multiples of the angles, one-hot count, ``n x n_features``."""
        multiples = torch.arange(1, self.harmonics + 1, device=states.device)
        angles = (states[:, :-1, None] * multiples).flatten(1)
        count = states[:, -1:] == torch.arange(self.steps + 1, device=states.device)
        return torch.cat([angles.cos(), angles.sin(), count.to(angles)], dim=1)

    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        """The largest difference of an angle, as a share of half a turn, ``k x n``."""
        gaps: Tensor = wrap(first[:, None, :-1] - second[None, :, :-1]).abs().amax(dim=2)
        return gaps / math.pi

    def keys(self, states: Tensor) -> list[str]:
        """The angles in radians, as short as float32 allows, such as ``-1.5 0.78539819``."""
        # Adding 0 turns -0.0 into 0.0.
        return [" ".join(map(str, row)) for row in (states[:, :-1].cpu() + 0.0).numpy()]

    def states(self, keys: Sequence[str]) -> Tensor:
        """Finished states of keys, ``n x (d + 1)``.

        Raises:
            InvalidKeyError: for another number of angles, one that is no number or outside
                [-pi, pi), or a text other than the canonical one.
        """
        states = self.initial(len(keys))
        for row, key in enumerate(keys):
            states[row, :-1] = self._parse(key)
        states[:, -1] = self.steps
        for key, canonical in zip(keys, self.keys(states), strict=True):
            if key != canonical:
                raise InvalidKeyError(
                    f"angles {key!r} are not in canonical form", f"write {canonical!r}"
                )
        return states

    def _mixture(self, outputs: Tensor) -> VonMisesMixture:
        cuts = [self.components, self.components * (1 + self.dimensions)]
        weights, means, concentrations = outputs.tensor_split(cuts, dim=1)
        shape = (-1, self.components, self.dimensions)
        # About exp(output) as long as that is small, and never above the bound.
        offset = math.log(self.max_concentration - 1)
        return VonMisesMixture(
            weights.log_softmax(dim=1),
            means.view(shape) + self._lattice.to(outputs),
            self.max_concentration * torch.sigmoid(concentrations.view(shape) - offset),
        )

    def _parse(self, key: str) -> Tensor:
        try:
            angles = torch.tensor([float(word) for word in key.split(" ")])
        except ValueError as error:
            raise InvalidKeyError(
                f"angles {key!r}: {error}", "write numbers separated by one space"
            ) from error
        if len(angles) != self.dimensions:
            raise InvalidKeyError(
                f"{key!r} has {len(angles)} angles", f"this torus has {self.dimensions}"
            )
        # In float64, since the float32 next to pi is larger than pi.
        if not (angles.double().abs() < math.pi).all():
            raise InvalidKeyError(f"angles {key!r} leave [-pi, pi)", "angles are in radians")
        return angles


def torus_log_reward(states: Tensor, target: VonMisesMixture) -> Tensor:
    """Log of the target's density at each state's angles, ``n``; its log Z is `log_total`.

    Args:
        states: States of `TorusEnvironment`, ``n x (d + 1)``.
        target: One row, see `mfal.envs.vonmises.target_mixture`.
    """
    return target.log_density(states[:, :-1])
