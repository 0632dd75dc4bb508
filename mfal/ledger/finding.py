"""A campaign in a database: whether it is there and the same, and what its problem declared."""

import json
from typing import Any

from sqlalchemy import Connection, inspect, select

from mfal.errors import LedgerError
from mfal.fields import differing, shown
from mfal.ledger.declared import Declared
from mfal.ledger.tables import campaigns, declarations, rounds


def find_campaign(c: Connection, name: str, url: str) -> int | None:
    """Number of a campaign, None if it is not there."""
    found = c.execute(select(campaigns.c.id).where(campaigns.c.name == name)).scalar_one_or_none()
    if found is None and c.dialect.name == "sqlite":
        _check_own_file(c, name, url)
    return found


def has_identity(c: Connection, campaign_id: int, identity: dict[str, Any], url: str) -> bool:
    """Whether a campaign is kept with this identity; refuses one that has begun with another.

    It begins with its first round: until then a configuration may still be mended.
    """
    kept = select(campaigns.c.name, campaigns.c.identity).where(campaigns.c.id == campaign_id)
    found = c.execute(kept).one()
    before = json.loads(found.identity)
    if before != identity and has_begun(c, campaign_id):
        changed = [
            f"{pair.where} was {shown(pair.first)}, is now {shown(pair.second)}"
            for pair in differing(before, identity)
        ]
        raise LedgerError(
            f"{url}: campaign {found.name!r} was begun with another configuration: "
            + "; ".join(changed),
            "its numbers would not mean the same; change `name` to begin a new campaign",
        )
    return bool(before == identity)


def has_begun(c: Connection, campaign_id: int) -> bool:
    """Whether a campaign has a round, imported data included."""
    first = select(rounds.c.id).where(rounds.c.campaign_id == campaign_id).limit(1)
    return c.execute(first).one_or_none() is not None


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
    if not inspect(c).has_table(declarations.name) or not has_begun(c, campaign_id):
        return None
    statement = select(declarations.c.declared).where(declarations.c.campaign_id == campaign_id)
    found = c.execute(statement).scalar_one_or_none()
    return None if found is None else json.loads(found)
