import pytest

from mfal.gfn.base import TrainMetrics
from mfal.progress import Both, Progress, Stage, round_name, training_line


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


@pytest.mark.parametrize(
    ("kind", "name"),
    [("batch", "round 4"), ("initial", "initial design"), ("imported", "imported data")],
)
def test_a_round_is_called_by_its_kind_or_its_number(kind: str, name: str) -> None:
    assert round_name(4, kind) == name


class Heard(Progress):
    def __init__(self) -> None:
        self.said: list[tuple[object, ...]] = []

    def begin_round(self, number: int, kind: str) -> None:
        self.said.append(("begin", number, kind))

    def end_round(self, number: int) -> None:
        self.said.append(("end", number))

    def stage(self, stage: Stage) -> None:
        self.said.append(("stage", stage))

    def train(self, metrics: TrainMetrics) -> None:
        self.said.append(("train", metrics))

    def scored(self, done: int, total: int) -> None:
        self.said.append(("scored", done, total))

    def spent(self, cost: float, budget: float) -> None:
        self.said.append(("spent", cost, budget))


def test_both_watchers_hear_the_same() -> None:
    watchers = Heard(), Heard()
    metrics = TrainMetrics(1, 2, 0.0, 0.0, 0.0, 1.0, 1)
    both = Both(*watchers)
    both.begin_round(1, "batch")
    both.stage("fit")
    both.train(metrics)
    both.scored(2, 3)
    both.spent(4.0, 5.0)
    both.end_round(1)
    expected = [("begin", 1, "batch"), ("stage", "fit"), ("train", metrics), ("scored", 2, 3)]
    expected += [("spent", 4.0, 5.0), ("end", 1)]
    assert [watcher.said for watcher in watchers] == [expected, expected]


def test_a_loss_that_is_no_number_is_called_so() -> None:
    nan, inf = float("nan"), float("inf")
    line = training_line(TrainMetrics(1, 2, nan, inf, -inf, nan, 0))
    assert line == "loss nan, validation inf, log Z -inf, ESS nan %, 0 modes"
