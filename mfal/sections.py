"""The sections of a campaign's configuration."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

Share = Annotated[float, Field(ge=0, le=1)]
MONTH = 2_592_000.0
"""Most seconds of any wait, those of 30 days: systems refuse to wait for some longer times."""
Wait = Annotated[float, Field(gt=0, le=MONTH)]


def _at_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path.parts[0]} is nobody's home here") from error


Folder = Annotated[Path, AfterValidator(_at_home)]


class Frozen(BaseModel):
    """What is read once and never changed, and refuses fields that it does not have."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Component(Frozen):
    """A part by name, with its options. ``stems`` is short for ``{name: stems}``."""

    name: str = Field(
        description="A built-in name, 'package.module:attribute' or './file.py:attribute'."
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Keyword options of the part, checked against it."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("options")
    @classmethod
    def _kept(cls, options: dict[str, Any]) -> dict[str, Any]:
        # It keeps them as JSON, which has finite numbers alone, and texts as keys.
        for name, value in options.items():
            try:
                json.dumps(value, allow_nan=False, default=str)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{name} holds what no ledger can keep: {error}") from error
        return options


class BudgetConfig(Frozen):
    """What the campaign may spend in all."""

    total: PositiveFloat = Field(
        description="Campaign units that may be spent in all, the initial design included."
    )
    charge_failures: bool = Field(
        default=True, description="Whether a failed query costs as much as an answered one."
    )


class InitialConfig(Frozen):
    """The random design that a campaign starts from: its counts, or its share of the budget."""

    queries: dict[str, PositiveInt] | None = Field(
        default=None,
        min_length=1,
        description="Number of random candidates per fidelity. The designs are nested: those "
        "asked at the target are also asked at the fidelities below it.",
    )
    share: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Share of the budget for the initial design, instead of queries. Every "
        "fidelity gets about an equal part of it, nested as in queries.",
    )

    @model_validator(mode="after")
    def _one_size(self) -> "InitialConfig":
        if (self.queries is None) == (self.share is None):
            raise ValueError("give either initial.queries or initial.share")
        return self


class BatchConfig(Frozen):
    """What one round buys."""

    cost: PositiveFloat | None = Field(
        default=None, description="Campaign units a round may spend; null for no such limit."
    )
    queries: PositiveInt | None = Field(
        default=None, description="Queries a round may ask; null for no such limit."
    )
    rest: Literal["knowledge", "improvement", "acquisition"] | None = Field(
        default=None,
        description="What chooses the queries beyond the target's share, for their cost: "
        "knowledge, how much an answer is expected to better the mean of the top_k best "
        "posterior means at the target; improvement, how far a candidate is expected to be "
        "above the top_k-th best that was asked, below the target and above where it was asked; "
        "or, as within the share, the acquisition. null: knowledge where the candidates are a "
        "fixed list, the acquisition where they are searched for. With one fidelity, or with "
        "fidelity: random, the acquisition whatever stands here.",
    )
    target_share: Share | None = Field(
        default=None,
        description="Floor on the share of a round's cost that is spent at the target fidelity; "
        "raise it where the target costs a hundred times as much as the others. null: 0.3 where "
        "knowledge chooses the rest, which may be at the target, too, and else 0.5.",
    )
    promotions: int = Field(
        default=200,
        ge=0,
        description="How many already-queried candidates compete for a query at another fidelity.",
    )
    random_share: Share = Field(
        default=0.0,
        description="Random candidates that compete for a place in the batch, at every "
        "fidelity, as a share of proposals.",
    )
    fidelity: Literal["best", "random"] = Field(
        default="best",
        description="Whether a candidate is asked where that is worth most for its cost, or at "
        "a fidelity drawn at random and whatever it costs, to compare with.",
    )
    repulsion: float | None = Field(
        default=None,
        ge=0,
        description="Weight of the diversity term, which counts in nats, or in spreads of the "
        "acquisition where that is no information; null for one over the size of the batch.",
    )

    @model_validator(mode="after")
    def _some_limit(self) -> "BatchConfig":
        if self.cost is None and self.queries is None:
            raise ValueError("give a limit: batch.cost, batch.queries or both")
        return self


