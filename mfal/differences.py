"""How two campaigns differ: their configurations field by field, their ledgers row by row."""

import hashlib
import json
from dataclasses import dataclass
from itertools import zip_longest

from mfal.budget import total_cost
from mfal.config import CampaignConfig
from mfal.errors import NoLedgerError
from mfal.fields import Pair, differing
from mfal.ledger.reading import Entry, read_ledger

PLACE = {"name", "data_dir", "ledger"}  # where a campaign lies, not what it is


@dataclass(frozen=True, slots=True)
class Contents:
    """A ledger in figures.

    Attributes:
        rounds: Finished batches, as `mfal status` counts them.
        sha256: Of all queries and answers, without the times and durations of that run.
    """

    rounds: int
    queries: int
    answered: int
    spent: float
    sha256: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two campaigns differ.

    Attributes:
        fields: Fields of the configurations that differ, as paths such as ``batch.cost``.
        first: The first query on which the ledgers differ, and what each has there.
    """

    fields: tuple[Pair, ...]
    contents: tuple[Contents, Contents]
    first: Pair | None

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.fields and self.first is None


def compare(a: CampaignConfig, b: CampaignConfig) -> Comparison:
    """How two campaigns differ, whatever they are called and wherever they lie.

    A campaign that has not begun is compared as an empty ledger.

    Raises:
        LedgerError: if a ledger cannot be read.
    """
    one, other = (config.model_dump(mode="json", exclude=PLACE) for config in (a, b))
    (entries, rounds), (other_entries, other_rounds) = _read(a), _read(b)
    return Comparison(
        differing(one, other),
        (_contents(entries, rounds), _contents(other_entries, other_rounds)),
        _first(entries, other_entries),
    )


def _read(config: CampaignConfig) -> tuple[list[Entry], int]:
    """All queries of a ledger, and how many batches are finished."""
    try:
        with read_ledger(config.ledger_url, config.name, config.identity()) as ledger:
            return ledger.entries(), sum(r.finished for r in ledger.batches())
    except NoLedgerError:
        return [], 0


def _contents(entries: list[Entry], rounds: int) -> Contents:
    return Contents(
        rounds=rounds,
        queries=len(entries),
        answered=sum(e.backend is not None for e in entries),
        spent=total_cost(e.cost for e in entries if e.cost is not None),
        sha256=hashlib.sha256(json.dumps(entries).encode()).hexdigest(),
    )


def _first(a: list[Entry], b: list[Entry]) -> Pair | None:
    for one, other in zip_longest(a, b):
        if one != other:
            present = one or other
            where = f"round {present.round}, query {present.position}"
            return Pair(where, one and one._asdict(), other and other._asdict())
    return None
