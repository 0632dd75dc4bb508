"""Measurements that people make: written out as CSV files, awaited, and matched when back."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from mfal.campaign import Campaign
from mfal.errors import DataError, LedgerError
from mfal.files import write_whole
from mfal.tabular import DESCRIPTION, csv_text, read_sheet
from mfal.types import Query


@dataclass(frozen=True)
class Waiting:
    """What an unfinished round waits for.

    Attributes:
        round: Its number.
        queries: Those that people have to measure and have not, in the order of the round.
        files: Where they stand.
        computed: How many others have no answer either, as long as the round is at work.
    """

    round: int
    queries: tuple[Query, ...]
    files: tuple[Path, ...]
    computed: int


def waiting(campaign: Campaign) -> Waiting | None:
    """What the campaign waits for; None where it does not wait."""
    begun = campaign.store.open_round()
    if begun is None:
        return None
    by_hand, computed = split_pending(campaign, begun.number)
    if not by_hand:
        return None
    files = tuple(batch_file(campaign, begun.number, name) for name in _by_fidelity(by_hand))
    return Waiting(begun.number, tuple(by_hand), files, len(computed))


def waiting_text(awaited: Waiting, source: str) -> str:
    """What people are to do now.

    Args:
        source: The campaign, as it is named on the command line.
    """
    n = len(awaited.queries)
    batches = zip(awaited.files, _by_fidelity(awaited.queries).values(), strict=True)
    files = "\n".join(f"  {path}{_lacking(path, queries)}" for path, queries in batches)
    return (
        f"Round {awaited.round} waits for {n} measurement{'' if n == 1 else 's'}:\n{files}\n"
        "Fill in the values, or under error why there is none; rows left empty stay open. Then:\n"
        f"  mfal import {source} {quote(str(awaited.files[0]))}\n"
        f"  mfal round {source}"
    )


def _lacking(path: Path, queries: Sequence[Query]) -> str:
    """What to do where a file is gone, or has lost rows that are still open."""
    if not path.exists():
        return " (which is not there: `mfal round` writes it anew)"
    written = _written(path)
    n = 0 if written is None else sum(q.key not in written for q in queries)
    return f" (lacks {n} of them: move it away, and `mfal round` writes it anew)" if n else ""


def _by_fidelity(queries: Sequence[Query]) -> dict[str, list[Query]]:
    found: dict[str, list[Query]] = {}
    for query in queries:
        found.setdefault(query.fidelity, []).append(query)
    return found


def split_pending(campaign: Campaign, number: int) -> tuple[list[Query], list[Query]]:
    """Queries of a round that have no outcome: those measured by hand, and the others."""
    pending = campaign.store.pending(number)
    manual = {f.name for f in campaign.ladder if f.manual}
    by_hand = [q for q in pending if q.fidelity in manual]
    return by_hand, [q for q in pending if q.fidelity not in manual]


def measured_by_hand(campaign: Campaign, number: int) -> bool:
    """Whether all of a round is answered, and people measured some of it."""
    manual = {f.name for f in campaign.ladder if f.manual}
    return not campaign.store.pending(number) and any(
        o.query.fidelity in manual for o in campaign.store.observations() if o.round == number
    )


def batch_file(campaign: Campaign, number: int, fidelity: str) -> Path:
    """Where the queries of a round at a manual fidelity are written."""
    return campaign.config.folder / "batches" / f"round-{number}-{fidelity}.csv"


def write_out(campaign: Campaign, number: int, by_hand: Sequence[Query]) -> list[Path]:
    """Write the queries of a round to a file per fidelity, ready to be filled in.

    The columns are those that `mfal import` reads, and what the problem says of each candidate,
    for whoever measures it. A file appears whole or not at all, and one
    that is there stays as it is: somebody may have begun to fill it in.

    Raises:
        LedgerError: where it cannot be written, or one is there that is of another batch.
    """
    paths = []
    of_round = {q.key for q in by_hand} | {
        o.query.key for o in campaign.store.observations() if o.round == number
    }
    for fidelity, queries in _by_fidelity(by_hand).items():
        path = batch_file(campaign, number, fidelity)
        if path.exists():
            _check_batch(path, queries, of_round)
        else:
            _write(path, _table(campaign, queries))
        paths.append(path)
    return paths


def _check_batch(path: Path, queries: Sequence[Query], of_round: AbstractSet[str]) -> None:
    """Raise LedgerError for a file of another batch; rows may have been taken out of this one."""
    written = _written(path) or set()
    missing = sum(q.key not in written for q in queries)
    if missing and written - of_round:
        raise LedgerError(
            f"{path}: holds other candidates: {missing} of the {len(queries)} that the round "
            "waits for are not in it",
            "move it away, and the same command writes it anew",
        )


def _written(path: Path) -> set[str] | None:
    """The candidates in a file; None where it is none that can be read.

    Somebody is at it, and what is wrong with it is said when it is imported.
    """
    try:
        sheet = read_sheet(path)
    except DataError:
        return None
    if "candidate" not in sheet.columns:
        return None
    return {str(cells["candidate"]) for _, cells in sheet.rows if cells["candidate"] is not None}


def _table(campaign: Campaign, queries: Sequence[Query]) -> str:
    objectives = [o.name for o in campaign.problem.oracle.objectives]
    describe = campaign.problem.describe
    header = ["candidate", *([DESCRIPTION] if describe else []), "fidelity", *objectives, "error"]
    rows = []
    for q in queries:
        said = [describe(q.key)] if describe else []
        rows.append([q.key, *said, q.fidelity, *("" for _ in objectives), ""])
    return csv_text([header, *rows])


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    except OSError as error:
        raise LedgerError(
            f"{path}: the batch cannot be written: {error}",
            "make room or give the rights; the queries are in the ledger, and the same command "
            "goes on",
        ) from error
