"""Every figure of every run after every round, as one table."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from mfal.budget import minus, total_of_counted
from mfal.campaign import Campaign, open_campaign
from mfal.compare.config import Comparison, ScaleConfig
from mfal.compare.engines import check_engines
from mfal.compare.outside import FOLDER, TrueValues, true_values_of
from mfal.compare.runs import Run, runs_of
from mfal.compare.settings import check_settings
from mfal.errors import DataError
from mfal.metrics import (
    Scored,
    cost_shares,
    diverse_best,
    failures,
    mean_similarity,
    measured,
    modes_found,
    novelty,
    of_keys,
    true_values,
)
from mfal.similarity import Remembered, similarity_of
from mfal.types import Observation

COLUMNS = ("method", "seed", "round", "cost", "design", "metric", "value")

SCALED = "_scaled"
"""Ends the name of a figure on the other scale of `MeasureConfig.scale`."""

VALUES = (
    "top_k",
    "published_top_k",
    "recommended_top_k",
    "diverse_top_k",
    "published_diverse_top_k",
)
"""Figures in the objective's unit."""

NUMBERS = {
    "top_k": "n_target",
    "published_top_k": "published_n",
    "diverse_top_k": "diverse_n",
    "published_diverse_top_k": "published_diverse_n",
}
"""Means of the K best -> the figure that says of how many values, where that may be fewer."""


def curves(comparison: Comparison, runs: Sequence[Run] | None = None) -> pd.DataFrame:
    """All figures of all runs that have begun, in long form; asks no oracle.

    Args:
        runs: Those to look at; all by default.

    Returns:
        A row per figure with the columns `COLUMNS`: ``method`` (its name), ``seed``, ``round``
        (0 is the initial design), ``cost`` (campaign units spent until the end of that round,
        the design included), ``design`` (those spent on the design, of them; the published
        curves leave them out), ``metric`` (as in `mfal.metrics`) and ``value``. A figure that
        does not exist yet has no row; those of the published reading exist once the true values
        of all that a run queried were asked for (`run_comparison` does at its end).

    Raises:
        LedgerError: where answers at one fidelity came from different engines, or rounds were
            run with other settings than their method has now.
    """
    looks = [run.look() for run in (runs_of(comparison) if runs is None else runs)]
    begun = [look for look in looks if look.has_begun]
    check_settings(comparison, begun)
    outside = true_values_of(comparison) if begun and comparison.measure.outside else None
    check_engines(comparison, begun, {} if outside is None else {FOLDER: outside.engines})
    rows: list[tuple[object, ...]] = []
    for run in (look.run for look in begun):
        with open_campaign(run.config, run.name, to_read=True) as campaign:
            for number, cost, design, name, value in _figures(campaign, comparison, outside):
                rows.append((run.method, run.seed, number, cost, design, name, value))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def final(table: pd.DataFrame) -> pd.DataFrame:
    """Each run's figures at its end: a row per method and seed, by seed; a column per metric.

    Of each metric the last that there is. For ``recommended_top_k`` that is of an earlier round,
    at a lower cost, than for the others: what is recommended after a round is known when the next
    has begun, and after the last finished one none has, unless the run was cut short.
    """
    last = table.sort_values("round").groupby(["method", "seed", "metric"], sort=False).last()
    ends = last["value"].unstack("metric")  # noqa: PD010 (there is one value per cell)
    return ends.sort_index(level="seed", kind="stable", sort_remaining=False)


def at_cost(table: pd.DataFrame, cost: float) -> pd.DataFrame:
    """As `final`, of what each run had spent at most `cost` for beyond its design."""
    return final(table[beyond_design(table) <= cost])


def beyond_design(table: pd.DataFrame) -> pd.Series:
    """What had been spent beyond the initial design, per row of `curves`."""
    spent = {pair: minus(*pair) for pair in {*zip(table["cost"], table["design"], strict=True)}}
    pairs = zip(table["cost"], table["design"], strict=True)
    return pd.Series([spent[pair] for pair in pairs], table.index, dtype=float)


