"""The process written with GPyTorch's kernels: slow, and right for reasons of its own."""

from collections.abc import Callable

import torch
from botorch.models import SingleTaskGP
from botorch.models.kernels import CategoricalKernel
from botorch.models.model import Model
from botorch.models.transforms.input import InputTransform
from botorch.settings import validate_input_scaling
from gpytorch.kernels import Kernel, LinearKernel, MaternKernel, RBFKernel, ScaleKernel
from gpytorch.likelihoods.gaussian_likelihood import _GaussianLikelihoodBase
from gpytorch.likelihoods.noise_models import Noise
from gpytorch.means import Mean
from linear_operator.operators import DiagLinearOperator
from torch import Tensor

from mfal.surrogate.posterior import Posterior
from mfal.surrogate.scaling import FeatureScale


class TanimotoKernel(Kernel):
    """Shared over joint counts."""

    def forward(
        self,
        x1: Tensor,
        x2: Tensor,
        diag: bool = False,
        last_dim_is_batch: bool = False,
        **params: object,
    ) -> Tensor:
        """``... x a x b``, or its diagonal."""
        shared = x1 @ x2.transpose(-1, -2)
        sizes = x1.square().sum(-1)[..., :, None] + x2.square().sum(-1)[..., None, :]
        similarity = torch.where(sizes <= 0, 1.0, shared / (sizes - shared))
        return similarity.diagonal(dim1=-2, dim2=-1) if diag else similarity


class CoregionalisedKernel(Kernel):
    """A matrix over fidelities times kernels over candidates, plus the nugget.

    Args:
        smooth: Covariance of the fidelities, ``M x M``.
        nugget: What is special to a candidate, ``M x M``.
        scale: Brings features to order one.
        counts: Kernels over the unscaled counts.
        trends: Kernels over the scaled trend columns.
    """

    def __init__(
        self,
        smooth: Tensor,
        nugget: Tensor,
        scale: FeatureScale,
        counts: list[Kernel],
        trends: list[Kernel],
    ) -> None:
        super().__init__()
        self.smooth, self.nugget, self.scale = smooth, nugget, scale
        self.counts = torch.nn.ModuleList(counts)
        self.trends = torch.nn.ModuleList(trends)

    def forward(
        self,
        x1: Tensor,
        x2: Tensor,
        diag: bool = False,
        last_dim_is_batch: bool = False,
        **params: object,
    ) -> Tensor:
        """``... x a x b`` for inputs ``[features | candidate id | fidelity]``."""
        rung1, rung2 = x1[..., -1].long()[..., :, None], x2[..., -1].long()[..., None, :]
        same = x1[..., -2][..., :, None] == x2[..., -2][..., None, :]
        (counts1, trends1), (counts2, trends2) = self._split(x1), self._split(x2)
        similarity: Tensor | float = 0.0
        for kernel in self.counts:
            similarity = similarity + kernel(counts1, counts2).to_dense()
        for kernel in self.trends:
            similarity = similarity + kernel(trends1, trends2).to_dense()
        covariance = self.smooth[rung1, rung2] * similarity + self.nugget[rung1, rung2] * same
        return covariance.diagonal(dim1=-2, dim2=-1) if diag else covariance

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        counts, trends = self.scale.split(x[..., :-2].flatten(0, -2))
        return counts.view(*x.shape[:-1], -1), trends.view(*x.shape[:-1], -1)


class FidelityMean(Mean):
    """One constant per fidelity, ``M``."""

    def __init__(self, constants: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.constants = constants

    def forward(self, x: Tensor) -> Tensor:
        """``... x a``."""
        return self.constants[x[..., -1].long()]


class FidelityNoise(Noise):
    """One noise variance per fidelity, ``M``, also for points that are only predicted."""

    def __init__(self, variances: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.variances = variances

    def forward(self, *params: object, **_: object) -> DiagLinearOperator:
        """``... x a x a``, diagonal; the inputs come bare, or in a list while training."""
        (inputs,) = params
        x = inputs if isinstance(inputs, Tensor) else inputs[0]  # type: ignore[index]
        return DiagLinearOperator(self.variances[x[..., -1].long()])


class Embeds(InputTransform):
    """Gives a model of embedded candidates the features of those it is asked about.

    Args:
        embed: ``... x p`` features to ``... x q``; id and fidelity stay behind them.
    """

    transform_on_train = False  # the training data are embedded
    transform_on_eval = True
    transform_on_fantasize = True

    def __init__(self, embed: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.embed = embed

    def transform(self, X: Tensor) -> Tensor:  # noqa: N803
        """``... x (p + 2)`` to ``... x (q + 2)``."""
        return torch.cat([self.embed(X[..., :-2]), X[..., -2:]], dim=-1)


def build_reference(posterior: Posterior) -> Model:
    """A BoTorch model over ``[features | candidate id | fidelity]``, in units of utility."""
    data, h, line = posterior.data, posterior.h, posterior.scale
    tail = torch.stack([data.candidate, data.fidelity], dim=1).to(torch.float64)
    units = line.scale
    noise = (h.noise + posterior.jitter) * units.square()
    counts, trends = _kernels(posterior)
    likelihood = _GaussianLikelihoodBase(FidelityNoise(noise))
    with validate_input_scaling(False), torch.no_grad():
        model = SingleTaskGP(
            train_X=torch.cat([data.features[data.candidate], tail], dim=1),
            train_Y=data.utility[:, None],
            likelihood=likelihood,
            covar_module=CoregionalisedKernel(
                h.smooth * torch.outer(units, units),
                h.nugget * torch.outer(units, units),
                posterior.kernel.scale,
                counts,
                trends,
            ),
            mean_module=FidelityMean(line.centre + units * h.offset),
            outcome_transform=None,
        )
    return model.eval()


def _kernels(posterior: Posterior) -> tuple[list[Kernel], list[Kernel]]:
    """Kernels over the counts and over the trend columns."""
    kernel, h = posterior.kernel, posterior.h
    counts: list[Kernel] = []
    trends: list[Kernel] = []
    if kernel.has_counts:
        counts = [_scaled(_count_kernel(posterior), h.count_variance)]
    if kernel.has_trends:
        slope = LinearKernel().double()
        slope.variance = h.slope_variance
        trends = [_scaled(_matern(h.trend_length), h.trend_variance), slope]
    return counts, trends


def _count_kernel(posterior: Posterior) -> Kernel:
    kernel = posterior.kernel
    length = posterior.h.count_length * kernel.scale.count_scale
    if kernel.kernel == "tanimoto":
        return TanimotoKernel()
    if kernel.kernel == "matern52":
        return _matern(length)
    if kernel.kernel == "rbf":
        rbf = RBFKernel().double()
        rbf.lengthscale = length
        return rbf
    # The categorical kernel takes the share of columns that differ, not their number.
    hamming = CategoricalKernel().double()
    hamming.lengthscale = length / len(kernel.scale.counts)
    return hamming


def _matern(length: Tensor) -> Kernel:
    kernel = MaternKernel(nu=2.5).double()
    kernel.lengthscale = length
    return kernel


def _scaled(kernel: Kernel, variance: Tensor) -> Kernel:
    scaled = ScaleKernel(kernel).double()
    scaled.outputscale = variance
    return scaled
