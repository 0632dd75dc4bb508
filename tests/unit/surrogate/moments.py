"""The moments of a surrogate beside those of its BoTorch model."""

import torch
from botorch.models.model import Model
from torch import Tensor

from mfal.dataset import Dataset
from mfal.surrogate.base import Surrogate


def some_queries(data: Dataset) -> tuple[Tensor, Tensor]:
    """New candidates and known ones, mixed: features and places in the data."""
    generator = torch.Generator().manual_seed(9)
    new = torch.randint(0, 5, (7, data.features.shape[1]), generator=generator).double()
    known = torch.tensor([0, 5, 11, 20, len(data.keys) - 1])
    features = torch.cat([new[:4], data.features[known], new[4:]])
    places = [torch.full((4,), -1), known, torch.full((3,), -1)]
    return features, torch.cat(places)


def reference_moments(
    model: Model, features: Tensor, candidate: Tensor, fidelity: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean ``n`` and covariance ``n x n``; new candidates get ids by their place in the list."""
    rows = torch.arange(len(features))
    ids = torch.where(candidate < 0, 1000 + rows % 12, candidate)
    inputs = torch.cat([features, ids[:, None].double(), fidelity[:, None].double()], dim=1)
    with torch.no_grad():
        posterior = model.posterior(inputs)
    return posterior.mean[:, 0], posterior.distribution.covariance_matrix


def assert_moments_agree(surrogate: Surrogate, data: Dataset, tolerance: float = 1e-8) -> None:
    """Mean, variances, covariance with the target and among queries, to `tolerance`."""
    features, candidate = some_queries(data)
    n, m = len(features), data.n_fidelities
    everything = features.repeat(m, 1), candidate.repeat(m), torch.arange(m).repeat_interleave(n)
    mean, covariance = reference_moments(surrogate.to_botorch(), *everything)
    scale = covariance.diagonal().max().item()

    moments = surrogate.joint(features, candidate)
    blocks = covariance.view(m, n, m, n).diagonal(dim1=1, dim2=3)  # M x M x n
    for ours, theirs in (
        (moments.mean, mean.view(m, n).T),
        (moments.variance, blocks.diagonal()),
        (moments.target_covariance, blocks[:, -1].T),
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance * scale)
    torch.testing.assert_close(
        surrogate.covariance(*everything), covariance, rtol=0, atol=tolerance * scale
    )
