"""True target values of everything that was queried, scored outside all budgets."""

import logging
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass

from mfal.answered import Patience
from mfal.campaign import Campaign, open_campaign, versions
from mfal.compare.checks import check_computed, engines_now
from mfal.compare.config import Comparison
from mfal.compare.engines import Engines, check_engines
from mfal.compare.runs import Look, Run, runs_of
from mfal.errors import NoLedgerError, OracleError
from mfal.ledger.reading import read_ledger
from mfal.ledger.store import Store
from mfal.metrics import measured
from mfal.reasons import commonest
from mfal.scoring.scorer import Scorer, scorer
from mfal.sections import LockConfig
from mfal.types import Outcome, Query

FOLDER = "outside"

log = logging.getLogger(__name__)

Found = Sequence[tuple[Query, Outcome]]


@dataclass(frozen=True)
class TrueValues:
    """What is known of the true target values of candidates.

    Attributes:
        of: Key -> first objective at the target; a candidate that fails there has none.
        asked: Keys of all that were asked for theirs, with those that failed.
        engines: Fidelity -> the engines that answered outside the budget.
    """

    of: dict[str, float]
    asked: AbstractSet[str]
    engines: Engines


def true_values_of(comparison: Comparison) -> TrueValues:
    """What all runs measured at the target, and what `score_outside` found; asks nothing."""
    runs = [look.run for look in _begun(comparison)]
    known, _ = _look(runs)
    try:
        with read_ledger(_url(comparison), FOLDER, _identity(runs)) as ledger:
            found = {o.query.key: o.outcome.value for o in ledger.observations()}
            engines = ledger.backends()
    except NoLedgerError:
        found, engines = {}, {}
    values = {key: value for key, value in found.items() if value is not None}
    return TrueValues(values | known, found.keys() | known.keys(), engines)


def score_outside(comparison: Comparison) -> None:
    """Ask for the true target values of all that any run queried, as far as they are not known.

    The answers are kept in a ledger of their own, ``<folder>/outside/ledger.db``, that belongs
    to no campaign and is charged to none; what is there, or was measured at the target by any
    run, is not asked again. A process that is killed goes on here, too.

    Raises:
        LedgerError: where answers came from different engines, or would come from another one.
        ConfigError: where people would have to be asked.
        OracleError: if query after query fails, and so does one that was answered before. Nothing
            was paid, so none of these failures is kept, and they are asked again.
    """
    begun = _begun(comparison)
    if not begun:
        return
    runs = [look.run for look in begun]
    first = runs[0].config
    with (
        open_campaign(first, first.name, to_read=True) as campaign,
        Store(_url(comparison), FOLDER, _identity(runs), LockConfig()) as store,
    ):
        known, wanted = _look(runs)
        answered = {q.key for q in store.asked()}
        new = [key for key in wanted if key not in known and key not in answered]
        engines: dict[str, Engines] = {FOLDER: store.backends()}
        if new or store.open_round() is not None:
            check_computed(comparison, runs[0], campaign)
            engines["today"] = {campaign.target.name: engines_now(campaign)[campaign.target.name]}
        check_engines(comparison, begun, engines)
        if new:
            _begin(store, campaign, new)
        _finish(store, campaign, next(iter(known), None))


def _begun(comparison: Comparison) -> list[Look]:
    return [look for run in runs_of(comparison) if (look := run.look()).has_begun]


def _url(comparison: Comparison) -> str:
    return f"sqlite:///{comparison.folder / FOLDER / 'ledger.db'}"


def _identity(runs: Sequence[Run]) -> dict[str, object]:
    """Of the ledger outside: what its numbers mean."""
    return {"problem": runs[0].config.problem.model_dump(mode="json")}


def _look(runs: Sequence[Run]) -> tuple[dict[str, float], list[str]]:
    """What runs measured at the target, and all that they queried."""
    known: dict[str, float] = {}
    queried: dict[str, None] = {}
    for run in runs:
        with open_campaign(run.config, run.name, to_read=True) as campaign:
            observations = campaign.store.observations()
            queried |= dict.fromkeys(o.query.key for o in observations)
            known |= measured(observations, campaign.target.name, campaign.objective).by_key
    return known, list(queried)


def _begin(store: Store, campaign: Campaign, keys: Sequence[str]) -> None:
    store.begin_round(
        len(store.outline()),
        [(Query(key, campaign.target.name), 0.0) for key in keys],
        kind="batch",
        seed=0,
        config={},
        versions=versions(),
        record={},
    )


def _finish(store: Store, campaign: Campaign, known: str | None) -> None:
    """Ask what was begun here or by a process that was killed.

    Args:
        known: A candidate that has a value at the target.
    """
    while (left := store.open_round()) is not None:
        _ask(store, campaign, store.pending(left.number), known)
        store.finish_round(left.number)
    outcomes = [o.outcome for o in store.observations()]
    if (found := commonest(outcomes)) is not None:
        failed = sum(outcome.values is None for outcome in outcomes)
        log.warning(
            "%d of %d candidates that were scored outside the budget have failed, %d with: %s",
            failed,
            len(outcomes),
            found[1],
            found[0],
        )


def _ask(store: Store, campaign: Campaign, queries: Sequence[Query], known: str | None) -> None:
    """Ask queries, and keep the answers as they come in.

    A failure is kept once the oracle has answered after it: until then it may be an outage.
    """
    backend = campaign.problem.oracle.backends[campaign.target.name]
    failed: list[tuple[Query, Outcome]] = []

    def record(outcomes: Found) -> None:
        store.record([(query, outcome, backend) for query, outcome in outcomes])

    patience = _patience(queries)
    with _asking(campaign, lambda outcomes: record(_answered(outcomes))) as asker:
        asker.ask(queries)
        while asker.waiting:
            found = asker.answers()
            patience.note(found)
            try:
                patience.check(campaign.config.problem.name)
                works = bool(_answered(found))
            except OracleError:
                if known is None or not _answers(campaign, known):
                    raise
                works, patience = True, _patience(queries)  # these candidates fail, not the oracle
            if works:
                record(failed)
                failed = []
            record(_answered(found))
            failed += [(query, outcome) for query, outcome in found if outcome.values is None]
        record(failed)


def _patience(queries: Sequence[Query]) -> Patience:
    patience = Patience()
    patience.ask(queries)
    return patience


def _answered(outcomes: Found) -> Found:
    return [(query, outcome) for query, outcome in outcomes if outcome.values is not None]


def _answers(campaign: Campaign, key: str) -> bool:
    """Whether the oracle has a value at the target for a candidate."""
    with _asking(campaign) as asker:
        (outcome,) = asker.outcomes([Query(key, campaign.target.name)])
    return outcome.values is not None


def _asking(
    campaign: Campaign, put_away: Callable[[Found], object] | None = None
) -> AbstractContextManager[Scorer]:
    config, n_objectives = campaign.config, len(campaign.problem.oracle.objectives)
    return scorer(config.problem, campaign.ladder, n_objectives, config.scoring, put_away)
