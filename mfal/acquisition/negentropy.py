"""How far from Gaussian an answer is once the target's maximum is known: a table."""

from functools import cache
from math import log, pi

import numpy as np
import torch
from torch import Tensor

from mfal.acquisition.gibbon import log_weight

_LEFT, _RIGHT = -3.0, 6.0  # of the first coordinate
_ROWS, _COLUMNS = 361, 257
_LIMIT = -300.0  # g that stands for minus infinity
_REACH = 9.0  # standard deviations of a normal that are integrated over
_TAIL = 26.0  # of an exponential


def log_negentropy(g: Tensor, squared: Tensor) -> Tensor:
    """Logarithm of the negentropy of an answer whose target lies below a bound.

    Two standard normals y and z of correlation rho, z known to be at most g: the answer y is
    then a sum of a truncated and an independent normal, whose standard deviations stand in
    the ratio t = rho sqrt(v / (1 - rho^2)), with v the variance of the truncated z. Its
    negentropy, the excess of a Gaussian's entropy at the same variance, rises with t from 0
    to that of the truncated normal, and falls with g from that of such a sum with an
    exponential variable, at most log(2 pi e) / 2 - 1, to 0. Both limits are in the table, so
    that it holds for all g and rho.

    Args:
        g: The bound in units of z, ``n x k``.
        squared: rho^2, ``n x M``.

    Returns:
        ``n x M x k``; minus infinity where the negentropy is zero.
    """
    spread = (-torch.expm1(log_weight(g))).sqrt()
    ratio = (squared / (1 - squared).clamp(min=1e-16)).sqrt()[:, :, None] * spread[:, None, :]
    values = _table().to(g)
    row = ((_first(g).clamp(_LEFT, _RIGHT) - _LEFT) * (_ROWS - 1) / (_RIGHT - _LEFT))[:, None, :]
    column = ratio / (1 + ratio) * (_COLUMNS - 1)
    value = _bilinear(values, row, column)
    # Beyond the table it falls as the density of the bound does.
    beyond = 0.5 * (g.clamp(min=_RIGHT).square() - _RIGHT**2)
    return value.log() - beyond[:, None, :]


def _first(g: Tensor) -> Tensor:
    """The table's first coordinate: g above 0, and below it smooth in 1/g^2 towards -3."""
    return torch.where(g < 0, g / (1 + (g / _LEFT).square()).sqrt(), g)


def _bilinear(values: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Between the four entries around fractional places, which broadcast to the result."""
    top = row.floor().clamp(max=_ROWS - 2)
    left = column.floor().clamp(max=_COLUMNS - 2)
    down, along = row - top, column - left
    place = (top * _COLUMNS + left).long()
    entries = values.flatten()
    upper = torch.lerp(entries[place], entries[place + 1], along)
    lower = torch.lerp(entries[place + _COLUMNS], entries[place + _COLUMNS + 1], along)
    return torch.lerp(upper, lower, down.expand_as(upper))


@cache
def _table() -> Tensor:
    """Negentropies at the nodes; independent of data, made once in a process."""
    first = torch.linspace(_LEFT, _RIGHT, _ROWS, dtype=torch.float64)
    second = torch.linspace(0, 1, _COLUMNS, dtype=torch.float64)[1:-1]
    ratio = second / (1 - second)
    rows = []
    for u in first.tolist():
        g = u if u >= 0 else max(u / max(1 - (u / _LEFT) ** 2, 1e-12) ** 0.5, _LIMIT)
        rows.append(torch.cat([torch.zeros(1), _sums(g, ratio), _truncated(g)]))
    # Rounding must not make it negative or let it fall as the correlation rises.
    table: Tensor = torch.stack(rows).clamp(min=0).cummax(dim=1).values
    return table


def _truncated(g: float) -> Tensor:
    """Negentropy of a normal cut off above g, ``1``: g h / 2 - log Phi(g) + log(v) / 2."""
    at = torch.tensor([g], dtype=torch.float64)
    log_mass: Tensor = torch.special.log_ndtr(at)
    h = (-0.5 * at.square() - 0.5 * log(2 * pi) - log_mass).exp()
    return 0.5 * at * h - log_mass + 0.5 * (-torch.expm1(log_weight(at))).log()


def _sums(g: float, ratio: Tensor) -> Tensor:
    """Negentropy of t T + N by quadrature, for ``m`` ratios t.

    T is a normal cut off above g, brought to mean 0 and variance 1, and N a standard normal.
    The density is that of the extended skew-normal distribution.
    """
    at = torch.tensor(g, dtype=torch.float64)
    variance = -torch.expm1(log_weight(at))
    h = (-0.5 * at.square() - 0.5 * log(2 * pi) - torch.special.log_ndtr(at)).exp()
    t = ratio[:, None]
    edge = t * (at + h) / variance.sqrt()
    s, measure = _nodes(-(_TAIL * t + _REACH), edge - _REACH, edge + _REACH)
    total = variance + t.square()
    rho, rest = t / total.sqrt(), (variance / total).sqrt()
    y = rest * s - rho * h
    log_density = -0.5 * (y.square() + log(2 * pi)) + rest.log() - torch.special.log_ndtr(at)
    log_density = log_density + torch.special.log_ndtr((at - rho * y) / rest)
    log_normal = -0.5 * (s.square() / (1 + t.square()) + (2 * pi * (1 + t.square())).log())
    lost: Tensor = (measure * log_density.exp() * (log_density - log_normal)).sum(dim=1)
    return lost


def _nodes(left: Tensor, middle: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre nodes and weights on the tail and around the edge, each ``m x n``."""
    parts = []
    for low, high, n in ((left, middle, 160), (middle, right, 80)):
        x, w = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(n))
        half = 0.5 * (high - low)
        parts.append((low + half * (1 + x), half * w))
    nodes, weights = zip(*parts, strict=True)
    return torch.cat(nodes, dim=1), torch.cat(weights, dim=1)
