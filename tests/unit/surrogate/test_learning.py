"""What the default surrogate learns of folding, and that its correlation stays honest."""

import pytest
import torch
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from gpytorch.kernels import IndexKernel, MaternKernel, ScaleKernel
from gpytorch.mlls import ExactMarginalLogLikelihood
from scipy.stats import spearmanr
from torch import Tensor

from mfal.acquisition.gibbon import Gibbon, log_information
from mfal.dataset import Dataset
from mfal.features.base import FeatureSet
from mfal.features.kmers import KmerCounts
from mfal.surrogate.base import JointMoments
from mfal.surrogate.gp import MultiFidelityGP
from mfal.surrogate.scaling import UtilityScale
from tests.unit.surrogate.data import dna_features, folded, folding_energies, strands, synthetic


@pytest.fixture(scope="module")
def unseen() -> tuple[list[str], torch.Tensor]:
    keys = strands(600, seed=99)
    return keys, -folding_energies(keys)


def test_two_hundred_target_strands_rank_unseen_ones(
    unseen: tuple[list[str], torch.Tensor],
) -> None:
    features = dna_features()
    data = folded([], strands(200, seed=0), features)
    surrogate = MultiFidelityGP(linear_columns=features.linear_columns).fit(data, seed=0)
    moments = surrogate.joint(features(unseen[0]))
    assert spearmanr(moments.mean[:, 1], unseen[1]).statistic > 0.85
    sd = (moments.variance[:, 1] + moments.noise[1]).sqrt()
    inside = ((moments.mean[:, 1] - unseen[1]).abs() < 1.645 * sd).double().mean()
    assert 0.84 < inside < 0.97  # of nominal 90 % intervals


def test_cheap_answers_help_where_target_answers_are_few(
    unseen: tuple[list[str], torch.Tensor],
) -> None:
    features = FeatureSet([KmerCounts(alphabet="ACGT")])
    keys = strands(300, seed=1)
    errors = []
    for cheap in ([], keys):
        data = folded(cheap, keys[:40], features)
        moments = MultiFidelityGP().fit(data, seed=0).joint(features(unseen[0]))
        errors.append(float((moments.mean[:, 1] - unseen[1]).square().mean().sqrt()))
    assert errors[1] < 0.97 * errors[0]


def test_the_trend_carries_on_where_strands_fold_far_better_than_any_seen() -> None:
    features = dna_features()
    data = folded([], strands(60, seed=2), features)
    surrogate = MultiFidelityGP(linear_columns=features.linear_columns).fit(data, seed=0)
    stems = [key[:12] for key in strands(60, seed=3)]
    pairs = str.maketrans("ACGT", "TGCA")
    hairpins = [f"AA{stem}GAAA{stem[::-1].translate(pairs)}" for stem in stems]
    truth = -folding_energies(hairpins)
    mean = surrogate.joint(features(hairpins)).mean[:, 1]
    assert truth.mean() > data.utility.max()
    assert mean.mean() > 0.6 * truth.mean()
    assert spearmanr(mean, truth).statistic > 0.8


def test_fidelities_do_not_collapse_where_a_plain_coregionalisation_does() -> None:
    # What the features explain is the same at both fidelities, the rest is not: the plain kernel
    # calls that rest noise, although it is what makes the target worth asking.
    nested = synthetic(240, 2, seed=12)
    disjoint = nested.subset(torch.cat([torch.arange(120, 240), torch.arange(240, 360)]))
    assert not set(disjoint.candidate[disjoint.fidelity == 0].tolist()) & set(
        disjoint.candidate[disjoint.fidelity == 1].tolist()
    )
    assert plain_correlation(disjoint) > 0.99
    for data in (disjoint, nested):
        surrogate = MultiFidelityGP(linear_columns=(6, 7, 8)).fit(data, seed=0)
        assert 0.5 < surrogate.diagnostics()["correlation_0"] < 0.99


def test_a_collapse_sends_every_query_to_the_cheapest_rung_and_the_default_does_not() -> None:
    # A fifth cheaper, the low rung sees less than half the variance of what is special to a
    # candidate (0.36 of 0.36 + 0.49), and what the features explain is well known.
    nested = synthetic(240, 2, seed=12)
    disjoint = nested.subset(torch.cat([torch.arange(120, 240), torch.arange(240, 360)]))
    default = MultiFidelityGP(linear_columns=(6, 7, 8)).fit(disjoint, seed=0)
    new = synthetic(400, 1, seed=13).features
    gibbon = Gibbon(default, new, torch.full((400,), -1), seed=0)
    shares = []
    for moments in (plain_moments(disjoint, new), default.joint(new)):
        rate = log_information(moments, gibbon.max_values) - torch.tensor([4.0, 5.0]).log()
        best = rate.max(dim=1).values.topk(100).indices  # what a batch would ask about
        shares.append(float((rate[best].argmax(dim=1) == 0).double().mean()))
    assert shares[0] == 1.0
    assert shares[1] < 0.1


def plain_moments(data: Dataset, features: Tensor) -> JointMoments:
    """What a plain coregionalisation says of ``n x p`` new candidates."""
    model, line = fit_plain(data), UtilityScale.learn(data)
    n, scaled = len(features), features / data.features.std(dim=0).clamp(min=1e-6)
    rung = torch.arange(2).repeat_interleave(n).double()[:, None]
    with torch.no_grad():
        posterior = model.posterior(torch.cat([scaled.repeat(2, 1), rung], dim=1))
    blocks = posterior.distribution.covariance_matrix.view(2, n, 2, n).diagonal(dim1=1, dim2=3)
    return JointMoments(
        mean=posterior.mean.view(2, n).T * line.scale + line.centre,
        variance=blocks.diagonal() * line.scale.square(),
        target_covariance=blocks[:, -1].T * line.scale * line.scale[-1],
        noise=model.likelihood.noise.detach() * line.scale.square(),
    )


def plain_correlation(data: Dataset) -> float:
    """Fitted correlation of the fidelities in a plain coregionalisation."""
    matrix = fit_plain(data).covar_module.kernels[1]._eval_covar_matrix().detach()
    return float(matrix[0, 1] / (matrix[0, 0] * matrix[1, 1]).sqrt())


def fit_plain(data: Dataset) -> SingleTaskGP:
    """A kernel over features times a rank-2 index kernel, no nugget."""
    torch.manual_seed(0)
    width = data.features.shape[1]
    tasks = IndexKernel(2, rank=2, active_dims=(width,))
    features = data.features / data.features.std(dim=0).clamp(min=1e-6)
    inputs = torch.cat([features[data.candidate], data.fidelity[:, None].double()], dim=1)
    values = UtilityScale.learn(data).standardise(data.utility, data.fidelity)
    model = SingleTaskGP(
        inputs,
        values[:, None],
        covar_module=ScaleKernel(MaternKernel(active_dims=tuple(range(width)))) * tasks,
        outcome_transform=None,
    )
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    return model.eval()
