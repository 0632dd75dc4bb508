"""Surrogates with given moments, and candidates for them."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from mfal.dataset import Dataset
from mfal.surrogate.base import JointMoments
from mfal.surrogate.kernels import CandidateKernel
from mfal.surrogate.parameters import Priors
from mfal.surrogate.posterior import Posterior
from mfal.surrogate.scaling import FeatureScale, UtilityScale
from mfal.surrogate.structures import make_structure


@dataclass
class Given:
    """Moments that do not depend on the candidate but for the mean: it adds the first feature."""

    moments: JointMoments

    def fit(self, data: Dataset, *, seed: int) -> Self:
        return self

    def joint(self, features: Tensor, candidate: Tensor | None = None) -> JointMoments:
        one = self.moments
        n = len(features)
        return replace(
            one,
            mean=one.mean.expand(n, -1) + features[:, :1],
            variance=one.variance.expand(n, -1),
            target_covariance=one.target_covariance.expand(n, -1),
        )

    def covariance(self, features: Tensor, candidate: Tensor, fidelity: Tensor) -> Tensor:
        return torch.diag(self.moments.variance[0, fidelity])

    def diagnostics(self) -> dict[str, float]:
        return {}

    def to_botorch(self) -> object:
        raise NotImplementedError


class OneObservation(Given):
    """A Gaussian process at its priors' start that has seen one answer, 3, at the target."""

    def __init__(self) -> None:
        data = Dataset(
            keys=("a",),
            features=torch.ones(1, 4, dtype=torch.float64),
            candidate=torch.tensor([0]),
            fidelity=torch.tensor([1]),
            utility=torch.tensor([3.0], dtype=torch.float64),
            n_fidelities=2,
        )
        kernel = CandidateKernel(FeatureScale.learn(data.features, ()), "matern52")
        priors = Priors.of(
            make_structure("lmc", (0.5, 1.0)),
            counts=True,
            length=True,
            trends=False,
            noise_floor=1e-4,
            nugget_floor=1e-3,
        )
        ones = torch.ones(2, dtype=torch.float64)
        scale = UtilityScale(centre=0 * ones, scale=ones)
        self.posterior = Posterior.condition(kernel, priors.build(priors.start()), scale, data)

    def joint(self, features: Tensor, candidate: Tensor | None = None) -> JointMoments:
        if candidate is None:
            candidate = torch.full((len(features),), -1)
        return self.posterior.joint(features, candidate)

    def covariance(self, features: Tensor, candidate: Tensor, fidelity: Tensor) -> Tensor:
        return self.posterior.covariance(features, candidate, fidelity)


def moments_of(
    mean: float, variance: float, other: float, covariance: float, noise: float = 0.0
) -> JointMoments:
    """One candidate, two fidelities; `variance` is the target's."""
    row = lambda *values: torch.tensor([values], dtype=torch.float64)  # noqa: E731
    return JointMoments(
        mean=row(0.0, mean),
        variance=row(other, variance),
        target_covariance=row(covariance, variance),
        noise=torch.full((2,), noise, dtype=torch.float64),
    )


ADVERSARIAL = {
    "zero variance": moments_of(0.0, 0.0, 0.0, 0.0),
    "tiny variance": moments_of(0.0, 1e-300, 1e-300, 1e-300),
    "huge variance": moments_of(0.0, 1e280, 1e280, 1e280),
    "correlation 1": moments_of(0.0, 1.0, 1.0, 1.0),
    "correlation above 1": moments_of(0.0, 1.0, 1.0, 1.0 + 1e-6),
    "negative": moments_of(0.0, 1.0, 1.0, -0.9),
    "far below": moments_of(-1e9, 1e-4, 1.0, 1e-2),
    "far above": moments_of(1e9, 1e-4, 1.0, 1e-2),
    "huge mean": moments_of(1e200, 1.0, 1.0, 0.5),
    "no other variance": moments_of(0.0, 1.0, 0.0, 0.0),
    "much noise": moments_of(0.0, 1.0, 1.0, 0.9, noise=1e12),
}
