"""Coordinates of grid points, and the text that they come from."""

import pytest
import torch

from mfal.envs.hypergrid import HypergridEnvironment
from mfal.errors import ConfigError, InvalidKeyError
from mfal.features.base import Features
from mfal.features.coordinates import Coordinates
from mfal.features.points import parse_point, point_text


def test_borders_are_zero_and_one() -> None:
    features = Coordinates(dimensions=2, side=5)
    assert isinstance(features, Features)
    rows = features(["0,4", "1,3", "4,0"])
    assert rows.dtype == torch.float64
    assert rows.tolist() == [[0.0, 1.0], [0.25, 0.75], [1.0, 0.0]]
    assert features([]).shape == (0, 2)


def test_every_key_of_the_environment_has_coordinates() -> None:
    grid = HypergridEnvironment(dimensions=3, side=4)
    points = grid.uniform(200, torch.Generator().manual_seed(0))
    rows = Coordinates(dimensions=3, side=4)(grid.keys(points))
    assert torch.equal((rows * 3).round().long(), points[:, :-1])


@pytest.mark.parametrize("key", ["1", "1,2,3", "5,0", "-1,0", "01,2", "1,x", "1, 2", "1,²", ""])
def test_a_text_that_is_no_point_is_named(key: str) -> None:
    with pytest.raises(InvalidKeyError) as caught:
        Coordinates(dimensions=2, side=5)(["0,0", key])
    assert repr(key) in caught.value.message


def test_points_survive_the_round_trip() -> None:
    for point in ([0, 0, 0], [11, 0, 3], [99, 99, 99]):
        assert parse_point(point_text(point), 3, 100) == point


@pytest.mark.parametrize(("dimensions", "side"), [(0, 5), (2, 1)])
def test_grids_without_points_are_refused(dimensions: int, side: int) -> None:
    with pytest.raises(ConfigError):
        Coordinates(dimensions=dimensions, side=side)
