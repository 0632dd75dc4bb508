"""A campaign in a database: whether it is there and the same, and what its problem declared."""

import json
from typing import Any

from sqlalchemy import Connection, inspect, select

from mfal.errors import LedgerError
from mfal.ledger.declared import Declared
from mfal.ledger.tables import campaigns, declarations, rounds


def find_campaign(c: Connection, name: str, identity: dict[str, Any], url: str) -> int | None:
    """Number of a campaign, None if it is not there; refuses one begun with another identity."""
    found = c.execute(select(campaigns).where(campaigns.c.name == name)).one_or_none()
    if found is None:
        if c.dialect.name == "sqlite":
            _check_own_file(c, name, url)
        return None
    before = json.loads(found.identity)
    if before != identity:
        changed = [k for k in sorted(before | identity) if before.get(k) != identity.get(k)]
        raise LedgerError(
            f"{url}: campaign {name!r} was begun with another configuration: "
            + "; ".join(f"{k} was {before.get(k)}, is now {identity.get(k)}" for k in changed),
            "its numbers would not mean the same; change `name` to begin a new campaign",
        )
    return int(found.id)


def _check_own_file(c: Connection, name: str, url: str) -> None:
    """Raise LedgerError for a file in which another campaign has begun: a copy that was renamed.

    A file holds one campaign, unlike a server; to begin in it would pay for everything again.
    """
    begun = select(campaigns.c.name).join(rounds, rounds.c.campaign_id == campaigns.c.id).limit(1)
    other = c.execute(begun).scalar_one_or_none()
    if other is not None:
        raise LedgerError(
            f"{url}: is the ledger of campaign {other!r}, and holds nothing of {name!r}",
            f"to go on with it, set name to {other!r} and call its folder so; to begin {name!r} "
            "anew, move the file away",
        )


def find_declared(c: Connection, campaign_id: int) -> Declared | None:
    """What a campaign's problem declared; None in an older ledger, and before the campaign begins.

    It begins with its first round: until then a problem may still be mended.
    """
    if not inspect(c).has_table(declarations.name):
        return None
    begun = select(rounds.c.id).where(rounds.c.campaign_id == campaign_id).exists()
    statement = select(declarations.c.declared).where(declarations.c.campaign_id == campaign_id)
    found = c.execute(statement.where(begun)).scalar_one_or_none()
    return None if found is None else json.loads(found)
