"""How the fidelities of a ladder hang together: the covariances among them, by name."""

from dataclasses import dataclass
from math import log
from typing import Literal, Protocol

import torch
from torch import Tensor

from mfal.surrogate.coregionalisation import chain_covariance, fidelity_covariance

StructureName = Literal["lmc", "icm", "ar1", "linear-truncated", "single"]

_SMALLEST = 1e-12


@dataclass(frozen=True)
class Prior:
    """Independent normal priors on the `size` entries of one unconstrained parameter."""

    size: int
    mean: float
    sd: float


class Structure(Protocol):
    """Two covariances among M fidelities: of what features explain, and of what they do not.

    Both are made of unconstrained parameters that start at their prior means, where no
    gradient of the evidence vanishes. Values are in standardised units.
    """

    @property
    def n_fidelities(self) -> int:
        """M, the length of the ladder."""
        ...

    @property
    def n_levels(self) -> int:
        """How many fidelities have a noise and an offset of their own: M, or 1 shared by all."""
        ...

    def table(self) -> dict[str, Prior]:
        """Name of each parameter and its priors."""
        ...

    def smooth(self, p: dict[str, Tensor]) -> Tensor:
        """Covariance of what the features explain, ``M x M``; differentiable."""
        ...

    def nugget(self, p: dict[str, Tensor], floor: float) -> Tensor:
        """Covariance of what is special to a candidate, ``M x M``; its variances exceed `floor`."""
        ...


@dataclass(frozen=True)
class Intrinsic:
    """One covariance for all that the features explain, and nothing special to a candidate.

    Intrinsic coregionalisation (Bonilla, Chai & Williams, NeurIPS 20 (2007), equation 4), as a
    baseline: where rungs were asked about different candidates, its correlation collapses to 1.

    Attributes:
        n_fidelities: M.
    """

    n_fidelities: int

    @property
    def n_levels(self) -> int:
        """M."""
        return self.n_fidelities

    def table(self) -> dict[str, Prior]:
        """Correlations are logits: a normal prior there holds them off 1 (.999 costs 13 nats)."""
        lower = self.n_fidelities - 1
        return {
            "log_scale": Prior(lower, 0.0, 0.5),
            "logit_correlation": Prior(lower, 1.7, 1.0),
            "logit_partial": Prior(int(lower > 1), 0.0, 1.0),
        }

    def smooth(self, p: dict[str, Tensor]) -> Tensor:
        """With the target's variance at 1."""
        one = torch.ones(1, dtype=torch.float64)
        sd = torch.cat([p["log_scale"].exp(), one])
        return fidelity_covariance(sd, p["logit_correlation"], p["logit_partial"])

    def nugget(self, p: dict[str, Tensor], floor: float) -> Tensor:
        """Zero."""
        return torch.zeros(self.n_fidelities, self.n_fidelities, dtype=torch.float64)


@dataclass(frozen=True)
class Coregionalised(Intrinsic):
    """The default: a second covariance for what is special to a candidate.

    Linear model of coregionalisation (Alvarez, Rosasco & Lawrence, Foundations and Trends in
    Machine Learning 4, 195 (2012), section 4.2) of the features' kernel and a nugget.
    """

    def table(self) -> dict[str, Prior]:
        """As of `Intrinsic`, for both covariances."""
        lower = self.n_fidelities - 1
        return {
            **super().table(),
            "log_nugget": Prior(self.n_fidelities, log(0.1), 1.0),
            "logit_nugget_correlation": Prior(lower, 1.0, 1.0),
            "logit_nugget_partial": Prior(int(lower > 1), 0.0, 1.0),
        }

    def nugget(self, p: dict[str, Tensor], floor: float) -> Tensor:
        """Of the same form as the smooth part."""
        return fidelity_covariance(
            (floor + p["log_nugget"].exp()).sqrt(),
            p["logit_nugget_correlation"],
            p["logit_nugget_partial"],
        )


