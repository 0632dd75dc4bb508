"""Mixtures of von Mises densities on a torus: their logarithm, and draws from them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from mfal.errors import ConfigError

LOG_CIRCUMFERENCE = math.log(2 * math.pi)

BELOW_PI = math.nextafter(math.pi, 0)
"""Largest float64 below pi."""

_BELOW_PI_FLOAT32 = 3.1415925
# The proposal has a 0/0 at concentration 0; this one is uniform to within 1e-6.
_LEAST_CONCENTRATION = 1e-6


def wrap(angles: Tensor) -> Tensor:
    """Angles moved by full turns into [-pi, pi), of the same type and shape.

    The float32 next to pi is larger than pi, hence the clamp; it moves by at most 2e-7.
    """
    turns = torch.floor((angles.double() + math.pi) / (2 * math.pi))
    inside = (angles.double() - 2 * math.pi * turns).to(angles.dtype)
    limit = _BELOW_PI_FLOAT32 if angles.dtype == torch.float32 else BELOW_PI
    return inside.clamp(-limit, limit)


def log_von_mises(angles: Tensor, means: Tensor, concentrations: Tensor) -> Tensor:
    """Log-density of the von Mises distribution, elementwise.

    It is exp(k cos(x - m)) / (2 pi I0(k)). Written with the half angle and the exponentially
    scaled Bessel function, so that neither overflow nor cancellation spoils large k.
    """
    bend = -2 * concentrations * torch.sin((angles - means) / 2).square()
    scaled: Tensor = torch.special.i0e(concentrations)
    return bend - scaled.log() - LOG_CIRCUMFERENCE


def draw_von_mises(means: Tensor, concentrations: Tensor, generator: Generator) -> Tensor:
    """One draw for every entry of `means` and `concentrations`, in [-pi, pi), of their type.

    Rejection from a wrapped Cauchy distribution (Best and Fisher 1979, Applied Statistics 28,
    152-157), where at least two proposals in three are taken; torch's own sampler takes no
    generator.
    """
    k = concentrations.detach().double().flatten().clamp_min(_LEAST_CONCENTRATION)
    tau = 1 + torch.sqrt(1 + 4 * k.square())
    # (tau - sqrt(2 tau)) / 2k of the paper, without its cancellation at small k.
    rho = 2 * k / (tau + torch.sqrt(2 * tau))
    r = (1 + rho.square()) / (2 * rho)
    drawn, open_ = torch.zeros_like(k), torch.arange(len(k), device=k.device)
    while len(open_):
        u = torch.rand(
            3, len(open_), generator=generator, device=generator.device, dtype=torch.float64
        )
        z, own = torch.cos(math.pi * u[0]), r[open_]
        cosine = ((1 + own * z) / (own + z)).clamp(-1, 1)
        c = k[open_] * (own - cosine)
        taken = (c * (2 - c) > u[1]) | (torch.log(c / u[1]) + 1 - c >= 0)
        drawn[open_[taken]] = (torch.arccos(cosine) * torch.sign(u[2] - 0.5))[taken]
        open_ = open_[~taken]
    return wrap((drawn.view(means.shape) + means.detach().double()).to(means.dtype))


@dataclass(frozen=True)
class VonMisesMixture:
    """Weighted sums of products of von Mises densities, one sum for each of n rows.

    The weights need not add up to 1: the integral over the torus is `log_total`, so that a
    target whose answer is known exactly is one row of this.

    Attributes:
        log_weights: ``n x K``.
        means: ``n x K x d``, radians.
        concentrations: ``n x K x d``, not negative.
    """

    log_weights: Tensor
    means: Tensor
    concentrations: Tensor

    def log_density(self, angles: Tensor) -> Tensor:
        """Log of the sum at `angles` (``n x d``), ``n``; a mixture of one row serves all."""
        each = log_von_mises(angles[:, None], self.means, self.concentrations).sum(dim=2)
        return (self.log_weights + each).logsumexp(dim=1)

    def log_total(self) -> Tensor:
        """Log of the integral over the torus, ``n``."""
        return self.log_weights.logsumexp(dim=1)

    def draw(self, generator: Generator) -> Tensor:
        """One point a row, ``n x d``, in [-pi, pi)."""
        weights = self.log_weights.detach().softmax(dim=1)
        chosen = weights.multinomial(1, generator=generator)[:, :, None]
        chosen = chosen.expand(-1, -1, self.means.shape[2])
        means, concentrations = (
            x.detach().gather(1, chosen)[:, 0] for x in (self.means, self.concentrations)
        )
        return draw_von_mises(means, concentrations, generator)


def target_mixture(
    weights: Sequence[float],
    means: Sequence[Sequence[float]],
    concentrations: Sequence[Sequence[float]],
) -> VonMisesMixture:
    """One sum of K peaks, to be the reward on a torus of d angles.

    Args:
        weights: Integral of each peak, ``K``; their sum is Z.
        means: Radians, ``K x d``.
        concentrations: ``K x d``.
    """
    shapes = {len(weights), len(means), len(concentrations)}
    widths = {len(row) for row in (*means, *concentrations)}
    if len(shapes) != 1 or len(widths) != 1 or not weights:
        raise ConfigError(
            f"{len(weights)} weights, {len(means)} means and {len(concentrations)} "
            "concentrations do not fit together",
            "give each peak one weight, and as many means and concentrations as there are angles",
        )
    if min(weights) <= 0 or min(min(row) for row in concentrations) < 0:
        raise ConfigError(
            f"the weights are {list(weights)}, the concentrations {list(concentrations)}",
            "weights are above 0, concentrations not below 0",
        )
    return VonMisesMixture(
        torch.tensor([weights]).log(), torch.tensor([means]), torch.tensor([concentrations])
    )
