"""Numbers as they are printed."""

import math

import pytest

from mfal.digits import amount, number, rough, written


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-17.4, "-17.40"),
        (-25.086, "-25.09"),
        (0.99871, "0.9987"),
        (0.4031, "0.4031"),
        (3.14159e-6, "3.142e-06"),
        (0.00031416, "0.0003142"),
        (12345.6, "12346"),
        (1234567.0, "1234567"),
        (1.5e9, "1.500e+09"),
        (100.0, "100.0"),
        (0.0, "0.000"),
        (None, ""),
        (math.nan, ""),
    ],
)
def test_a_number_has_four_figures_in_any_unit(value: float | None, text: str) -> None:
    assert number(value) == text


def test_numbers_of_a_column_have_as_many_decimals() -> None:
    column = [-17.4, -9.8, 0.0, None, -10.012]
    assert [*map(written(column), column)] == ["-17.40", "-9.80", "0.00", "", "-10.01"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (5.21e-5, "5.2e-05"), (0.0429, "0.043"), (1.26, "1.3"), (284.6, "280")],
)
def test_two_figures_do_without_an_exponent_from_a_hundred_on(value: float, text: str) -> None:
    assert rough(value) == text


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        (0.0, "0"),
        (100.0, "100"),
        (0.1 + 0.2, "0.3"),
        (1 / 3, "0.333333"),
        (1e-7, "1e-07"),
        (748760.5, "748760.5"),
        (1246272.25, "1246272.25"),
        (2.5e6, "2500000"),
        (1e9, "1000000000"),
    ],
)
def test_an_amount_keeps_its_hundredths_and_has_no_exponent(cost: float, text: str) -> None:
    assert amount(cost) == text


@pytest.mark.parametrize("unit", [1e-6, 1e-3, 1.0, 1e3, 1e9])
def test_what_differs_by_a_thousandth_is_told_apart_in_any_unit(unit: float) -> None:
    column = [value * unit for value in (2.000, 2.002, 2.004)]
    assert len({*map(written(column), column)}) == 3
