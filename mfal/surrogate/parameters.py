"""What the Gaussian process learns: priors, floors, and the matrices made of it."""

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from mfal.surrogate.structures import Prior, Structure


@dataclass(frozen=True)
class Priors:
    """All parameters of a ladder of M fidelities, unconstrained and end to end in one vector.

    Logarithms and logits keep every entry where its gradient does not vanish: a correlation
    can come close to 1 or 0 and still be moved. Values are in standardised units, where the
    target's utilities have variance 1.

    - A residual that the features cannot explain goes to the nugget (prior about .1) before
      it goes to the noise (about .001), which keeps the fidelity correlation from
      collapsing to 1.
    - Correlations with the target are never below zero in any structure; their priors are about
      .85 for what the features explain and .73 for what they do not, and hold them off 1.

    Attributes:
        table: Name of each parameter and its priors, in order.
        structure: How the fidelities hang together.
        noise_floor: Least noise variance.
        nugget_floor: Least variance of what is special to a candidate.
    """

    table: dict[str, Prior]
    structure: Structure
    noise_floor: float
    nugget_floor: float

    @classmethod
    def of(
        cls,
        structure: Structure,
        *,
        counts: bool,
        length: bool,
        trends: bool,
        noise_floor: float,
        nugget_floor: float,
    ) -> "Priors":
        """The priors for a ladder.

        Args:
            structure: As the attribute.
            counts: Whether there are count columns.
            length: Whether the kernel over them has a length scale.
            trends: Whether there are columns with a linear trend.
            noise_floor: As the attribute.
            nugget_floor: As the attribute.
        """
        table = {
            "log_count_variance": Prior(int(counts), log(0.3), 1.0),
            "log_count_length": Prior(int(counts and length), log(1.5), 0.75),
            "log_trend_variance": Prior(int(trends), log(0.3), 1.0),
            "log_trend_length": Prior(int(trends), log(1.5), 0.75),
            "log_slope_variance": Prior(int(trends), 0.0, 1.5),
            **structure.table(),
            "log_noise": Prior(structure.n_levels, log(1e-3), 1.5),
            "offset": Prior(structure.n_levels, 0.0, 1.0),
        }
        return cls(table, structure, noise_floor, nugget_floor)

    def start(self) -> Tensor:
        """The prior means, from which a fit starts."""
        parts = [torch.full((p.size,), p.mean, dtype=torch.float64) for p in self.table.values()]
        return torch.cat(parts)

    def sd(self) -> Tensor:
        """The prior standard deviations."""
        parts = [torch.full((p.size,), p.sd, dtype=torch.float64) for p in self.table.values()]
        return torch.cat(parts)

    def penalty(self, theta: Tensor) -> Tensor:
        """Minus the log prior density of `theta` up to a constant, a scalar."""
        return 0.5 * ((theta - self.start()) / self.sd()).square().sum()

    def split(self, theta: Tensor) -> dict[str, Tensor]:
        """Parameter name -> its entries of `theta`."""
        pieces = torch.split(theta, [p.size for p in self.table.values()])
        return dict(zip(self.table, pieces, strict=True))

    def build(self, theta: Tensor) -> "Hyperparameters":
        """The matrices and variances that `theta` stands for; differentiable."""
        p = self.split(theta)
        n = self.structure.n_fidelities
        return Hyperparameters(
            count_variance=p["log_count_variance"].exp().sum(),
            count_length=p["log_count_length"].exp().sum(),
            trend_variance=p["log_trend_variance"].exp().sum(),
            trend_length=p["log_trend_length"].exp().sum(),
            slope_variance=p["log_slope_variance"].exp().sum(),
            smooth=self.structure.smooth(p),
            nugget=self.structure.nugget(p, self.nugget_floor),
            noise=(self.noise_floor + p["log_noise"].exp()).expand(n),
            offset=p["offset"].expand(n),
        )


@dataclass(frozen=True)
class Hyperparameters:
    """One Gaussian process: k = smooth[m, m'] k_x(x, x') + nugget[m, m'] 1[same] + noise.

    Attributes:
        count_variance: Variance of the kernel over the counts, 0 without counts.
        count_length: Its length scale; 0 where it has none.
        trend_variance: Variance of the Matérn kernel over the trend columns, 0 without any.
        trend_length: Its length scale.
        slope_variance: Variance of the linear kernel over the trend columns.
        smooth: Covariance among fidelities of what the features explain, ``M x M``.
        nugget: The same of what is special to a candidate, ``M x M``.
        noise: Noise variances, ``M``.
        offset: Prior means, ``M``.
    """

    count_variance: Tensor
    count_length: Tensor
    trend_variance: Tensor
    trend_length: Tensor
    slope_variance: Tensor
    smooth: Tensor
    nugget: Tensor
    noise: Tensor
    offset: Tensor
