"""Branin and Hartmann: BoTorch's functions, the published grids and ladders, known optima."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from itertools import product

import pytest
import torch
from botorch.test_functions.multi_fidelity import AugmentedBranin, AugmentedHartmann

from mfal.errors import InvalidKeyError, UnknownNameError
from mfal.features.points import parse_point, point_text
from mfal.types import Fidelity, Oracle, Problem
from oracles import branin, hartmann

PROBLEMS = [branin.problem, hartmann.problem]


def reference(name: str, points: torch.Tensor, level: float) -> torch.Tensor:
    """BoTorch's value of grid points, ``n x d``."""
    levels = torch.full((len(points), 1), level, dtype=torch.float64)
    if name == "branin":
        x = torch.tensor([-5.0, 0.0], dtype=torch.float64) + 15 * points / 99
        return AugmentedBranin(negate=False)(torch.cat([x, levels], dim=1))
    return AugmentedHartmann(negate=True)(torch.cat([points / 10, levels], dim=1))


@pytest.mark.parametrize("name", ["branin", "hartmann"])
def test_values_are_those_of_botorch_at_every_fidelity(name: str) -> None:
    module = {"branin": branin, "hartmann": hartmann}[name]
    oracle = module.problem().oracle
    d, side = (2, 100) if name == "branin" else (6, 10)
    points = torch.randint(side, (300, d), generator=torch.Generator().manual_seed(0))
    keys = [point_text(point) for point in points.tolist()]
    for fidelity in oracle.fidelities:
        values = [
            outcome.values[0] for outcome in oracle.evaluate(keys, fidelity) if outcome.values
        ]
        wanted = reference(name, points.double(), fidelity.level)
        # BoTorch keeps Hartmann's constants in single precision.
        torch.testing.assert_close(
            torch.tensor(values, dtype=torch.float64), wanted, rtol=0, atol=1e-7
        )


def test_the_optimum_of_branin_is_the_best_of_all_points() -> None:
    values = {point: branin.branin(point, 1.0) for point in product(range(100), repeat=2)}
    best = min(values, key=values.__getitem__)
    assert (point_text(best), values[best]) == branin.OPTIMUM
    for minimum in branin.MINIMA:
        x, y = parse_point(minimum, 2, 100)
        around = product(range(x - 3, x + 4), range(y - 3, y + 4))
        assert values[x, y] == min(values[p] for p in around if p in values)


def test_the_optimum_of_hartmann_is_better_than_all_around_it() -> None:
    key, value = hartmann.OPTIMUM
    best = tuple(parse_point(key, 6, 10))
    around = product(*[[y for y in (x - 1, x, x + 1) if 0 <= y < 10] for x in best])
    others = [hartmann.hartmann(point, 1.0) for point in around if point != best]
    assert len(others) > 2**6
    assert hartmann.hartmann(best, 1.0) == value > max(others)


@pytest.mark.slow
def test_the_optimum_of_hartmann_is_the_best_of_a_million_points() -> None:
    points = torch.cartesian_prod(*[torch.arange(10, dtype=torch.float64)] * 6)
    values = reference("hartmann", points, 1.0)
    best = [int(x) for x in points[values.argmax()].tolist()]
    key, value = hartmann.OPTIMUM
    assert point_text(best) == key
    assert hartmann.hartmann(best, 1.0) == value == pytest.approx(float(values.max()), abs=1e-7)


def test_the_ladders_are_the_published_ones() -> None:
    ladders = [[(f.level, f.cost) for f in make().oracle.fidelities] for make in PROBLEMS]
    assert ladders == [
        [(0.5, 0.01), (0.75, 0.1), (1.0, 1.0)],
        [(0.5, 0.125), (0.75, 0.25), (1.0, 1.0)],
    ]
    goals = [make().oracle.objectives[0].goal for make in PROBLEMS]
    assert goals == ["min", "max"]


@pytest.mark.parametrize("make", PROBLEMS)
def test_the_environment_walks_the_grid_of_the_oracle(make: Callable[[], Problem]) -> None:
    problem = make()
    environment = problem.environment()
    points = environment.uniform(20, torch.Generator().manual_seed(1))  # type: ignore[attr-defined]
    outcomes = problem.oracle.evaluate(environment.keys(points), problem.oracle.fidelities[-1])
    assert all(outcome.values for outcome in outcomes)
    assert problem.describe is not None and problem.describe(environment.keys(points)[0])


@pytest.mark.parametrize("make", PROBLEMS)
def test_keys_and_fidelities_are_checked(make: Callable[[], Problem]) -> None:
    oracle = make().oracle
    assert isinstance(oracle, Oracle)
    assert oracle.evaluate([], oracle.fidelities[0]) == []
    with pytest.raises(InvalidKeyError, match="7,7,7"):
        oracle.evaluate(["7,7,7"], oracle.fidelities[0])
    with pytest.raises(UnknownNameError, match="'exact'"):
        oracle.evaluate([], Fidelity("exact", cost=1.0, level=1.0))


def test_the_map_has_the_point_on_its_place() -> None:
    draw = branin.problem().draw
    assert draw is not None
    for key, x, y in (("0,0", 21.25, 268.75), ("99,0", 268.75, 268.75), ("0,99", 21.25, 21.25)):
        root = ElementTree.fromstring(draw(key))
        for ring in (e for e in root if e.tag.endswith("circle")):
            place = float(ring.get("cx", "")), float(ring.get("cy", ""))
            assert place == pytest.approx((x, y), abs=0.1)
        assert len([e for e in root if e.tag.endswith("path")]) == len(branin.MINIMA)
