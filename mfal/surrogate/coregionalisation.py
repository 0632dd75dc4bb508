"""Covariance matrices among fidelities that are positive definite by construction."""

import torch
from torch import Tensor

_SMALLEST = 1e-12


def chain_covariance(rho: Tensor, error: Tensor) -> Tensor:
    """Covariance of ``f_m = rho_m f_(m-1) + e_m``, ``M x M``.

    Args:
        rho: Multiples, ``M - 1``.
        error: Variances of e, ``M``; the first is that of the lowest rung.
    """
    rows = [torch.eye(len(error), dtype=error.dtype)[0]]
    for rung, multiple in enumerate(rho, start=1):
        rows.append(multiple * rows[-1] + torch.eye(len(error), dtype=error.dtype)[rung])
    loadings = torch.stack(rows)
    return loadings * error @ loadings.T


def fidelity_covariance(sd: Tensor, correlation: Tensor, partial: Tensor) -> Tensor:
    """Covariance among M fidelities that hang together through the target.

    Rung m is ``sd_m (r_m t + sqrt(1 - r_m^2) e_m)`` with t the target's value and errors e
    that correlate with each other by q. This covers a chain (Kennedy & O'Hagan, Biometrika 87,
    1 (2000)) as well as rungs whose errors have nothing in common, stays positive definite
    for any input, and takes one number per rung.

    Args:
        sd: Standard deviations, ``M``, the target's last.
        correlation: Logits of r, ``M - 1``.
        partial: Logit of q, ``1``, or empty where M < 3.
    """
    r = torch.cat([correlation.sigmoid(), torch.ones(1, dtype=sd.dtype)])
    rest = torch.cat([(-correlation).sigmoid() * (1 + correlation.sigmoid()), torch.zeros(1)])
    error = rest.clamp(min=_SMALLEST).sqrt() * (rest > 0)
    shared = partial.sigmoid().sum() * torch.outer(error, error)
    own = (1 - partial.sigmoid().sum()) * torch.diag(error.square())
    return torch.outer(sd, sd) * (torch.outer(r, r) + shared + own)
