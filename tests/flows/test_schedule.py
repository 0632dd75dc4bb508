"""A campaign that runs by its schedule, and nobody asks for it."""

import contextlib
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.flows.servers import call, serving, wait_for
from tests.support import motif_settings


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_cron_deployment_runs_twice_on_its_own(tmp_path: Path) -> None:
    settings = motif_settings(tmp_path, schedule={"cron": "* * * * *"})
    with serving(tmp_path, settings) as api:

        def ended() -> list[Any]:
            runs = call(f"{api}/flow_runs/filter", {"sort": "EXPECTED_START_TIME_ASC"})
            found = [run for run in runs if run["state_type"] not in ("SCHEDULED", "PENDING")]
            return found[:2] if len([r for r in found if r["end_time"]]) >= 2 else []

        first, second = wait_for("second run", ended, 180)
    assert [run["state_type"] for run in (first, second)] == ["COMPLETED"] * 2
    assert [run["name"] for run in (first, second)] == ["motif round 1", "motif round 2"]
    assert first["auto_scheduled"] and second["auto_scheduled"]
    planned = [datetime.fromisoformat(run["expected_start_time"]) for run in (first, second)]
    assert planned[1] - planned[0] == timedelta(minutes=1)
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "motif" / "ledger.db")) as ledger:
        rounds = ledger.execute(
            "SELECT r.number, r.finished_at IS NOT NULL, sum(o.cost) FROM rounds r "
            "JOIN queries q ON q.round_id = r.id JOIN outcomes o ON o.query_id = q.id "
            "WHERE r.number < 3 GROUP BY r.number ORDER BY r.number"
        ).fetchall()
    assert rounds == [(0, 1, 30), (1, 1, 12), (2, 1, 12)]