def write_curves(table: pd.DataFrame, folder: Path) -> tuple[Path, Path]:
    """Write the table as ``curves.csv`` and ``curves.json`` (a list of rows); returns both.

    Raises:
        DataError: if they cannot be written.
    """
    csv, json = folder / "curves.csv", folder / "curves.json"
    try:
        table.to_csv(csv, index=False)
        table.to_json(json, orient="records", indent=1)
    except OSError as error:
        raise DataError(
            f"{folder}: the curves cannot be written: {error}",
            "make room or give the rights, and give the command again: what has ended is not run "
            "again",
        ) from error
    return csv, json


def _figures(
    campaign: Campaign, comparison: Comparison, outside: TrueValues | None
) -> Iterator[tuple[int, float, float, str, float]]:
    """Round, cost, cost of the design, name and value."""
    observations = campaign.store.observations()
    records = {r.number: r for r in campaign.store.rounds()}
    begin = _cost(o for o in observations if records[o.round].kind != "batch")
    known = None
    if outside is not None and {o.query.key for o in observations} <= outside.asked:
        known = outside.of
    judge = _Judge(campaign, comparison, known, [o for o in observations if o.round == 0])
    for number in sorted({o.round for o in observations if records[o.round].finished}):
        until = [o for o in observations if o.round <= number]
        # A round's record names what was recommended when it began: after the round before.
        after = records.get(number + 1)
        recommended = after.record.get("recommended", []) if after else []
        cost = _cost(until)
        for name, value in judge.figures(until, recommended).items():
            if value is not None:
                yield number, cost, begin, name, float(value)


def _cost(observations: Iterable[Observation]) -> float:
    return total_of_counted(Counter(o.cost for o in observations).items())


@dataclass(frozen=True)
class _Judge:
    """Figures of a campaign's observations; similarities are computed once per pair."""

    campaign: Campaign
    comparison: Comparison
    outside: Mapping[str, float] | None
    design: Sequence[Observation]

    @cached_property
    def pairs(self) -> Remembered:
        return Remembered(similarity_of(self.campaign.problem, self.comparison.measure.pairs))

    @cached_property
    def similarity(self) -> Remembered:
        return Remembered(similarity_of(self.campaign.problem, self.comparison.measure.similarity))

    def figures(
        self, until: Sequence[Observation], recommended: Sequence[str]
    ) -> dict[str, float | None]:
        objective, target = self.campaign.objective, self.campaign.target.name
        k, measure = self.campaign.config.top_k, self.comparison.measure
        strict = measured(until, target, objective)
        found: dict[str, float | None] = {"n_target": len(strict), "failures": failures(until)}
        for name, share in cost_shares(until, self.campaign.ladder).items():
            found[f"share_{name}"] = share
        found |= self._of(strict, "")
        designed = list(dict.fromkeys(o.query.key for o in self.design))
        found["novelty"] = novelty(strict.top(k).keys, designed, self.similarity)
        if measure.mode is not None:
            found["modes"] = modes_found(
                strict, measure.mode, objective, self.similarity, measure.at_most
            )
        if self.outside is not None:
            everything = true_values(until, target, objective, self.outside)
            found |= self._of(everything, "published_") | {"published_n": len(everything)}
            found["recommended_top_k"] = of_keys(recommended, everything, objective).mean()
        return found if measure.scale is None else found | _scaled(found, measure.scale)

    def _of(self, scored: Scored, prefix: str) -> dict[str, float | None]:
        """Figures of one reading."""
        k, measure = self.campaign.config.top_k, self.comparison.measure
        diverse = diverse_best(scored, k, self.similarity, measure.at_most)
        return {
            f"{prefix}top_k": scored.top(k).mean(),
            f"{prefix}similarity": mean_similarity(scored.top(k).keys, self.pairs),
            f"{prefix}diverse_top_k": diverse.mean(),
            f"{prefix}diverse_n": len(diverse),
        }


def _scaled(found: Mapping[str, float | None], scale: ScaleConfig) -> dict[str, float | None]:
    return {
        f"{name}{SCALED}": scale.slope * value + scale.intercept
        for name in VALUES
        if (value := found.get(name)) is not None
    }
