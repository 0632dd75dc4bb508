"""Measurements that people make: written out as CSV files, awaited, and matched when back."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mfal.campaign import Campaign
from mfal.errors import DataError, LedgerError
from mfal.files import write_whole
from mfal.tabular import read_sheet
from mfal.types import Query


@dataclass(frozen=True)
class Waiting:
    """What an unfinished round waits for.

    Attributes:
        round: Its number.
        queries: Those that people have to measure and have not, in the order of the round.
        files: Where they stand.
    """

    round: int
    queries: tuple[Query, ...]
    files: tuple[Path, ...]


def waiting(campaign: Campaign) -> Waiting | None:
    """What the campaign waits for; None where it does not wait."""
    for info in campaign.store.outline():
        by_hand = [] if info.finished else split_pending(campaign, info.number)[0]
        if by_hand:
            names = dict.fromkeys(q.fidelity for q in by_hand)
            files = tuple(batch_file(campaign, info.number, name) for name in names)
            return Waiting(info.number, tuple(by_hand), files)
    return None


def waiting_text(awaited: Waiting, source: str) -> str:
    """What people are to do now.

    Args:
        source: The campaign, as it is named on the command line.
    """
    n = len(awaited.queries)
    files = "\n".join(f"  {path}" for path in awaited.files)
    return (
        f"Round {awaited.round} waits for {n} measurement{'' if n == 1 else 's'}:\n{files}\n"
        "Fill in the values, or under error why there is none; rows left empty stay open. Then:\n"
        f"  mfal import {source} {awaited.files[0]}\n"
        f"  mfal round {source}"
    )


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

    The columns are those that `mfal import` reads. A file appears whole or not at all, and one
    that is there stays as it is: somebody may have begun to fill it in.

    Raises:
        LedgerError: where it cannot be written, or one is there that is of another batch.
    """
    paths = []
    for fidelity in dict.fromkeys(q.fidelity for q in by_hand):
        path = batch_file(campaign, number, fidelity)
        queries = [q for q in by_hand if q.fidelity == fidelity]
        if path.exists():
            _check_batch(path, queries)
        else:
            _write(path, _table(campaign, queries))
        paths.append(path)
    return paths


def _check_batch(path: Path, queries: Sequence[Query]) -> None:
    try:
        sheet = read_sheet(path)
    except DataError:
        return  # somebody is at it; what is wrong with it is said when it is imported
    written = {cells.get("candidate") for _, cells in sheet.rows}
    missing = sum(q.key not in written for q in queries)
    if missing:
        raise LedgerError(
            f"{path}: holds other candidates: {missing} of the {len(queries)} that the round "
            "waits for are not in it",
            "move it away, and the same command writes it anew",
        )


def _table(campaign: Campaign, queries: Sequence[Query]) -> str:
    objectives = [o.name for o in campaign.problem.oracle.objectives]
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(["candidate", "fidelity", *objectives, "error"])
    rows.writerows([q.key, q.fidelity, *("" for _ in objectives), ""] for q in queries)
    return text.getvalue()


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
