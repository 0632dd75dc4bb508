"""A campaign to look at from a notebook or a script, beside whoever works on it."""

import math
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING

from mfal.campaign import Campaign, open_campaign
from mfal.config import CampaignConfig
from mfal.errors import DataError
from mfal.files import write_whole
from mfal.metrics import best
from mfal.recommend import Recommendation, recommend
from mfal.similarity import different
from mfal.status import Status, status
from mfal.tabular import DESCRIPTION, check_kind
from mfal.types import Observation, Problem

if TYPE_CHECKING:
    from pandas import DataFrame


class View:
    """What a campaign has asked, found and spent; every call reads its ledger anew.

    Raises:
        MfalError: every method, if the ledger cannot be read; NoLedgerError if it has not begun.
    """

    def __init__(self, config: CampaignConfig) -> None:
        self.config = config

    def observations(self) -> "DataFrame":
        """Every answered query by round and position; see `frame` for the columns."""
        with open_campaign(self.config, self.config.name, to_read=True) as campaign:
            return frame(campaign.problem, campaign.store.observations())

    def best(self, n: int = 10, diverse: float | None = None) -> "DataFrame":
        """The n best candidates measured at the target, best first; see `leaders`."""
        with open_campaign(self.config, self.config.name, to_read=True) as campaign:
            return frame(campaign.problem, leaders(campaign, n, diverse))

    def recommended(
        self, n: int = 10, diverse: float | None = None, *, unasked: bool = False
    ) -> "DataFrame":
        """The n candidates with the best posterior means at the target, best first.

        Those of the ledger, or of a fixed list with those that were not asked; see
        `mfal.recommend.recommend`. Columns: those of `mfal.recommend.Recommendation`. The
        surrogate is fitted for it, which takes seconds.
        """
        import pandas as pd

        with open_campaign(self.config, self.config.name, to_read=True) as campaign:
            found = recommend(campaign, n, diverse, unasked=unasked)
        columns = [f.name for f in fields(Recommendation)]
        return pd.DataFrame([astuple(r) for r in found], columns=columns)

    def status(self) -> Status:
        """Where the campaign stands."""
        with open_campaign(self.config, self.config.name, to_read=True) as campaign:
            return status(campaign)


def leaders(campaign: Campaign, n: int, diverse: float | None = None) -> list[Observation]:
    """The n best answers at the target, best first.

    Args:
        diverse: Leave out whoever is more similar than this to a better one that is in.
    """
    observations = campaign.store.observations()
    found = best(observations, campaign.target.name, campaign.objective, len(observations))
    if diverse is None:
        return found[:n]
    kept = set(different([o.query.key for o in found], campaign.similarity, diverse, n))
    return [o for o in found if o.query.key in kept]


def frame(problem: Problem, observations: Sequence[Observation]) -> "DataFrame":
    """Observations as a table that `mfal import` understands.

    Columns: round, candidate (the key), description (where the problem has `describe`), fidelity,
    one of each objective's name in its unit (NaN for a failure), cost (campaign units), seconds,
    backend, error (None for an answer).
    """
    import pandas as pd

    objectives = [o.name for o in problem.oracle.objectives]
    rows = [_row(o, len(objectives)) for o in observations]
    columns = ["round", "candidate", "fidelity", *objectives, "cost", "seconds", "backend", "error"]
    table = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(objectives, float))
    if problem.describe is not None:
        said = {key: problem.describe(key) for key in dict.fromkeys(table["candidate"])}
        table.insert(2, DESCRIPTION, table["candidate"].map(said))
    return table


def _row(o: Observation, n_objectives: int) -> tuple[object, ...]:
    values = o.outcome.values
    answer = (math.nan,) * n_objectives if values is None else values
    tail = (o.cost, o.outcome.seconds, o.backend, o.outcome.error)
    return o.round, o.query.key, o.query.fidelity, *answer, *tail


def export(campaign: Campaign, path: Path) -> int:
    """Write every observation to a CSV or parquet file, whole or not at all; how many there are.

    A file that is there already is replaced.

    Raises:
        DataError: if the file is of another kind or cannot be written.
        MissingDependencyError: for parquet without pyarrow.
    """
    kind = check_kind(path, "writing")
    table = frame(campaign.problem, campaign.store.observations())
    is_csv = kind == ".csv"
    data = table.to_csv(index=False).encode() if is_csv else table.to_parquet(index=False)
    try:
        write_whole(path, data)
    except FileNotFoundError as error:
        said = f"{path}: there is no folder {path.parent}"
        raise DataError(said, "make it, or name another") from error
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written: {error}", "export to a folder that may be written"
        ) from error
    return len(table)
