"""Each structure of the fidelities against GPyTorch, BoTorch and its own definition."""

from itertools import product
from typing import get_args

import pytest
import torch
from botorch.models.kernels import LinearTruncatedFidelityKernel
from gpytorch.kernels import IndexKernel, MaternKernel, ScaleKernel
from torch import Tensor

from mfal import registry
from mfal.dataset import Dataset
from mfal.errors import SurrogateError
from mfal.sections import Component
from mfal.surrogate.gp import MultiFidelityGP
from mfal.surrogate.kernels import CountKernel
from mfal.surrogate.structures import LinearTruncated, Structure, StructureName, make_structure
from tests.unit.surrogate.data import synthetic, target_only
from tests.unit.surrogate.moments import assert_moments_agree

LEVELS = (0.2, 0.5, 1.0)
TRENDS = (6, 7, 8)
NAMES = get_args(StructureName)


def random_parameters(structure: Structure, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: prior.mean
        + prior.sd * torch.randn(prior.size, generator=generator, dtype=torch.float64)
        for name, prior in structure.table().items()
    }


@pytest.mark.parametrize(("structure", "kernel"), list(product(NAMES, get_args(CountKernel))))
def test_all_moments_agree_with_botorch(
    three_rungs: Dataset, structure: StructureName, kernel: CountKernel
) -> None:
    surrogate = MultiFidelityGP(
        linear_columns=TRENDS, levels=LEVELS, structure=structure, kernel=kernel, max_steps=15
    )
    assert_moments_agree(surrogate.fit(three_rungs, seed=0), three_rungs)


def test_linear_truncated_is_botorchs_kernel() -> None:
    structure = LinearTruncated(LEVELS)
    p = random_parameters(structure, seed=0)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    levels = torch.tensor(LEVELS, dtype=torch.float64).repeat_interleave(6)
    inputs = torch.cat([x.repeat(3, 1), levels[:, None]], dim=1)
    bias = ScaleKernel(MaternKernel(nu=2.5)).double()
    bias.outputscale = p["log_bias"].exp() / (1 - LEVELS[0]) ** 2
    kernel = LinearTruncatedFidelityKernel(
        fidelity_dims=[2],
        dimension=3,
        covar_module_unbiased=MaternKernel(nu=2.5).double(),
        covar_module_biased=bias,
    ).double()
    kernel.power = p["log_power"].exp()
    with torch.no_grad():
        theirs = kernel(inputs).to_dense()
        over_x = MaternKernel(nu=2.5).double()(x).to_dense()
    torch.testing.assert_close(torch.kron(structure.smooth(p), over_x), theirs, rtol=0, atol=1e-12)


def test_intrinsic_coregionalisation_is_an_index_kernel() -> None:
    structure = make_structure("icm", LEVELS)
    p = random_parameters(structure, seed=2)
    index = IndexKernel(num_tasks=3, rank=3).double()
    ours = structure.smooth(p)
    index.covar_factor.data = torch.linalg.cholesky(ours)
    index.var = torch.full((3,), 1e-12, dtype=torch.float64)
    tasks = torch.arange(3)[:, None]
    with torch.no_grad():
        torch.testing.assert_close(index(tasks).to_dense(), ours, rtol=0, atol=1e-10)
    assert (structure.nugget(p, 1e-3) == 0).all()


def test_autoregression_satisfies_its_recursion() -> None:
    # Kennedy & O'Hagan: given a rung, those below tell nothing more of those above.
    structure = make_structure("ar1", LEVELS)
    p = random_parameters(structure, seed=3)
    rho, error = p["log_rho"].exp(), p["log_error"].exp()
    low = torch.tensor(1.0).double()
    mid = rho[0] ** 2 + error[0]
    high = rho[1] ** 2 * mid + error[1]
    expected = torch.stack([low, rho[0], rho[0] * rho[1], rho[0], mid, rho[1] * mid])
    expected = torch.cat([expected, torch.stack([rho[0] * rho[1], rho[1] * mid, high])]).view(3, 3)
    covariance = structure.smooth(p)
    torch.testing.assert_close(covariance, expected)
    assert abs(float(torch.linalg.inv(covariance)[0, 2])) < 1e-10


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_fidelities", [1, 2, 3, 4])
def test_covariances_are_positive_definite_and_above_the_floor(
    name: StructureName, n_fidelities: int
) -> None:
    levels = tuple((i + 1) / n_fidelities for i in range(n_fidelities))
    structure = make_structure(name, levels)
    for seed in range(20):
        p = random_parameters(structure, seed)
        smooth, nugget = structure.smooth(p), structure.nugget(p, 0.01)
        assert smooth.shape == nugget.shape == (n_fidelities, n_fidelities)
        assert torch.linalg.eigvalsh(smooth).min() > -1e-12
        assert (smooth >= 0).all() and (nugget >= 0).all()
        if name != "icm":
            assert torch.linalg.eigvalsh(nugget).min() > -1e-12
            assert (nugget.diagonal() > 0.01).all()


def test_single_learns_from_the_target_alone(three_rungs: Dataset) -> None:
    settings = MultiFidelityGP(linear_columns=TRENDS, structure="single")
    mixed = settings.fit(three_rungs, seed=0)
    alone = settings.fit(target_only(three_rungs), seed=0)
    features = synthetic(20, 1, seed=50).features
    a, b = mixed.joint(features), alone.joint(features)
    torch.testing.assert_close(a.mean, b.mean, rtol=0, atol=1e-8)
    torch.testing.assert_close(a.variance, b.variance, rtol=0, atol=1e-8)
    assert (a.target_covariance[:, :-1] == 0).all()
    assert mixed.diagnostics()["n"] == 12
    with pytest.raises(SurrogateError, match="0 observations at the target"):
        settings.fit(three_rungs.subset(three_rungs.fidelity == 0), seed=0)


@pytest.mark.parametrize("name", ["lmc", "icm", "ar1", "linear-truncated"])
def test_cheap_answers_count_at_the_target(name: StructureName) -> None:
    settings = MultiFidelityGP(linear_columns=TRENDS, structure=name)
    full = synthetic(160, 2, seed=14)
    data = full.subset(torch.cat([torch.arange(160), 160 + torch.arange(12)]))
    new = synthetic(300, 1, seed=51)
    error = [
        (settings.fit(some, seed=0).joint(new.features).mean[:, -1] - new.utility).square().mean()
        for some in (data, data.subset(data.fidelity == 1))
    ]
    assert error[0] < 0.7 * error[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_names_structure_and_kernel(name: StructureName) -> None:
    component = Component(name="gp", options={"structure": name, "kernel": "rbf"})
    given = {"n_fidelities": 3, "levels": LEVELS, "linear_columns": TRENDS}
    surrogate = registry.build("surrogate", component, **given)
    assert (surrogate.structure, surrogate.kernel) == (name, "rbf")
    assert surrogate.levels == LEVELS


@pytest.mark.parametrize("levels", [(0.5, 1.0), (0.2, 0.2, 1.0), (0.0, 0.5, 1.0), (0.1, 0.2, 0.9)])
def test_levels_that_are_no_ladder_are_refused(
    three_rungs: Dataset, levels: tuple[float, ...]
) -> None:
    with pytest.raises(SurrogateError, match="levels"):
        MultiFidelityGP(levels=levels, structure="linear-truncated").fit(three_rungs, seed=0)
