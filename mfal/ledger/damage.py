"""Rows that no mfal has written: what an editor, or a copy that went wrong, leaves in a file.

For SQLite, which takes a text for a number. A server holds its columns to their types, and nobody
edits its files.
"""

import sys
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, and_, case, func, inspect, not_, select

from mfal.ledger.tables import campaigns, declarations, outcomes, queries, rounds

_LARGEST = sys.float_info.max


def damaged_row(c: Connection) -> str | None:
    """What in the file cannot be, and where; None where all is sound.

    The database looks for it: that takes less than to read what it holds.
    """
    there = inspect(c).get_table_names()
    for what, place, texts in _TEXTS:
        if place.table.name in there:  # an older ledger has not all of them
            found = c.execute(select(place).where(_no_objects(texts)).limit(1)).first()
            if found is not None:
                return f"{what} {found[0]} is no JSON"
    for what, is_damaged in _ANSWERS if queries.name in there else ():
        found = c.execute(_PLACES.where(is_damaged).limit(1)).first()
        if found is not None:
            return f"{found.key!r} at {found.fidelity}, asked in round {found.number}, {what}"
    return None


def _no_objects(texts: Sequence[Column[str]]) -> ColumnElement[bool]:
    """Whether one of some texts is no JSON mapping."""
    is_object = (
        case((func.json_valid(text) == 1, func.json_type(text) == "object"), else_=False)
        for text in texts
    )
    return not_(and_(*is_object))


def _no_cost(column: Column[float]) -> ColumnElement[bool]:
    """Whether a cost is no finite number from zero up. SQLite has texts behind all numbers."""
    return not_(func.coalesce(column.between(0, _LARGEST), False))


def _no_values(column: Column[str]) -> ColumnElement[bool]:
    """Whether a text is no JSON list that begins with a finite number."""
    first = func.json_extract(column, "$[0]")
    is_number = func.coalesce(first.between(-_LARGEST, _LARGEST), False)
    return not_(case((func.json_valid(column) == 1, is_number), else_=False))


_TEXTS: tuple[tuple[str, Column[Any], tuple[Column[str], ...]], ...] = (
    ("the identity of campaign", campaigns.c.name, (campaigns.c.identity,)),
    ("what is declared of campaign", declarations.c.campaign_id, (declarations.c.declared,)),
    ("the record of round", rounds.c.number, (rounds.c.config, rounds.c.versions, rounds.c.record)),
)
_PLACES = (
    select(queries.c.key, queries.c.fidelity, rounds.c.number)
    .join(rounds, rounds.c.id == queries.c.round_id)
    .outerjoin(outcomes, outcomes.c.query_id == queries.c.id)
)
_values, _is_answered = outcomes.c["values"], outcomes.c.query_id.is_not(None)
_ANSWERS = (
    ("has no price", _no_cost(queries.c.cost)),
    (
        "has no answer, and that round is finished",
        rounds.c.finished_at.is_not(None) & ~_is_answered,
    ),
    ("was charged what is no cost", _is_answered & _no_cost(outcomes.c.cost)),
    (
        "has an answer that is neither a value nor a failure",
        _is_answered & (_values.is_(None) == outcomes.c.error.is_(None)),
    ),
    ("has an answer that is no number", _values.is_not(None) & _no_values(_values)),
)
