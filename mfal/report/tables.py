"""What the figures of a campaign's report show, as tables."""

import pandas as pd

from mfal.report.diversity import diversity_curve
from mfal.report.snapshot import Snapshot
from mfal.view import frame


def campaign_tables(snapshot: Snapshot) -> dict[str, pd.DataFrame]:
    """What the figures show, as tables: observations, the curve, diversity, held-out figures."""
    held_out = [
        {"round": r.number, "fidelity": fidelity} | figures
        for r in snapshot.diagnosed
        for fidelity, figures in snapshot.by_fidelity(r, "held_out")
    ]
    return {
        "observations": frame(snapshot.problem, snapshot.observations),
        "curve": pd.DataFrame(snapshot.curve()),
        "diversity": pd.DataFrame(diversity_curve(snapshot)),
        "held_out": pd.DataFrame(held_out),
    }
