"""Where a point of a grid lies."""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mfal.errors import ConfigError
from mfal.features.points import parse_point


class Coordinates:
    """The coordinates of a grid point, from 0 at one border to 1 at the other.

    A surrogate with ``kernel: rbf`` or ``kernel: matern52`` compares points by their distance,
    with one length scale for all directions.

    Args:
        dimensions: Number d of coordinates.
        side: Number of points along each, at least 2.
    """

    linear_columns = ()

    def __init__(
        self, *, dimensions: Annotated[int, Field(ge=1)], side: Annotated[int, Field(ge=2)]
    ) -> None:
        if dimensions < 1 or side < 2:
            raise ConfigError(
                f"the grid has {dimensions} dimensions of {side} points",
                "name at least 1 dimension and 2 points, as the problem's grid has them",
            )
        self.dimensions = dimensions
        self.side = side
        self.width = dimensions

    def __call__(self, keys: Sequence[str]) -> Tensor:
        """``n x d`` float64 in [0, 1]."""
        points = [parse_point(key, self.dimensions, self.side) for key in keys]
        table = torch.tensor(points, dtype=torch.float64).view(len(keys), self.dimensions)
        return table / (self.side - 1)
