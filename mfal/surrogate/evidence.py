"""Fitting hyperparameters to the marginal likelihood."""

from dataclasses import dataclass
from math import log, pi

import torch
from torch import Tensor

from mfal.dataset import Dataset
from mfal.errors import SurrogateError
from mfal.surrogate.kernels import CandidateKernel, Geometry
from mfal.surrogate.parameters import Hyperparameters, Priors

_JITTERS = (0.0, 1e-10, 1e-8, 1e-6, 1e-5, 1e-4)
_ATTEMPTS = 3
_TARGET_SHARE = 2 / 3


@dataclass(frozen=True)
class Fit:
    """What a fit came to.

    Attributes:
        theta: The unconstrained parameters.
        log_likelihood: Log marginal likelihood of the fitted points, in nats.
        n_points: How many points were fitted.
        jitter: Variance that had to be added to the diagonal at these parameters.
        attempts: Starts that were needed, 1 where nothing failed.
    """

    theta: Tensor
    log_likelihood: float
    n_points: int
    jitter: float
    attempts: int


class Evidence:
    """Log marginal likelihood of standardised utilities and its gradient.

    Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), equations 5.8 and
    5.9. The gradient is taken through the covariance matrix, whose own derivative is
    (K^-1 - a a^T) / 2 with a = K^-1 y, so that nothing is differentiated through a factorisation.

    Args:
        kernel: Compares candidates.
        priors: Priors and layout of the parameters.
        data: The points to fit.
        values: Their standardised utilities, ``N``.

    Attributes:
        jitter: Variance that the likelihood worked out last had to add to the diagonal.
    """

    def __init__(
        self, kernel: CandidateKernel, priors: Priors, data: Dataset, values: Tensor
    ) -> None:
        # Candidates are compared once each, however often they were asked.
        self.place = data.candidate if len(data.keys) < len(data) else None
        features = data.features[data.candidate] if self.place is None else data.features
        self.geometry: Geometry = kernel.geometry(features, features)
        self.same = (data.candidate[:, None] == data.candidate[None, :]).to(torch.float64)
        self.member = torch.nn.functional.one_hot(data.fidelity, data.n_fidelities).double()
        self.values = values
        self.priors = priors
        self.jitter = 0.0

    def covariance(self, h: Hyperparameters) -> Tensor:
        """Of the noisy values, ``N x N``; differentiable."""
        smooth = self.member @ h.smooth @ self.member.T
        nugget = self.member @ h.nugget @ self.member.T
        noise = torch.diag(self.member @ h.noise)
        return smooth * self._gram(h) + nugget * self.same + noise

    def _gram(self, h: Hyperparameters) -> Tensor:
        """The kernel over candidates between observations, ``N x N``."""
        gram = self.geometry.gram(h)
        if self.place is None:
            return gram
        return gram.index_select(0, self.place).index_select(1, self.place)

    def log_likelihood(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """In nats, and its gradient with respect to `theta`."""
        theta = theta.detach().requires_grad_()
        h = self.priors.build(theta)
        covariance = self.covariance(h)
        residual = self.values - self.member @ h.offset
        with torch.no_grad():
            factor, self.jitter = factorise(covariance)
            weights = torch.cholesky_solve(residual[:, None], factor)[:, 0]
            slope = 0.5 * (torch.outer(weights, weights) - torch.cholesky_inverse(factor))
            value = -0.5 * (residual @ weights) - factor.diagonal().log().sum()
            value -= 0.5 * len(residual) * log(2 * pi)
        (gradient,) = torch.autograd.grad(
            (covariance, residual), theta, grad_outputs=(slope, -weights)
        )
        return value, gradient

    def loss(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Minus the log posterior per point up to a constant, and its gradient."""
        value, gradient = self.log_likelihood(theta)
        pull = (theta.detach() - self.priors.start()) / self.priors.sd().square()
        n = len(self.values)
        return (self.priors.penalty(theta.detach()) - value) / n, (pull - gradient) / n


def factorise(covariance: Tensor) -> tuple[Tensor, float]:
    """Lower Cholesky factor and the variance that had to be added for it to exist.

    Raises:
        SurrogateError: No small addition makes the matrix positive definite.
    """
    mean = float(covariance.diagonal().mean())
    for jitter in _JITTERS:
        added = jitter * mean
        padded = covariance
        if added > 0:
            padded = covariance.clone()
            padded.diagonal().add_(added)
        factor, info = torch.linalg.cholesky_ex(padded)
        if int(info) == 0 and bool(factor.isfinite().all()):
            return factor, added
    raise SurrogateError(
        "the covariance of the training points is not positive definite",
        "look for utilities or features that are not finite or differ by many orders of magnitude",
    )


def fit_parameters(evidence: Evidence, *, max_steps: int, seed: int) -> Fit:
    """The most probable parameters; a start that fails is moved and tried again.

    Raises:
        SurrogateError: All starts failed.
    """
    generator = torch.Generator().manual_seed(seed)
    start, sd = evidence.priors.start(), evidence.priors.sd()
    failure: SurrogateError | None = None
    for attempt in range(_ATTEMPTS):
        noise = torch.randn(len(start), generator=generator, dtype=torch.float64)
        try:
            theta = _descend(evidence, start + 0.5 * min(attempt, 1) * sd * noise, max_steps)
            value, _ = evidence.log_likelihood(theta)
        except SurrogateError as error:
            failure = error
            continue
        return Fit(theta, float(value), len(evidence.values), evidence.jitter, attempt + 1)
    raise SurrogateError(
        f"no hyperparameters fit the {len(evidence.values)} points: {failure}",
        "check the utilities for outliers, or leave out features that are constant",
    )


def _descend(evidence: Evidence, start: Tensor, max_steps: int) -> Tensor:
    theta = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [theta],
        max_iter=max_steps,
        max_eval=max_steps * 5 // 4,
        history_size=20,
        tolerance_grad=1e-5,
        tolerance_change=1e-9,
        line_search_fn="strong_wolfe",
    )

    def closure() -> float:
        value, theta.grad = evidence.loss(theta)
        if not bool(value.isfinite()):
            raise SurrogateError("the marginal likelihood is not finite")
        return float(value)

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return theta.detach()


def choose_points(data: Dataset, limit: int, *, seed: int) -> Tensor:
    """Rows to fit hyperparameters to, at most `limit`, in order.

    Observations at the target come first (up to two thirds of the limit where there are
    others), then those of the same candidates at other fidelities, without which what is
    special to a candidate cannot be told from noise, then the rest, at random within each.
    """
    if len(data) <= limit:
        return torch.arange(len(data))
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(data), generator=generator)
    target = data.fidelity[shuffled] == data.n_fidelities - 1
    chosen = shuffled[target]
    if not bool(target.all()):
        chosen = chosen[: max(limit - int((~target).sum()), int(_TARGET_SHARE * limit))]
    others = shuffled[~target]
    shared = torch.isin(data.candidate[others], data.candidate[chosen])
    ranked = torch.cat([chosen, others[shared], others[~shared]])
    return ranked[:limit].sort().values
