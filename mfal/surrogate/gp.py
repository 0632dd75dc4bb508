"""The default surrogate: an exact multi-fidelity Gaussian process."""

import copy
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from mfal.dataset import Dataset
from mfal.errors import ConfigError, SurrogateError
from mfal.surrogate.admission import check_data, check_levels, only_target
from mfal.surrogate.base import JointMoments
from mfal.surrogate.evidence import Evidence, Fit, choose_points, fit_parameters
from mfal.surrogate.held_out import HeldOut, leave_candidates_out
from mfal.surrogate.kernels import CandidateKernel, CountKernel
from mfal.surrogate.parameters import Hyperparameters, Priors
from mfal.surrogate.posterior import Posterior
from mfal.surrogate.scaling import FeatureScale, UtilityScale
from mfal.surrogate.structures import Structure, StructureName, make_structure

if TYPE_CHECKING:
    from botorch.models.model import Model

log = logging.getLogger(__name__)

# On 300 noise-free points of two coordinates variances are within 4 % of those in float64 at this
# floor, at a hundredth of it they are too small by a factor of 10^4.
LEAST_NOISE_IN_FLOAT32 = 1e-4


class MultiFidelityGP:
    """Exact Gaussian process over candidates and fidelities.

    By default a linear model of coregionalisation (Alvarez, Rosasco & Lawrence, Foundations
    and Trends in Machine Learning 4, 195 (2012), section 4.2) of two parts and noise:

        cov = B1[m, m'] (k(x, x') + slope x_t . x'_t) + B2[m, m'] 1[x is x'] + noise_m

    k is a kernel over counts plus a Matérn-5/2 kernel over the columns that get a linear
    trend, x_t. The second part, the nugget, is what is special to a candidate and shared
    by the fidelities; without it the fitted correlation of the fidelities collapses to 1 and
    nothing but the cheapest is ever worth asking. Hyperparameters maximise the posterior
    density on at most `max_fit_points` observations; the process is then conditioned on all.
    Above `exact_points` of them the variances that `joint` gives come from the leading
    subspace of rank `rank` and a candidate's own observations, and so err upwards; means, and
    the covariances that `covariance` gives, stay exact.

    A fitted surrogate is a new object: `fit` leaves the one it is called on as it was.

    Args:
        n_fidelities: Length of the ladder that the data are checked against; None for any.
        levels: Level of each fidelity, in (0, 1] and rising, for linear-truncated; None for
            even steps.
        linear_columns: Feature columns that get a linear trend, from `FeatureSet`.
        structure: How fidelities hang together: lmc as above; icm, the same without what is
            special to a candidate; ar1, a chain (Kennedy-O'Hagan); linear-truncated, a bias
            that fades with the level; single, which learns from the target alone.
        kernel: Over the other columns, which are counts: Matérn-5/2 or RBF of their distance,
            Hamming (exponential in the number of columns that differ), or Tanimoto similarity.
        max_fit_points: Most observations that hyperparameters are fitted to.
        max_steps: Most steps of the fit (L-BFGS).
        noise_floor: Least noise variance, as a share of the variance of the target's utilities.
        nugget_floor: Least nugget variance, in the same unit.
        exact_points: Most observations at which `joint` gives exact variances.
        rank: Rank of the subspace that they come from above that.
        precision: What `joint` computes in; fits and conditioning are float64. float32 has not
            the digits for a `noise_floor` below 1e-4.
        device: Where `joint` computes: cpu, cuda, cuda:1.

    Raises:
        ConfigError: `noise_floor` is too low for float32.
    """

    def __init__(
        self,
        *,
        n_fidelities: Annotated[int, Field(gt=0)] | None = None,
        levels: tuple[float, ...] | None = None,
        linear_columns: tuple[int, ...] = (),
        structure: StructureName = "lmc",
        kernel: CountKernel = "matern52",
        max_fit_points: Annotated[int, Field(ge=10)] = 600,
        max_steps: Annotated[int, Field(gt=0)] = 60,
        noise_floor: Annotated[float, Field(gt=0)] = 1e-4,
        nugget_floor: Annotated[float, Field(gt=0)] = 1e-3,
        exact_points: Annotated[int, Field(ge=0)] = 2000,
        rank: Annotated[int, Field(gt=0)] = 256,
        precision: Literal["float64", "float32"] = "float64",
        device: str = "cpu",
    ) -> None:
        if precision == "float32" and noise_floor < LEAST_NOISE_IN_FLOAT32:
            raise ConfigError(
                f"precision is float32 and noise_floor {noise_floor:g}: variances would be "
                "rounding errors",
                f"raise noise_floor to {LEAST_NOISE_IN_FLOAT32:g} or more, or take float64",
            )
        self.n_fidelities = n_fidelities
        self.levels = None if levels is None else tuple(levels)
        self.linear_columns = tuple(linear_columns)
        self.structure = structure
        self.kernel = kernel
        self.max_fit_points = max_fit_points
        self.max_steps = max_steps
        self.noise_floor = noise_floor
        self.nugget_floor = nugget_floor
        self.exact_points = exact_points
        self.rank = rank
        self.precision = precision
        self.device = device
        self._fitted: tuple[Posterior, Fit] | None = None

    def fit(self, data: Dataset, *, seed: int) -> Self:
        """A fitted surrogate.

        Raises:
            SurrogateError: There are fewer than three points, or they do not differ, or their
                covariance cannot be factorised.
        """
        structure = self._structure(data)
        check_data(data, self.kernel, self.linear_columns)
        if self.structure == "single":
            data = only_target(data)
        scale = UtilityScale.learn(data)
        asked = data.features[torch.unique(data.candidate)]
        differing = self.kernel == "hamming"
        kernel = CandidateKernel(
            FeatureScale.learn(asked, self.linear_columns, differing=differing), self.kernel
        )
        priors = self._priors(kernel, structure)
        chosen = data.subset(choose_points(data, self.max_fit_points, seed=seed))
        values = scale.standardise(chosen.utility, chosen.fidelity)
        fit = fit_parameters(
            Evidence(kernel, priors, chosen, values), max_steps=self.max_steps, seed=seed
        )
        fitted = copy.copy(self)
        posterior = self._conditioned(kernel, priors.build(fit.theta), scale, data)
        _warn_of_trouble(fit, posterior.jitter)
        fitted._fitted = posterior, fit
        return fitted

    def joint(self, features: Tensor, candidate: Tensor | None = None) -> JointMoments:
        """Moments of ``n x p`` `features` at every fidelity, in one pass."""
        return self.posterior.joint(features, _places(features, candidate))

    def mean(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        """The means of `joint` alone, ``n x M``."""
        return self.posterior.mean(features, _places(features, candidate))

    def covariance(self, features: Tensor, candidate: Tensor, fidelity: Tensor) -> Tensor:
        """Posterior covariance (noise-free) among n queries, ``n x n``.

        Two queries with candidate -1 are taken for the same candidate if their features agree.
        """
        return self.posterior.covariance(features.to(torch.float64), candidate, fidelity)

    def condition(self, data: Dataset) -> Self:
        """The same hyperparameters and scales, conditioned on `data` instead."""
        before, fit = self._state()
        conditioned = copy.copy(self)
        posterior = self._conditioned(before.kernel, before.h, before.scale, data)
        conditioned._fitted = posterior, fit
        return conditioned

    def held_out(self) -> HeldOut:
        """Each observation as the other candidates predict it, in closed form."""
        p = self.posterior
        rung = p.data.fidelity
        units = p.scale.scale[rung]
        inverse = p.inverse_factor()
        residual = p.scale.standardise(p.data.utility, rung) - p.h.offset[rung]
        weights = inverse.T @ (inverse @ residual)
        miss, variance = leave_candidates_out(inverse, weights, p.data.candidate)
        observed = p.data.utility
        mean, variance = observed - miss * units, variance * units.square()
        given = p.order.argsort()
        return HeldOut(mean[given], variance[given], observed[given], rung[given])

    def diagnostics(self) -> dict[str, float]:
        """Figures for the round's record.

        `nugget_share` is of the target's prior variance, `noise_0` and the others are variances in
        the square of the objective's unit. `variance_rank` is 0 where variances are exact, and
        `jitter` the largest variance, in standardised units, that was added to a diagonal for a
        factorisation to succeed.
        """
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
            "variance_rank": float(
                0 if posterior.predictor.own is None else len(posterior.predictor.whitener)
            ),
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

    def _structure(self, data: Dataset) -> Structure:
        n = data.n_fidelities
        if self.n_fidelities not in (None, n):
            raise SurrogateError(
                f"the data have {n} fidelities, not {self.n_fidelities}",
                "fit a surrogate to data of the ladder it was made for",
            )
        levels = self.levels or tuple((rung + 1) / n for rung in range(n))
        check_levels(levels, n)
        return make_structure(self.structure, levels)

    def _priors(self, kernel: CandidateKernel, structure: Structure) -> Priors:
        return Priors.of(
            structure,
            counts=kernel.has_counts,
            length=kernel.has_length,
            trends=kernel.has_trends,
            noise_floor=self.noise_floor,
            nugget_floor=self.nugget_floor,
        )

    def _conditioned(
        self, kernel: CandidateKernel, h: Hyperparameters, scale: UtilityScale, data: Dataset
    ) -> Posterior:
        rank = self.rank if len(data) > max(self.exact_points, self.rank) else 0
        if rank > 0:
            log.info("%d observations: variances from a subspace of rank %d", len(data), rank)
        return self._placed(Posterior.condition(kernel, h, scale, data, rank=rank))

    def _placed(self, posterior: Posterior) -> Posterior:
        dtype = torch.float32 if self.precision == "float32" else torch.float64
        if dtype == torch.float64 and self.device == "cpu":
            return posterior
        try:
            return replace(posterior, predictor=posterior.predictor.to(dtype, self.device))
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(
                f"surrogate device {self.device!r}: {error}", "use cpu, or a device that is here"
            ) from error


def _places(features: Tensor, candidate: Tensor | None) -> Tensor:
    """The places that were given; else all are new, ``n``."""
    if candidate is None:
        return torch.full((len(features),), -1, dtype=torch.long)
    return candidate


def _warn_of_trouble(fit: Fit, jitter: float) -> None:
    if fit.attempts > 1:
        log.warning("the surrogate was fitted at the %d. attempt", fit.attempts)
    if max(fit.jitter, jitter) > 0:
        log.warning(
            "a covariance of the surrogate was singular: a variance of %.1e was added "
            "(1 is that of the target's utilities)",
            max(fit.jitter, jitter),
        )
