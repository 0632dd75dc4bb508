"""What every surrogate offers to acquisition and selection."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from torch import Tensor

from mfal.dataset import Dataset

if TYPE_CHECKING:
    from botorch.models.model import Model


@dataclass(frozen=True)
class JointMoments:
    """Posterior of n candidates at all M fidelities, in units of utility (higher is better).

    Attributes:
        mean: ``n x M``; the last column is the target.
        variance: ``n x M``, of the noise-free function, above zero.
        target_covariance: ``n x M``, covariance of each fidelity with the target at the
            same candidate; its last column equals the target's variance.
        noise: Observation noise variance of each fidelity, ``M``.
    """

    mean: Tensor
    variance: Tensor
    target_covariance: Tensor
    noise: Tensor


@runtime_checkable
class Surrogate(Protocol):
    """A multi-fidelity regression with a joint posterior.

    `candidate` says, for each row of `features`, which candidate of the training data it is
    (its index there), or -1 for one that was never queried: what was learnt about a
    candidate at one fidelity is then used at the others.
    """

    def fit(self, data: Dataset, *, seed: int) -> Self:
        """A fitted surrogate; raises SurrogateError where `data` do not allow a fit."""
        ...

    def joint(self, features: Tensor, candidate: Tensor | None = None) -> JointMoments:
        """Moments of ``n x p`` `features` at every fidelity, in one pass."""
        ...

    def covariance(self, features: Tensor, candidate: Tensor, fidelity: Tensor) -> Tensor:
        """Posterior covariance (noise-free) among n queries, ``n x n``."""
        ...

    def diagnostics(self) -> dict[str, float]:
        """Named figures for the round's record, such as fitted fidelity correlations."""
        ...

    def to_botorch(self) -> "Model":
        """The same posterior as a BoTorch model: the reference that tests compare with."""
        ...


@runtime_checkable
class PredictsMeans(Protocol):
    """A surrogate whose means cost less than all its moments."""

    def mean(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        """Those of `Surrogate.joint`, ``n x M``."""
        ...


def posterior_mean(
    surrogate: Surrogate | PredictsMeans, features: Tensor, candidate: Tensor | None = None
) -> Tensor:
    """Means at every fidelity, ``n x M``, alone where the surrogate has them for less."""
    if isinstance(surrogate, PredictsMeans):
        return surrogate.mean(features, candidate)
    return surrogate.joint(features, candidate).mean


@runtime_checkable
class FallsBack(Protocol):
    """A surrogate that another may stand in for."""

    def fallback(self) -> str:
        """What was fitted instead of what was asked for, and why; empty where nothing was."""
        ...
