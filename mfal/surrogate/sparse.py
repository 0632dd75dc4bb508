"""A sparse variational process of several fidelities: what a network is trained by."""

import torch
from gpytorch.distributions import MultivariateNormal
from gpytorch.kernels import Kernel, LinearKernel, MaternKernel, ScaleKernel
from gpytorch.likelihoods.gaussian_likelihood import _GaussianLikelihoodBase
from gpytorch.likelihoods.noise_models import Noise
from gpytorch.means import ConstantMean
from gpytorch.models import ApproximateGP
from gpytorch.variational import (
    CholeskyVariationalDistribution,
    LMCVariationalStrategy,
    VariationalStrategy,
)
from linear_operator.operators import DiagLinearOperator
from torch import Tensor

_NOISE_FLOOR = 1e-4


class SparseProcess(ApproximateGP):
    """Inducing points for a linear model of coregionalisation of M latent functions.

    Hensman, Matthews & Ghahramani (AISTATS 2015, arXiv 1411.2005), whitened as in Matthews (PhD
    thesis, Cambridge 2016). Fidelity m is a learnt combination of M latent functions, each with
    a Matérn-5/2 kernel over the embedding, another over the trend columns and a linear one.

    Args:
        inducing: Embeddings and scaled trend columns, ``u x (o + t)``, where inducing points
            start.
        n_fidelities: M.
        outputs: o, the width of the embedding.
    """

    def __init__(self, inducing: Tensor, n_fidelities: int, outputs: int) -> None:
        latents = torch.Size([n_fidelities])
        variational = CholeskyVariationalDistribution(len(inducing), batch_shape=latents)
        strategy = LMCVariationalStrategy(
            VariationalStrategy(self, inducing, variational),
            num_tasks=n_fidelities,
            num_latents=n_fidelities,
        )
        super().__init__(strategy)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            # All fidelities start as the first latent function and a little of the others.
            strategy.lmc_coefficients.mul_(0.3)[0] = 1.0  # type: ignore[operator]
        kernel: Kernel = ScaleKernel(MaternKernel(2.5, active_dims=tuple(range(outputs))))
        trends = tuple(range(outputs, inducing.shape[1]))
        if trends:
            kernel += ScaleKernel(MaternKernel(2.5, active_dims=trends))
            kernel += LinearKernel(active_dims=trends)
        self.covar_module = kernel
        self.mean_module = ConstantMean(batch_shape=latents)
        self.double()

    def forward(self, x: Tensor) -> MultivariateNormal:
        """Prior of the latent functions."""
        return MultivariateNormal(self.mean_module(x), self.covar_module(x))

    def marginals(self, x: Tensor, fidelity: Tensor) -> MultivariateNormal:
        """Of the function at ``N x (o + t)`` points and ``N`` fidelities, each by itself."""
        latent = self.variational_strategy.base_variational_strategy(x)
        loading = self.variational_strategy.lmc_coefficients[:, fidelity]
        mean = (loading * latent.mean).sum(dim=0)
        variance = (loading.square() * latent.variance).sum(dim=0)
        return MultivariateNormal(mean, DiagLinearOperator(variance))


class FidelityLikelihood(_GaussianLikelihoodBase):
    """Gaussian noise of its own at each of M fidelities.

    What is special to a candidate counts as noise here: no inducing point can stand for it.
    """

    def __init__(self, n_fidelities: int) -> None:
        super().__init__(_LearntNoise(n_fidelities))

    def miss(self, marginals: MultivariateNormal, values: Tensor, fidelity: Tensor) -> Tensor:
        """Mean negative log density of ``N`` observations, nats, up to a constant."""
        variance = marginals.variance + self.noise_covar(fidelity=fidelity).diagonal()
        squared = (values - marginals.mean).square()
        return 0.5 * (squared / variance + variance.log()).mean()


class _LearntNoise(Noise):
    def __init__(self, n_fidelities: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.log_variance = torch.nn.Parameter(torch.zeros(n_fidelities, dtype=torch.float64))

    def forward(self, *_: object, fidelity: Tensor, **__: object) -> DiagLinearOperator:
        """``N x N``, diagonal, for ``N`` fidelities."""
        return DiagLinearOperator((_NOISE_FLOOR + self.log_variance.exp())[fidelity])
