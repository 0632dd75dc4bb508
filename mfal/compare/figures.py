"""Every figure of every run after every round, as one table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from mfal.campaign import Campaign, open_campaign
from mfal.compare.config import Comparison, ScaleConfig
from mfal.compare.engines import check_engines
from mfal.compare.outside import score_outside
from mfal.compare.runs import Run, runs_of
from mfal.compare.settings import check_settings
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


def curves(comparison: Comparison, runs: Sequence[Run] | None = None) -> pd.DataFrame:
    """All figures of all runs that have begun, in long form.

    Args:
        runs: Those to look at; all by default.

    Returns:
        A row per figure with the columns `COLUMNS`: ``method`` (its name), ``seed``, ``round``
        (0 is the initial design), ``cost`` (campaign units spent until the end of that round,
        the design included), ``design`` (those spent on the design, of them; the published
        curves leave them out), ``metric`` (as in `mfal.metrics`) and ``value``. A figure that
        does not exist yet has no row.

    Raises:
        LedgerError: where answers at one fidelity came from different engines, or rounds were
            run with other settings than their method has now.
    """
    begun = [r for r in (runs_of(comparison) if runs is None else runs) if r.has_begun]
    check_settings(comparison, begun)
    check_engines(comparison, begun, {})
    outside = score_outside(comparison, begun) if begun and comparison.measure.outside else None
    rows: list[tuple[object, ...]] = []
    for run in begun:
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
    return final(table[table["cost"] - table["design"] <= cost])


def write_curves(table: pd.DataFrame, folder: Path) -> tuple[Path, Path]:
    """Write the table as ``curves.csv`` and ``curves.json`` (a list of rows); returns both."""
    csv, json = folder / "curves.csv", folder / "curves.json"
    table.to_csv(csv, index=False)
    table.to_json(json, orient="records", indent=1)
    return csv, json


def _figures(
    campaign: Campaign, comparison: Comparison, outside: Mapping[str, float] | None
) -> Iterator[tuple[int, float, float, str, float]]:
    """Round, cost, cost of the design, name and value."""
    observations = campaign.store.observations()
    records = {r.number: r for r in campaign.store.rounds()}
    begin = sum(o.cost for o in observations if records[o.round].kind != "batch")
    judge = _Judge(campaign, comparison, outside, [o for o in observations if o.round == 0])
    for number in sorted({o.round for o in observations if records[o.round].finished}):
        until = [o for o in observations if o.round <= number]
        # A round's record names what was recommended when it began: after the round before.
        after = records.get(number + 1)
        recommended = after.record.get("recommended", []) if after else []
        cost = round(sum(o.cost for o in until), 6)
        for name, value in judge.figures(until, recommended).items():
            if value is not None:
                yield number, cost, round(begin, 6), name, float(value)


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
            found |= self._of(everything, "published_")
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
