"""One round: fit, train, propose, score, append. Pure steps over (configuration, ledger, seed).

A round that was cut short is run again to the same result: its queries are in the ledger
before the first is asked, and what comes before them depends on nothing but the ledger.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from mfal.answered import Patience, check_answered
from mfal.budget import fits, total_cost
from mfal.campaign import Campaign, check_promised, derive_seed, versions
from mfal.design import missing_counts
from mfal.diagnostics import batch_shares, expected_failures
from mfal.digits import amount
from mfal.envs.keys import check_keys, refused_keys
from mfal.errors import LedgerError
from mfal.gfn.base import Proposals, TrainMetrics
from mfal.learn import Fitted, fit, train
from mfal.progress import Progress, Stage
from mfal.propose import initial_design, propose
from mfal.scoring.scorer import Scorer, scorer
from mfal.stopping import stop_reason
from mfal.types import Outcome, Query
from mfal.waiting import measured_by_hand, split_pending, write_out

log = logging.getLogger(__name__)

Answer = tuple[Query, Outcome, str]

REMEMBERED = 500  # proposed candidates that a round's record keeps for the next one's reference


def score(campaign: Campaign, asker: Scorer) -> list[Answer]:
    """The next answers that come in, each with the engine that gave it."""
    return _with_engines(campaign, asker.answers())


def append(campaign: Campaign, answers: Sequence[Answer]) -> None:
    """Put answers into the ledger, in one commit."""
    charge = campaign.config.budget.charge_failures
    campaign.writer.record(answers, charge_failures=charge)


@contextmanager
def asking(campaign: Campaign) -> Iterator[Scorer]:
    """Whoever asks the campaign's queries; what is answered is in the ledger however it ends."""
    config, n_objectives = campaign.config, len(campaign.problem.oracle.objectives)

    def put_away(outcomes: Sequence[tuple[Query, Outcome]]) -> None:
        append(campaign, _with_engines(campaign, outcomes))

    with scorer(config.problem, campaign.ladder, n_objectives, config.scoring, put_away) as asker:
        yield asker


@dataclass(frozen=True)
class Steps:
    """The five steps of a round. Whoever runs rounds may wrap each, as Prefect tasks do."""

    fit: Callable[[Campaign, int], Fitted] = fit
    train: Callable[[Campaign, Fitted, int, Callable[[TrainMetrics], None]], Proposals] = train
    propose: Callable[[Campaign, Fitted, Proposals, int], list[Query]] = propose
    score: Callable[[Campaign, Scorer], list[Answer]] = score
    append: Callable[[Campaign, Sequence[Answer]], None] = append


def run_rounds(
    campaign: Campaign,
    n: int | None,
    *,
    steps: Steps = Steps(),
    progress: Progress | None = None,
) -> list[int]:
    """Run n rounds, or until `stop_reason` has one; returns the numbers of those that ended.

    The initial design is made first where there is none, without what imported data make up
    of it. A round that an earlier process left unfinished is finished first, and counts as one
    of the n where it is no design. A round with measurements to be made by hand stays
    unfinished, and nothing further is begun, until they are imported; see `mfal.waiting`. Once
    they are, it is over, and none of the n.

    Raises:
        OracleError: if everything that was asked so far has failed, or too much in a row has.
        BudgetError: if the budget no longer pays for a round that was begun.
    """
    watch = progress or Progress()
    ended: list[int] = []
    patience = Patience()
    with asking(campaign) as asker:
        while n is None or len(ended) < n:
            open_round = campaign.store.open_round()
            number = open_round.number if open_round else len(campaign.store.outline())
            kind = open_round.kind if open_round else next_kind(campaign)
            if open_round is None and not may_begin(campaign, kind):
                break
            watch.begin_round(number, kind)
            watch.spent(campaign.store.spent(), campaign.config.budget.total)
            if open_round is None and not begin_round(campaign, number, steps, watch, kind):
                break
            was_measured = open_round is not None and measured_by_hand(campaign, number)
            if not finish_round(campaign, number, asker, steps, watch, patience):
                break
            if kind == "batch" and not was_measured:
                ended.append(number)
    return ended


def next_kind(campaign: Campaign) -> str:
    """What the next new round is: the initial design until it is there, a batch from then on."""
    missing = not campaign.store.has_asked() and any(initial_record(campaign)["asked"].values())
    return "initial" if missing else "batch"


def may_begin(campaign: Campaign, kind: str) -> bool:
    """Whether a new round may begin: a design always, a batch where nothing says to stop."""
    if kind == "initial":
        return True
    check_answered(campaign)
    _check_space(campaign)
    return stop_reason(campaign) is None


def initial_record(campaign: Campaign) -> dict[str, dict[str, int]]:
    """What the initial design wants of each fidelity, what was imported, what is left to ask."""
    answered = [o.query for o in campaign.store.observations() if o.outcome.values is not None]
    wanted = campaign.initial_counts
    return {
        "wanted": wanted,
        "imported": {name: sum(q.fidelity == name for q in answered) for name in wanted},
        "asked": missing_counts(wanted, answered),
    }


