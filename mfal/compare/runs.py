"""The runs of a comparison, and what is known of each from its ledger and its folder."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from mfal.budget import total_cost
from mfal.compare.config import Comparison
from mfal.config import CampaignConfig
from mfal.errors import NoLedgerError
from mfal.files import write_whole
from mfal.ledger.reading import Ledger, read_ledger

DONE = "done"  # a file in the folder of a run that came to its end: what its end depends on
T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """A method with a seed."""

    method: str
    seed: int
    config: CampaignConfig

    @property
    def name(self) -> str:
        """Of its folder, too."""
        return self.config.name

    @property
    def spent(self) -> float:
        """Campaign units in its ledger so far."""
        return self._look(lambda ledger: ledger.spent(), 0.0)

    @property
    def committed(self) -> float:
        """Campaign units that it has spent, or will when what it has begun is answered."""
        return self._look(lambda ledger: total_cost([ledger.spent(), ledger.promised()]), 0.0)

    @property
    def settings(self) -> list[dict[str, Any]]:
        """The configuration of each batch so far; the initial design follows from the identity."""
        return self._look(
            lambda ledger: [r.config for r in ledger.rounds() if r.kind == "batch"], []
        )

    @property
    def has_begun(self) -> bool:
        """Whether there is anything in its ledger."""
        return self._look(lambda ledger: bool(ledger.outline()), False)

    @property
    def backends(self) -> dict[str, set[str]]:
        """Fidelity -> the engines that answered at it so far."""
        return self._look(lambda ledger: ledger.backends(), {})

    @property
    def is_done(self) -> bool:
        """Whether it came to its end, with the budget and the limits that it has now."""
        path = self.config.folder / DONE
        ended = path.is_file() and path.read_bytes() == _limits(self.config).encode()
        return ended and self.has_begun  # a ledger that was taken away takes its end with it

    def _look(self, at: Callable[[Ledger], T], without: T) -> T:
        """What is to be seen in its ledger; `without` where there is none yet."""
        try:
            with read_ledger(self.config.ledger_url, self.name, self.config.identity()) as ledger:
                return at(ledger)
        except NoLedgerError:
            return without


def runs_of(comparison: Comparison) -> list[Run]:
    """All runs, seed by seed, so that every method has its first seed early."""
    return [
        Run(method, seed, comparison.config(method, seed))
        for seed in comparison.seeds
        for method in comparison.methods
    ]


def mark_done(config: CampaignConfig) -> None:
    """Write down that the run of this configuration came to its end."""
    write_whole(config.folder / DONE, _limits(config).encode())


def _limits(config: CampaignConfig) -> str:
    """What decides when a campaign ends, as text."""
    return config.model_dump_json(include={"budget", "stop"})