class DiversityConfig(Frozen):
    """How different from each other the candidates have to be that are bought and reported."""

    similarity: Component | None = Field(
        default=None,
        description="How alike two candidates are, in [0, 1]; null for the problem's own measure.",
    )
    at_most: Share = Field(
        description="Similarity up to which two candidates count as different. A candidate that "
        "is more similar than that to a better one in the ledger, or to one in the batch, is "
        "not bought; one that is better than all it is like only if that gains at least half of "
        "what a candidate that is like none would, among the best top_k. A random batch, of a "
        "round without a surrogate, keeps to no such limit.",
    )
    repulsion: float = Field(
        default=4.0,
        ge=0,
        description="How much the sampler's reward is lowered for a candidate that is more "
        "similar than that to one of the top-K by posterior mean: by so many temperatures for "
        "one that hardly differs. Compares every candidate with the top-K, which takes minutes "
        "a round with the similarity identity.",
    )


class ScoringConfig(Frozen):
    """How oracles are called."""

    runner: Literal["processes", "threads", "dask"] = Field(
        default="processes",
        description="Who calls the oracle: processes of this machine; threads of this process, "
        "for oracles that wait rather than compute, without protection from crashes; or dask, a "
        "Dask cluster.",
    )
    address: str | None = Field(
        default=None,
        description="Address of a running Dask scheduler, e.g. tcp://host:8786; null for a "
        "cluster of processes on this machine.",
    )
    workers: PositiveInt | None = Field(
        default=None,
        description="Most calls of the oracle at the same time; null for one per core that this "
        "process may use, or per thread of a running Dask cluster. A worker is started when "
        "there is work that is worth it.",
    )
    chunk_seconds: PositiveFloat = Field(
        default=2.0,
        description="How long one call of an oracle should take. As many queries are asked in a "
        "call, and committed to the ledger together, as were measured to take that long.",
    )
    chunk_size: PositiveInt = Field(
        default=1000, description="Most queries of one call, however fast they are."
    )
    timeout_seconds: Wait = Field(
        default=60.0,
        description="Longest that one candidate may take, at most 30 days. A call for several "
        "that takes longer is given up and they are asked one at a time; one that does so alone "
        "has failed.",
    )
    retries: int = Field(
        default=3,
        ge=0,
        le=100,
        description="How often a query is asked again whose failure is a TransientError.",
    )
    backoff_seconds: Wait = Field(
        default=1.0, description="Wait before the first of these retries; each next is twice it."
    )
    retry_timeouts: bool = Field(
        default=False, description="Whether a candidate that took too long counts as transient."
    )

    @model_validator(mode="after")
    def _address_of_dask(self) -> "ScoringConfig":
        if self.address is not None and self.runner != "dask":
            raise ValueError("scoring.address is that of a Dask scheduler: set runner: dask")
        return self


class LockConfig(Frozen):
    """What happens while another process works on the campaign."""

    wait_seconds: float = Field(
        default=0.0,
        ge=0,
        le=MONTH,
        description="How long to wait for it to end; 0 to give up as soon as it is seen to live.",
    )
    stale_seconds: Wait = Field(
        default=60.0,
        description="How long a process on another machine must be silent to count as dead. Its "
        "heart beats six times in this time; the same for all who work on the campaign.",
    )


class ScheduleConfig(Frozen):
    """When a served campaign runs by itself."""

    cron: str | None = Field(
        default=None, description="Times in cron notation, UTC, e.g. '0 3 * * *' for 3:00 daily."
    )
    interval_minutes: float | None = Field(
        default=None,
        ge=0.01,
        le=525_600,
        description="Minutes from the start of one run to that of the next, at most a year.",
    )
    rounds: PositiveInt | None = Field(
        default=1, description="Rounds of one scheduled run; null for as many as there may be."
    )

    @field_validator("cron")
    @classmethod
    def _comes_about(cls, value: str | None) -> str | None:
        from cronsim import CronSim, CronSimError

        if value is not None:
            fields = value.split()
            if len(fields) != 5:
                raise ValueError("give five fields: minute, hour, day, month, day of the week")
            try:
                next(CronSim(value, datetime.now(UTC)))
            except (CronSimError, StopIteration) as error:
                raise ValueError(f"there is no such time: {error or 'it never comes'}") from error
        return value

    @model_validator(mode="after")
    def _one_rhythm(self) -> "ScheduleConfig":
        if (self.cron is None) == (self.interval_minutes is None):
            raise ValueError("give either schedule.cron or schedule.interval_minutes")
        return self


class StopConfig(Frozen):
    """What ends a campaign before its budget is spent."""

    rounds: PositiveInt | None = Field(
        default=None, description="Rounds in all, the initial design not counted; null: no limit."
    )
    value: float | None = Field(
        default=None,
        description="Value of the top-K mean at the target, in the objective's unit, that is "
        "good enough; null: none is.",
    )
