"""The default surrogate: an exact multi-fidelity Gaussian process."""

import copy
from typing import TYPE_CHECKING, Annotated, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from mfal.dataset import Dataset
from mfal.errors import SurrogateError
from mfal.surrogate.base import JointMoments
from mfal.surrogate.evidence import Evidence, Fit, choose_points, fit_parameters
from mfal.surrogate.kernels import CandidateKernel
from mfal.surrogate.parameters import Priors
from mfal.surrogate.posterior import Posterior
from mfal.surrogate.scaling import FeatureScale, UtilityScale

if TYPE_CHECKING:
    from botorch.models.model import Model

_FEWEST_POINTS = 3


class MultiFidelityGP:
    """Exact Gaussian process over candidates and fidelities, good to about 2,000 points.

    A linear model of coregionalisation (Alvarez, Rosasco & Lawrence, Foundations and Trends in
    Machine Learning 4, 195 (2012), section 4.2) of two parts and noise:

        cov = B1[m, m'] (k(x, x') + slope x_t . x'_t) + B2[m, m'] 1[x is x'] + noise_m

    k is a kernel over counts plus a Matérn-5/2 kernel over the columns that get a linear
    trend, x_t. The second part, the nugget, is what is special to a candidate and shared
    by the fidelities; without it the fitted correlation of the fidelities collapses to 1 and
    nothing but the cheapest is ever worth asking. Hyperparameters maximise the posterior
    density on at most `max_fit_points` observations; the process is then conditioned on all.

    A fitted surrogate is a new object: `fit` leaves the one it is called on as it was.

    Args:
        n_fidelities: Length of the ladder that the data are checked against; None for any.
        linear_columns: Feature columns that get a linear trend, from `FeatureSet`.
        kernel: Over the other columns, which are counts: Matérn-5/2 of their distance, or
            Tanimoto similarity.
        max_fit_points: Most observations that hyperparameters are fitted to.
        max_steps: Most steps of the fit (L-BFGS).
        noise_floor: Least noise variance, as a share of the variance of the target's utilities.
        nugget_floor: Least nugget variance, in the same unit.
    """

    def __init__(
        self,
        *,
        n_fidelities: Annotated[int, Field(gt=0)] | None = None,
        linear_columns: tuple[int, ...] = (),
        kernel: Literal["matern52", "tanimoto"] = "matern52",
        max_fit_points: Annotated[int, Field(ge=10)] = 600,
        max_steps: Annotated[int, Field(gt=0)] = 60,
        noise_floor: Annotated[float, Field(gt=0)] = 1e-4,
        nugget_floor: Annotated[float, Field(gt=0)] = 1e-3,
    ) -> None:
        self.n_fidelities = n_fidelities
        self.linear_columns = tuple(linear_columns)
        self.kernel = kernel
        self.max_fit_points = max_fit_points
        self.max_steps = max_steps
        self.noise_floor = noise_floor
        self.nugget_floor = nugget_floor
        self._fitted: tuple[Posterior, Fit] | None = None

    def fit(self, data: Dataset, *, seed: int) -> Self:
        """A fitted surrogate.

        Raises:
            SurrogateError: There are fewer than three points, or they do not differ, or their
                covariance cannot be factorised.
        """
        _check(data, self.kernel, self.linear_columns)
        if self.n_fidelities not in (None, data.n_fidelities):
            raise SurrogateError(
                f"the data have {data.n_fidelities} fidelities, not {self.n_fidelities}",
                "fit a surrogate to data of the ladder it was made for",
            )
        scale = UtilityScale.learn(data)
        kernel = CandidateKernel(
            FeatureScale.learn(data.features, self.linear_columns), self.kernel
        )
        priors = self._priors(kernel, data.n_fidelities)
        rows = choose_points(data, self.max_fit_points, seed=seed)
        chosen = data.subset(rows)
        values = scale.standardise(chosen.utility, chosen.fidelity)
        fit = fit_parameters(
            Evidence(kernel, priors, chosen, values), max_steps=self.max_steps, seed=seed
        )
        fitted = copy.copy(self)
        posterior = Posterior.condition(kernel, priors.build(fit.theta), scale, data)
        fitted._fitted = posterior, fit
        return fitted

    def joint(self, features: Tensor, candidate: Tensor | None = None) -> JointMoments:
        """Moments of ``n x p`` `features` at every fidelity, in one pass."""
        posterior = self.posterior
        if candidate is None:
            candidate = torch.full((len(features),), -1, dtype=torch.long)
        return posterior.joint(features.to(torch.float64), candidate)

    def covariance(self, features: Tensor, candidate: Tensor, fidelity: Tensor) -> Tensor:
        """Posterior covariance (noise-free) among n queries, ``n x n``.

        Two queries with candidate -1 are taken for the same candidate if their features agree.
        """
        return self.posterior.covariance(features.to(torch.float64), candidate, fidelity)

    def diagnostics(self) -> dict[str, float]:
        """Figures for the round's record; variances as shares of the target's prior variance."""
        posterior, fit = self._state()
        h, units = posterior.h, posterior.scale.scale
        similarity = posterior.kernel.diagonal(posterior.data.features, h).mean()
        total = h.smooth * similarity + h.nugget
        sd = total.diagonal().sqrt()
        smooth_sd = h.smooth.diagonal().sqrt()
        figures = {
            "log_marginal_likelihood": fit.log_likelihood,
            "n": float(len(posterior.data)),
            "n_fitted": float(fit.n_points),
            "attempts": float(fit.attempts),
            "jitter": max(fit.jitter, posterior.jitter),
            "nugget_share": float(h.nugget[-1, -1] / total[-1, -1]),
        }
        for rung in range(posterior.data.n_fidelities):
            figures[f"correlation_{rung}"] = float(total[rung, -1] / (sd[rung] * sd[-1]))
            figures[f"smooth_correlation_{rung}"] = float(
                h.smooth[rung, -1] / (smooth_sd[rung] * smooth_sd[-1])
            )
            figures[f"noise_{rung}"] = float(h.noise[rung] * units[rung].square())
        return figures

    def to_botorch(self) -> "Model":
        """The same posterior as a BoTorch model over ``[features | candidate id | fidelity]``.

        The id is the place of the candidate in the training data; every candidate that is
        not in there needs an id of its own, such as the next number.
        """
        from mfal.surrogate.reference import build_reference

        return build_reference(self.posterior)

    @property
    def posterior(self) -> Posterior:
        """The conditioned process; raises SurrogateError before a fit."""
        return self._state()[0]

    def _state(self) -> tuple[Posterior, Fit]:
        if self._fitted is None:
            raise SurrogateError("this surrogate is not fitted", "use what fit() returns")
        return self._fitted

    def _priors(self, kernel: CandidateKernel, n_fidelities: int) -> Priors:
        return Priors.of(
            n_fidelities,
            counts=kernel.has_counts,
            length=self.kernel == "matern52",
            trends=kernel.has_trends,
            noise_floor=self.noise_floor,
            nugget_floor=self.nugget_floor,
        )


def _check(data: Dataset, kernel: str, linear_columns: tuple[int, ...]) -> None:
    if len(data) < _FEWEST_POINTS:
        raise SurrogateError(
            f"{len(data)} observations are too few to fit a surrogate to",
            f"start with at least {_FEWEST_POINTS}, better twenty or more",
        )
    if not bool(data.utility.isfinite().all()) or not bool(data.features.isfinite().all()):
        raise SurrogateError(
            "some utilities or features are not finite",
            "let the oracle report a failed query as an error instead of a number",
        )
    counts = [c for c in range(data.features.shape[1]) if c not in set(linear_columns)]
    if kernel == "tanimoto" and bool((data.features[:, counts] < 0).any()):
        raise SurrogateError(
            "the Tanimoto kernel compares counts, but some features are below zero",
            "use kernel: matern52, or name those columns in linear_columns",
        )
