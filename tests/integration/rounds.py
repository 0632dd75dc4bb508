"""What the tests of whole rounds share."""

import sqlite3
from collections.abc import Callable
from typing import Any

from mfal.campaign import open_campaign
from mfal.config import CampaignConfig
from mfal.round import Steps, run_rounds

MakeConfig = Callable[..., CampaignConfig]


ReadCalls = Callable[[], list[str]]


# What a ledger holds, without the times at which it was written and how long things took.
LEDGER = """
SELECT r.number, r.kind, r.seed, q.position, q.key, q.fidelity, q.cost,
       o."values", o.error, o.cost, o.backend
FROM queries q JOIN rounds r ON r.id = q.round_id LEFT JOIN outcomes o ON o.query_id = q.id
ORDER BY r.number, q.position
"""


def ledger(config: CampaignConfig) -> list[tuple[Any, ...]]:
    with sqlite3.connect(config.folder / "ledger.db") as connection:
        return connection.execute(LEDGER).fetchall()


def run(config: CampaignConfig, n: int | None = 1, steps: Steps | None = None) -> list[int]:
    with open_campaign(config) as campaign:
        return run_rounds(campaign, n, steps=steps or Steps())