def begin_round(campaign: Campaign, number: int, steps: Steps, watch: Progress, kind: str) -> bool:
    """Choose the queries of a new round and write them down; False if none can be bought."""
    seed = derive_seed(campaign.config.seed, "round", number)
    record: dict[str, Any] = {}
    weights = None
    if kind == "initial":
        queries = initial_design(campaign, seed)
    else:
        queries, record, weights = _choose(campaign, seed, steps, watch)
        if not queries:
            return False
    if not campaign.store.has_asked():
        record |= {"initial": initial_record(campaign)}
    asked = [(q, campaign.cost(q.fidelity)) for q in queries]
    _check_affordable(campaign, asked)
    keys = list(dict.fromkeys(q.key for q in queries))
    check_keys(campaign.environment, keys, f"round {number}")
    campaign.writer.begin_round(
        number,
        asked,
        kind=kind,
        seed=seed,
        config=campaign.config.model_dump(mode="json"),
        versions=versions(),
        record=record,
        weights=weights,
    )
    return True


def finish_round(
    campaign: Campaign,
    number: int,
    asker: Scorer,
    steps: Steps,
    watch: Progress,
    patience: Patience,
) -> bool:
    """Ask what a round still has to ask, with a commit whenever answers come in.

    What people have to measure is written out for them; False while that is not answered.

    Raises:
        BudgetError: if the budget was lowered meanwhile and does not pay for the rest of it.
        OracleError: if query after query fails; what is left stays to be asked. Where all of the
            round is answered, it is finished first.
    """
    check_promised(campaign, number)
    by_hand, pending = split_pending(campaign, number)
    total = campaign.store.count(number)
    done = total - len(pending) - len(by_hand)
    watch.stage("score")
    watch.scored(done, total)
    asker.ask(pending)
    patience.ask(pending)
    while asker.waiting:
        answers = steps.score(campaign, asker)
        steps.append(campaign, answers)
        done += len(answers)
        watch.scored(done, total)
        watch.spent(campaign.store.spent(), campaign.config.budget.total)
        patience.note((query, outcome) for query, outcome, _ in answers)
        if asker.waiting:
            patience.check(campaign.config.problem.name)
    if by_hand:
        paths = ", ".join(map(str, write_out(campaign, number, by_hand)))
        log.info("round %d waits for %d measurements: %s", number, len(by_hand), paths)
    else:
        watch.stage("append")
        campaign.writer.finish_round(number)
        watch.end_round(number)
    patience.check(campaign.config.problem.name)
    return not by_hand


def _with_engines(campaign: Campaign, outcomes: Sequence[tuple[Query, Outcome]]) -> list[Answer]:
    backends = campaign.problem.oracle.backends
    return [(query, outcome, backends[query.fidelity]) for query, outcome in outcomes]


def _choose(
    campaign: Campaign, seed: int, steps: Steps, watch: Progress
) -> tuple[list[Query], dict[str, Any], bytes | None]:
    seconds: dict[str, float] = {}
    with _timed("fit", seconds, watch):
        fitted = steps.fit(campaign, derive_seed(seed, "fit"))
    with _timed("train", seconds, watch):
        proposals = steps.train(campaign, fitted, derive_seed(seed, "train"), watch.train)
    with _timed("propose", seconds, watch):
        queries = steps.propose(campaign, fitted, proposals, derive_seed(seed, "propose"))
    record = {
        "surrogate": fitted.diagnostics,
        "held_out": fitted.held_out,
        "parity": fitted.parity,
        "correlations": fitted.correlations,
        "recommended": list(fitted.recommended),
        "batch": batch_shares(queries, campaign.ladder),
        "expected_failures": expected_failures(queries, campaign.ladder, fitted.feasibility),
        "reward": fitted.reward_statistics,
        "fallback": fitted.fallback,
        "training": [asdict(m) for m in proposals.history],
        "proposals": len(proposals.queries),
        "proposed": list(dict.fromkeys(q.key for q in proposals.queries))[:REMEMBERED],
        "seconds": seconds,
    }
    return queries, record, proposals.weights


@contextmanager
def _timed(stage: Stage, seconds: dict[str, float], watch: Progress) -> Iterator[None]:
    watch.stage(stage)
    started = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - started, 3)


def _check_space(campaign: Campaign) -> None:
    """Raise LedgerError where the problem no longer builds what was asked; a list may shrink."""
    if campaign.pool is not None:
        return
    keys = list(dict.fromkeys(o.query.key for o in campaign.store.observations()))
    for what, right in refused_keys(campaign.environment, keys).values():
        raise LedgerError(
            f"{campaign.store.location}: what was asked is no candidate any more: {what}",
            f"{right}; let the problem build what it did, or change `name` to begin a new campaign",
        )


def _check_affordable(campaign: Campaign, asked: Sequence[tuple[Query, float]]) -> None:
    # The choice keeps to the budget; this holds it to that.
    price, left = total_cost(cost for _, cost in asked), campaign.left
    if not fits(price, left):
        raise LedgerError(
            f"a round of {amount(price)} was to be begun with {amount(left)} left",
            "this is a defect of mfal; nothing was spent",
        )