@dataclass(frozen=True)
class Autoregressive:
    """A chain: each rung is a multiple of the one below plus an error of its own.

    Kennedy & O'Hagan, Biometrika 87, 1 (2000), equation 1, with one kernel over candidates
    for all errors, and a nugget that is a chain as well. Multiples are above zero.

    Attributes:
        n_fidelities: M.
    """

    n_fidelities: int

    @property
    def n_levels(self) -> int:
        """M."""
        return self.n_fidelities

    def table(self) -> dict[str, Prior]:
        """Multiples and error variances are logarithms; the lowest rung's variance is 1."""
        lower = self.n_fidelities - 1
        return {
            "log_rho": Prior(lower, log(0.85), 0.3),
            "log_error": Prior(lower, log(0.28), 1.0),
            "log_nugget": Prior(1, log(0.1), 1.0),
            "log_nugget_rho": Prior(lower, log(0.73), 0.3),
            "log_nugget_error": Prior(lower, log(0.047), 1.0),
        }

    def smooth(self, p: dict[str, Tensor]) -> Tensor:
        """With the lowest rung's variance at 1."""
        one = torch.ones(1, dtype=torch.float64)
        return chain_covariance(p["log_rho"].exp(), torch.cat([one, p["log_error"].exp()]))

    def nugget(self, p: dict[str, Tensor], floor: float) -> Tensor:
        """Of the same form; the floor is added to each error."""
        errors = floor + torch.cat([p["log_nugget"], p["log_nugget_error"]]).exp()
        return chain_covariance(p["log_nugget_rho"].exp(), errors)


@dataclass(frozen=True)
class LinearTruncated:
    """The target plus a bias that fades as the level rises to 1.

    Poloczek, Wang & Frazier (arXiv 1603.00389) and BoTorch's LinearTruncatedFidelityKernel:
    ``1 + b (1 - s)(1 - s')(1 + s s')^power`` for levels s, with one kernel over candidates
    for both terms, and a nugget of the same form. Two numbers a ladder, however long. The
    power stays above M - 3: below that, and not whole, it can make the matrix indefinite
    (FitzGerald & Horn, J. Math. Anal. Appl. 61, 633 (1977), theorem 2.2).

    Attributes:
        levels: Level of each fidelity, in (0, 1], rising; the target's is 1.
    """

    levels: tuple[float, ...]

    @property
    def n_fidelities(self) -> int:
        """M."""
        return len(self.levels)

    @property
    def n_levels(self) -> int:
        """M."""
        return self.n_fidelities

    def table(self) -> dict[str, Prior]:
        """The bias is in units of its value at the lowest rung, before the power."""
        lower = int(self.n_fidelities > 1)
        return {
            "log_bias": Prior(lower, log(0.38), 1.0),
            "log_power": Prior(lower, 0.0, 0.5),
            "log_nugget": Prior(1, log(0.1), 1.0),
            "log_nugget_bias": Prior(lower, log(0.88), 1.0),
        }

    def smooth(self, p: dict[str, Tensor]) -> Tensor:
        """With the target's variance at 1."""
        return 1 + p["log_bias"].exp().sum() * self._fading(p)

    def nugget(self, p: dict[str, Tensor], floor: float) -> Tensor:
        """Of the same form and power."""
        variance = floor + p["log_nugget"].exp()
        return variance * (1 + p["log_nugget_bias"].exp().sum() * self._fading(p))

    def power(self, p: dict[str, Tensor]) -> Tensor:
        """Of the term that couples the levels, a scalar."""
        return max(0, self.n_fidelities - 3) + p["log_power"].exp().sum()

    def _fading(self, p: dict[str, Tensor]) -> Tensor:
        s = torch.tensor(self.levels, dtype=torch.float64)
        left = (1 - s) / (1 - s[0]).clamp(min=_SMALLEST)
        return torch.outer(left, left) * (1 + torch.outer(s, s)) ** self.power(p)


@dataclass(frozen=True)
class Single:
    """Fidelities that tell nothing of each other: a single-fidelity process of the target.

    Attributes:
        n_fidelities: M.
    """

    n_fidelities: int

    @property
    def n_levels(self) -> int:
        """One: only the target is ever observed."""
        return 1

    def table(self) -> dict[str, Prior]:
        """The nugget's variance alone."""
        return {"log_nugget": Prior(1, log(0.1), 1.0)}

    def smooth(self, p: dict[str, Tensor]) -> Tensor:
        """The identity."""
        return torch.eye(self.n_fidelities, dtype=torch.float64)

    def nugget(self, p: dict[str, Tensor], floor: float) -> Tensor:
        """A multiple of the identity."""
        return (floor + p["log_nugget"].exp()) * torch.eye(self.n_fidelities, dtype=torch.float64)


def make_structure(name: StructureName, levels: tuple[float, ...]) -> Structure:
    """The structure of that name for a ladder with these `levels`."""
    if name == "linear-truncated":
        return LinearTruncated(levels)
    kinds: dict[str, type[Intrinsic] | type[Autoregressive] | type[Single]] = {
        "lmc": Coregionalised,
        "icm": Intrinsic,
        "ar1": Autoregressive,
        "single": Single,
    }
    return kinds[name](len(levels))
