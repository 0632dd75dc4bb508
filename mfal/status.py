"""Where campaigns stand: rounds, money, the best so far, what is unanswered, who is at work."""

from collections.abc import Sequence
from dataclasses import dataclass

from mfal.campaign import Campaign, open_campaign
from mfal.config import CampaignConfig
from mfal.errors import MfalError, NoLedgerError
from mfal.folder import Broken
from mfal.ledger.lock import Holder
from mfal.metrics import best, utility
from mfal.types import Observation
from mfal.waiting import waiting


@dataclass(frozen=True, slots=True)
class Best:
    """The best answer at the target, in the objective's unit."""

    candidate: str
    value: float
    objective: str
    unit: str
    round: int


@dataclass(frozen=True, slots=True)
class Writer:
    """Who works on a campaign; alive is None where only its heartbeat would tell."""

    pid: int
    host: str
    since: str
    alive: bool | None


@dataclass(frozen=True, slots=True)
class Measurements:
    """What people have to measure before a campaign goes on.

    Attributes:
        count: How many queries.
        files: Where they stand.
        set_aside: Campaign units that are kept for them.
    """

    count: int
    files: tuple[str, ...]
    set_aside: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where a campaign stands; unless it is said, it has not begun.

    Attributes:
        ledger: Where the ledger lies; None if the campaign has not begun.
        rounds: Finished batches, so without the initial design and imported data.
        open_round: Number of the round that was begun and is not finished.
        pending: Queries of that round without an answer.
        waits_for: Measurements, where nothing else is left to do in that round.
        observations: Queries with an answer, and failed of them with an error.
        spent: Campaign units charged so far.
        left: Of the budget, after what is spent and what the open round has yet to ask.
    """

    campaign: str
    problem: str
    ledger: str | None = None
    rounds: int = 0
    open_round: int | None = None
    pending: int = 0
    waits_for: Measurements | None = None
    observations: int = 0
    failed: int = 0
    budget: float
    spent: float = 0.0
    left: float
    best: Best | None = None
    writer: Writer | None = None


def look(configs: Sequence[CampaignConfig | Broken]) -> list[Status | Broken]:
    """Where each of these campaigns stands."""
    return [_look(config) for config in configs]


def status(campaign: Campaign) -> Status:
    """Where an open campaign stands."""
    begun = campaign.store.open_round()
    observations = campaign.store.observations()
    return Status(
        campaign=campaign.config.name,
        problem=campaign.problem.name,
        ledger=campaign.store.location,
        rounds=sum(r.finished for r in campaign.store.batches()),
        open_round=None if begun is None else begun.number,
        pending=0 if begun is None else len(campaign.store.pending(begun.number)),
        waits_for=_waits_for(campaign),
        observations=len(observations),
        failed=sum(o.outcome.values is None for o in observations),
        budget=campaign.config.budget.total,
        spent=campaign.store.spent(),
        left=campaign.left,
        best=_best(campaign, observations),
        writer=_writer(campaign.store.holder()),
    )


def _look(config: CampaignConfig | Broken) -> Status | Broken:
    if isinstance(config, Broken):
        return config
    try:
        with open_campaign(config, to_read=True) as campaign:
            return status(campaign)
    except NoLedgerError:
        total = config.budget.total
        return Status(campaign=config.name, problem=config.problem.name, budget=total, left=total)
    except MfalError as error:
        return Broken(config.name, error.message, error.hint)


def _waits_for(campaign: Campaign) -> Measurements | None:
    awaited = waiting(campaign)
    if awaited is None or awaited.computed:
        return None
    files = tuple(map(str, awaited.files))
    return Measurements(len(awaited.queries), files, campaign.store.promised())


def _best(campaign: Campaign, observations: Sequence[Observation]) -> Best | None:
    objective = campaign.objective
    for o in best(observations, campaign.target.name, objective, 1):
        value = utility(o, objective) * objective.sign
        return Best(o.query.key, value, objective.name, objective.unit, o.round)
    return None


def _writer(found: Holder | None) -> Writer | None:
    return None if found is None else Writer(found.pid, found.host, found.since, found.alive)
