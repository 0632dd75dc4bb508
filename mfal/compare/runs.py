"""The runs of a comparison, and what is known of each from its ledger and its folder."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from mfal.budget import total_cost
from mfal.compare.config import Comparison
from mfal.config import CampaignConfig
from mfal.errors import NoLedgerError
from mfal.files import write_whole
from mfal.ledger.reading import read_ledger

DONE = "done"  # a file in the folder of a run that came to its end: what its end depends on


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

    def look(self) -> "Look":
        """What its ledger holds now; it is opened once, which takes longer than to read it."""
        try:
            with read_ledger(self.config.ledger_url, self.name, self.config.identity()) as ledger:
                return Look(
                    run=self,
                    has_begun=bool(ledger.outline()),
                    spent=ledger.spent(),
                    promised=ledger.promised(),
                    settings=ledger.settings(),
                    backends=ledger.backends(),
                )
        except NoLedgerError:
            return Look(self)


@dataclass(frozen=True)
class Look:
    """A run, and what its ledger held when it was looked at.

    Attributes:
        has_begun: Whether there was anything in it.
        spent: Campaign units that the answers cost.
        promised: Campaign units set aside for what had no answer.
        settings: The configurations of its batches, each once; the initial design follows from
            the identity.
        backends: Fidelity -> the engines that had answered at it.
    """

    run: Run
    has_begun: bool = False
    spent: float = 0.0
    promised: float = 0.0
    settings: Sequence[dict[str, Any]] = ()
    backends: Mapping[str, AbstractSet[str]] = field(default_factory=dict)

    @property
    def committed(self) -> float:
        """Campaign units that are spent, or will be when what was begun is answered."""
        return total_cost([self.spent, self.promised])

    @property
    def is_done(self) -> bool:
        """Whether the run came to its end, with the budget and the limits that it has now."""
        path = self.run.config.folder / DONE
        ended = path.is_file() and path.read_bytes() == _limits(self.run.config).encode()
        return ended and self.has_begun  # a ledger that was taken away takes its end with it


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
