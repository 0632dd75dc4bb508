"""What the figures of a campaign's report show, as tables."""

import pandas as pd

from mfal.report.diversity import diversity_curve
from mfal.report.snapshot import Snapshot
from mfal.types import Observation


def campaign_tables(snapshot: Snapshot) -> dict[str, pd.DataFrame]:
    """What the figures show, as tables: observations, the curve, diversity, held-out figures."""
    held_out = [
        {"round": r.number, "fidelity": fidelity} | figures
        for r in snapshot.diagnosed
        for fidelity, figures in r.record.get("held_out", {}).items()
    ]
    return {
        "observations": pd.DataFrame(
            [_row(o, snapshot.objective.name) for o in snapshot.observations]
        ),
        "curve": pd.DataFrame(snapshot.curve()),
        "diversity": pd.DataFrame(diversity_curve(snapshot)),
        "held_out": pd.DataFrame(held_out),
    }


def _row(observation: Observation, objective: str) -> dict[str, object]:
    outcome = observation.outcome
    value = None if outcome.values is None else outcome.values[0]
    return {
        "round": observation.round,
        "candidate": observation.query.key,
        "fidelity": observation.query.fidelity,
        objective: value,
        "error": outcome.error,
        "cost": observation.cost,
        "seconds": outcome.seconds,
        "backend": observation.backend,
    }
