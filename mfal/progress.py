"""What a round tells whoever is watching: a terminal, a log, a page."""

from collections.abc import Callable
from typing import Literal

from mfal.gfn.base import TrainMetrics

Stage = Literal["fit", "train", "propose", "score", "append"]
STAGES: tuple[Stage, ...] = ("fit", "train", "propose", "score", "append")

START_NAMES = {"imported": "imported data", "initial": "initial design"}
"""Kinds of rounds that no sampler proposed, and what each is called."""


def round_name(number: int, kind: str) -> str:
    """What a round is called: by its kind, or by its number where a sampler proposed it."""
    return START_NAMES.get(kind, f"round {number}")


def training_line(metrics: TrainMetrics) -> str:
    """How training goes, in a line for a log or a terminal; the step is left to the caller."""
    m = metrics
    return (
        f"loss {m.loss:.3g}, validation {m.validation_loss:.3g}, log Z {m.log_z:.4g}, "
        f"ESS {100 * m.effective_sample_size:.0f} %, {m.modes} mode{'' if m.modes == 1 else 's'}"
    )


class Progress:
    """Is told what happens, as it happens; this one says nothing to anybody."""

    def begin_round(self, number: int, kind: str) -> None:
        """A round of a kind starts: ``initial``, the design, or ``batch``."""

    def end_round(self, number: int) -> None:
        """Every answer of the round is in the ledger."""

    def stage(self, stage: Stage) -> None:
        """A stage of the round starts."""

    def train(self, metrics: TrainMetrics) -> None:
        """The sampler has learnt for a while."""

    def scored(self, done: int, total: int) -> None:
        """`done` of the round's `total` queries are in the ledger."""

    def spent(self, cost: float, budget: float) -> None:
        """`cost` of the campaign's `budget` is spent."""


class Both(Progress):
    """Two watchers of the same rounds."""

    def __init__(self, first: Progress, second: Progress) -> None:
        self._watchers = (first, second)

    def begin_round(self, number: int, kind: str) -> None:
        """Tell both."""
        self._tell(lambda watcher: watcher.begin_round(number, kind))

    def end_round(self, number: int) -> None:
        """Tell both."""
        self._tell(lambda watcher: watcher.end_round(number))

    def stage(self, stage: Stage) -> None:
        """Tell both."""
        self._tell(lambda watcher: watcher.stage(stage))

    def train(self, metrics: TrainMetrics) -> None:
        """Tell both."""
        self._tell(lambda watcher: watcher.train(metrics))

    def scored(self, done: int, total: int) -> None:
        """Tell both."""
        self._tell(lambda watcher: watcher.scored(done, total))

    def spent(self, cost: float, budget: float) -> None:
        """Tell both."""
        self._tell(lambda watcher: watcher.spent(cost, budget))

    def _tell(self, what: Callable[[Progress], None]) -> None:
        for watcher in self._watchers:
            what(watcher)
