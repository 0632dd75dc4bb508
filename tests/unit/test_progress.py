import pytest

from mfal.gfn.base import TrainMetrics
from mfal.progress import training_line


@pytest.mark.parametrize(
    ("metrics", "line"),
    [
        (
            TrainMetrics(120, 300, 0.4217, 0.5036, 3.2141, 0.8749, 14),
            "loss 0.422, validation 0.504, log Z 3.214, ESS 87 %, 14 modes",
        ),
        (
            TrainMetrics(1, 2, 0.0, 1e-5, -0.00012, 1.0, 1),
            "loss 0, validation 1e-05, log Z -0.00012, ESS 100 %, 1 mode",
        ),
        (
            TrainMetrics(1, 2, 123456.0, 2345.6, -1234.56, 1 / 32, 0),
            "loss 1.23e+05, validation 2.35e+03, log Z -1235, ESS 3 %, 0 modes",
        ),
    ],
)
def test_training_in_a_line(metrics: TrainMetrics, line: str) -> None:
    assert training_line(metrics) == line


def test_a_loss_that_is_no_number_is_called_so() -> None:
    nan, inf = float("nan"), float("inf")
    line = training_line(TrainMetrics(1, 2, nan, inf, -inf, nan, 0))
    assert line == "loss nan, validation inf, log Z -inf, ESS nan %, 0 modes"
